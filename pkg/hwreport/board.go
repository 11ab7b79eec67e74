package hwreport

// Board is who the machine is. Source: SMBIOS (DSP0134) types 0 to 3, else
// what the kernel kept of them in /sys/class/dmi/id.
type Board struct {
	SMBIOS    Field[string] `json:"smbios_version"` // of the specification, "3.3.0"
	Firmware  Firmware      `json:"firmware"`
	System    Identity      `json:"system"`
	Baseboard Identity      `json:"baseboard"`
	Chassis   Chassis       `json:"chassis"`
}

// Firmware is SMBIOS type 0.
type Firmware struct {
	Vendor  Field[string] `json:"vendor"`
	Version Field[string] `json:"version"`
	Date    Field[string] `json:"date"`    // as the firmware writes it, mm/dd/yyyy
	Release Field[string] `json:"release"` // system BIOS release, "5.12"
}

// Identity is SMBIOS type 1 or 2.
type Identity struct {
	Manufacturer Field[string] `json:"manufacturer"`
	Product      Field[string] `json:"product"`
	Version      Field[string] `json:"version"`
	Serial       Field[string] `json:"serial"`
	AssetTag     Field[string] `json:"asset_tag"` // of the baseboard
	SKU          Field[string] `json:"sku"`       // of the system
	Family       Field[string] `json:"family"`    // of the system
	UUID         Field[string] `json:"uuid"`      // of the system, RFC 9562 text form
}

// Chassis is SMBIOS type 3.
type Chassis struct {
	Type         Field[string] `json:"type"` // "Rack Mount Chassis"
	Manufacturer Field[string] `json:"manufacturer"`
	Version      Field[string] `json:"version"`
	Serial       Field[string] `json:"serial"`
	AssetTag     Field[string] `json:"asset_tag"`
}
