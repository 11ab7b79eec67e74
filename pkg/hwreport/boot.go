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
	Entry      Field[string]   `json:"efi_entry"`    // description of the entry that was booted
	NIC        Field[string]   `json:"boot_nic"`     // address of the interface that the image came over, as firmware or loader tells it
	ISCSI      Field[ISCSI]    `json:"ibft"`         // iSCSI boot firmware table
	NVMeOF     Field[[]string] `json:"nbft"`         // NVMe boot firmware table: the NVMe qualified names in it
	Reset      Field[string]   `json:"reset_cause"`  // of the last reset, by the controller or the watchdog
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

// ISCSI is where the firmware booted from (/sys/firmware/ibft).
type ISCSI struct {
	Initiator string   `json:"iqn"`
	MAC       string   `json:"mac"`
	Address   string   `json:"address"`
	Targets   []string `json:"targets"` // "iqn… at 10.0.0.1:3260 lun 0"
}
