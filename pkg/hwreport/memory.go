package hwreport

// Memory is what is plugged in, what the firmware maps and what the kernel
// manages. Sources: SMBIOS types 16, 17, 19; /proc/meminfo; EDAC.
type Memory struct {
	Installed  Field[int64]              `json:"installed_bytes"` // Σ type 17
	Mapped     Field[int64]              `json:"mapped_bytes"`    // Σ type 19
	Usable     Field[int64]              `json:"usable_bytes"`    // MemTotal: without what the kernel itself took
	ECC        Field[string]             `json:"ecc"`             // type 16, "None", "Multi-bit ECC", …
	Slots      Field[int64]              `json:"slots"`
	MaxBytes   Field[int64]              `json:"max_bytes"` // Σ type 16
	Modules    Field[[]DIMM]             `json:"modules"`   // type 17, empty slots too
	Controller Field[[]MemoryController] `json:"controllers"`
}

// DIMM is one slot.
type DIMM struct {
	ID            string        `json:"id"`
	Locator       Field[string] `json:"locator"`
	Bank          Field[string] `json:"bank"`
	Bytes         Field[int64]  `json:"size_bytes"` // absent: the slot is empty
	Type          Field[string] `json:"type"`       // DDR4, DDR5, …
	FormFactor    Field[string] `json:"form_factor"`
	Detail        Field[string] `json:"detail"`        // Registered, LRDIMM, …
	SpeedMTs      Field[int64]  `json:"speed_mts"`     // what it can, megatransfers a second
	RunsMTs       Field[int64]  `json:"runs_mts"`      // what it does
	TotalWidth    Field[int64]  `json:"total_bits"`    // with ECC
	DataWidth     Field[int64]  `json:"data_bits"`     //
	Rank          Field[int64]  `json:"rank"`          //
	Millivolts    Field[int64]  `json:"millivolts"`    // configured
	Manufacturer  Field[string] `json:"manufacturer"`  //
	Part          Field[string] `json:"part"`          //
	Serial        Field[string] `json:"serial"`        //
	AssetTag      Field[string] `json:"asset_tag"`     //
	Firmware      Field[string] `json:"firmware"`      // of persistent memory
	Corrected     Field[int64]  `json:"corrected"`     // EDAC, since boot
	Uncorrectable Field[int64]  `json:"uncorrectable"` // EDAC, since boot
}

// MemoryController is one EDAC controller (/sys/devices/system/edac/mc/mc*).
type MemoryController struct {
	ID            string        `json:"id"`
	Driver        Field[string] `json:"driver"`
	Bytes         Field[int64]  `json:"size_bytes"`
	Corrected     Field[int64]  `json:"corrected"` // since the counters were reset, usually boot
	Uncorrectable Field[int64]  `json:"uncorrectable"`
}
