package hwreport

// Boot is what was started and how. Sources: /proc, /sys/firmware/efi,
// /etc/bee/bom.json.
type Boot struct {
	Kernel     Field[string]   `json:"kernel"`       // release
	Cmdline    Field[string]   `json:"command_line"` // secrets masked
	Mode       Field[string]   `json:"mode"`         // "efi" or "bios"; other firmware is unknown
	SecureBoot Field[bool]     `json:"secure_boot"`  // absent: no such thing in this firmware
	SetupMode  Field[bool]     `json:"setup_mode"`   // keys may be enrolled by anyone
	Lockdown   Field[string]   `json:"lockdown"`     // none, integrity, confidentiality
	Taint      Field[int64]    `json:"taint"`        // /proc/sys/kernel/tainted
	Image      Field[Image]    `json:"image"`
	Warnings   Field[[]string] `json:"parameter_warnings"`
}

// Image is the bee image that runs (pkg/bom).
type Image struct {
	Version   string `json:"version"`
	BuildDate string `json:"build_date"` // RFC 3339
	Variant   string `json:"variant,omitempty"`
	Digest    string `json:"digest,omitempty"` // of the bill of materials, sha256:…
}
