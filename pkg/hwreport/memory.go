package hwreport

// Memory is what is plugged in, what the firmware maps and what the kernel
// manages. Sources: SMBIOS types 16 to 20 and 37; /proc/meminfo; EDAC.
type Memory struct {
	Installed  Field[int64]              `json:"installed_bytes"` // Σ type 17
	Mapped     Field[int64]              `json:"mapped_bytes"`    // Σ type 19; of a device tree its memory nodes
	Usable     Field[int64]              `json:"usable_bytes"`    // MemTotal: without what the kernel itself took
	ECC        Field[string]             `json:"ecc"`             // type 16, "None", "Multi-bit ECC", …
	ECCActive  Field[bool]               `json:"ecc_active"`      // a driver counts errors (EDAC); unknown: nobody watches
	Slots      Field[int64]              `json:"slots"`
	MaxBytes   Field[int64]              `json:"max_bytes"` // Σ type 16
	Arrays     Field[[]MemoryArray]      `json:"arrays"`    // type 16
	Modules    Field[[]DIMM]             `json:"modules"`   // type 17, empty slots too
	Controller Field[[]MemoryController] `json:"controllers"`
}

// MemoryArray is SMBIOS type 16.
type MemoryArray struct {
	Use      Field[string] `json:"use"`
	Location Field[string] `json:"location"`
	ECC      Field[string] `json:"ecc"`
	MaxBytes Field[int64]  `json:"max_bytes"`
	Slots    Field[int64]  `json:"slots"` // that it states
}

// DIMM is one slot.
type DIMM struct {
	ID            string        `json:"id"`
	Locator       Field[string] `json:"locator"`
	Bank          Field[string] `json:"bank"`
	Socket        Field[string] `json:"socket"`     // processor that it hangs on, from the locator's text: "CPU 0"
	Channel       Field[string] `json:"channel"`    // from type 37, else the locator's text
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
	Interleave    Field[int64]  `json:"interleave"`    // position in an interleave, type 20
	Manufacturer  Field[string] `json:"manufacturer"`  //
	Part          Field[string] `json:"part"`          //
	Serial        Field[string] `json:"serial"`        //
	AssetTag      Field[string] `json:"asset_tag"`     //
	Firmware      Field[string] `json:"firmware"`      // of persistent memory
	Error         Field[string] `json:"smbios_error"`  // type 18; absent: none
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
	CorrectedNone Field[int64]  `json:"corrected_nowhere"` // of no module
	Modules       []EDACModule  `json:"modules"`
}

// EDACModule is a module as its controller's driver knows it.
type EDACModule struct {
	Label         string        `json:"label"`
	Location      Field[string] `json:"location"` // "channel 0 slot 1"
	DIMM          Field[string] `json:"dimm"`     // id of the slot, where label and locator say the same
	Bytes         Field[int64]  `json:"size_bytes"`
	Mode          Field[string] `json:"mode"` // SECDED, S4ECD4ED, …
	Corrected     Field[int64]  `json:"corrected"`
	Uncorrectable Field[int64]  `json:"uncorrectable"`
}
