package hwreport

// PSU is the power supplies: what the firmware lists (SMBIOS type 39), what
// their inventories say (IPMI FRU) and what their sensors read, one object a
// supply.
type PSU struct {
	Supplies  Field[[]PowerSupply] `json:"supplies"`
	Redundant Field[string]        `json:"redundancy"` // what the redundancy sensor says; absent: there is none
}

// PowerSupply is one.
type PowerSupply struct {
	ID           string          `json:"id"`
	Sources      []string        `json:"sources"` // "smbios", "fru", "sensors"
	Location     Field[string]   `json:"location"`
	Name         Field[string]   `json:"name"`
	Manufacturer Field[string]   `json:"manufacturer"`
	Model        Field[string]   `json:"model"`
	Serial       Field[string]   `json:"serial"`
	Part         Field[string]   `json:"part"`
	Revision     Field[string]   `json:"revision"`
	MaxWatts     Field[int64]    `json:"max_watts"`
	InputWatts   Field[float64]  `json:"input_watts"` // read now
	Present      Field[bool]     `json:"present"`
	Plugged      Field[bool]     `json:"plugged"`
	HotSwap      Field[bool]     `json:"hot_replaceable"`
	Status       Field[string]   `json:"status"` // "OK", "Non-critical", "Critical", "Other"
	States       Field[[]string] `json:"states"` // that its sensor asserts: "input lost", …
}
