package hwreport

// Board is who the machine is. Source: SMBIOS (DSP0134) types 0 to 3, 11 to 14, 32, 41 and 45, else
// what the kernel kept of them in /sys/class/dmi/id; on a board without them the device tree: its
// model, serial number and compatible strings, the most special first.
type Board struct {
	SMBIOS    Field[string] `json:"smbios_version"` // of the specification, "3.3.0"
	Firmware  Firmware      `json:"firmware"`
	System    Identity      `json:"system"`
	Baseboard Identity      `json:"baseboard"`
	Chassis   Chassis       `json:"chassis"`

	OEM        Field[[]string]        `json:"oem_strings"`     // type 11
	Options    Field[[]string]        `json:"options"`         // type 12: what jumpers and switches do
	Language   Field[string]          `json:"language"`        // type 13
	Groups     Field[[]string]        `json:"groups"`          // type 14, names
	BootStatus Field[string]          `json:"boot_status"`     // type 32: what the firmware thinks of the last start
	Onboard    Field[[]OnboardDevice] `json:"onboard_devices"` // type 41
	Components Field[[]Component]     `json:"firmware_components"`
}

// OnboardDevice is SMBIOS type 41.
type OnboardDevice struct {
	Name    string        `json:"name"`
	Type    Field[string] `json:"type"`
	Enabled bool          `json:"enabled"`
	Address Field[string] `json:"address"` // on the PCI bus, of this boot
}

// Component is firmware that the machine lists (SMBIOS type 45).
type Component struct {
	Name         Field[string] `json:"name"`
	Version      Field[string] `json:"version"`
	ID           Field[string] `json:"firmware_id"`
	Date         Field[string] `json:"release_date"`
	Manufacturer Field[string] `json:"manufacturer"`
	Lowest       Field[string] `json:"lowest_supported"`
	State        Field[string] `json:"state"` // Enabled, Disabled, …
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
