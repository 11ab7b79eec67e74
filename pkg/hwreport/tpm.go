package hwreport

// TPM is the trusted platform module. Sources: /sys/class/tpm, /dev/tpmrm0,
// /sys/kernel/security/tpm0.
type TPM struct {
	Present       Field[bool]      `json:"present"`
	Version       Field[string]    `json:"version"` // "2.0", "1.2"
	Manufacturer  Field[string]    `json:"manufacturer"`
	Vendor        Field[string]    `json:"vendor"`
	Firmware      Field[string]    `json:"firmware"`
	Revision      Field[string]    `json:"specification_revision"`
	Banks         Field[[]string]  `json:"pcr_banks"`       // that have registers: sha256, …
	PCRs          Field[[]PCRBank] `json:"pcrs"`            // of the strongest common bank: sha256 where there is one
	EKCertificate Field[[]string]  `json:"ek_certificates"` // kinds of key; absent: the maker left none
	EventLog      Field[EventInfo] `json:"event_log"`
}

// PCRBank is the registers of one algorithm, hexadecimal, from 0 on.
type PCRBank struct {
	Algorithm string   `json:"algorithm"`
	Values    []string `json:"values"`
}

// EventInfo is the firmware's measurement log.
type EventInfo struct {
	Format string `json:"format"` // "crypto-agile" or "sha1"
	Events int64  `json:"events"`
	Bytes  int64  `json:"bytes"`
}
