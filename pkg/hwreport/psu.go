package hwreport

// PSU is power supplies and the management controller. Sources: SMBIOS types
// 38 and 39, IPMI over /dev/ipmi0.
type PSU struct {
	Supplies Field[[]PowerSupply] `json:"supplies"`
	BMC      Field[BMC]           `json:"bmc"` // absent: firmware and kernel know of none
}

// PowerSupply is SMBIOS type 39.
type PowerSupply struct {
	ID           string        `json:"id"`
	Location     Field[string] `json:"location"`
	Name         Field[string] `json:"name"`
	Manufacturer Field[string] `json:"manufacturer"`
	Model        Field[string] `json:"model"`
	Serial       Field[string] `json:"serial"`
	Revision     Field[string] `json:"revision"`
	MaxWatts     Field[int64]  `json:"max_watts"`
	Present      Field[bool]   `json:"present"`
	Plugged      Field[bool]   `json:"plugged"`
	HotSwap      Field[bool]   `json:"hot_replaceable"`
	Status       Field[string] `json:"status"` // "OK", "Non-critical", "Critical", "Other"
}

// BMC is what the management controller says of itself (IPMI 2.0, Get Device
// ID) and of the machine (FRU 0).
type BMC struct {
	Interface    Field[string] `json:"interface"`       // KCS, SMIC, BT, SSIF (SMBIOS type 38)
	Firmware     Field[string] `json:"firmware"`        // "1.73"
	IPMI         Field[string] `json:"ipmi_version"`    // "2.0"
	Manufacturer Field[int64]  `json:"manufacturer_id"` // IANA enterprise number
	Product      Field[int64]  `json:"product_id"`      //
	DeviceID     Field[int64]  `json:"device_id"`       //
	FRU          Field[FRU]    `json:"fru"`             // of the built-in FRU 0
}

// FRU is a field replaceable unit's inventory (Platform Management FRU
// Information Storage Definition v1.0).
type FRU struct {
	BoardManufacturer   Field[string] `json:"board_manufacturer"`
	BoardProduct        Field[string] `json:"board_product"`
	BoardSerial         Field[string] `json:"board_serial"`
	BoardPart           Field[string] `json:"board_part"`
	ProductManufacturer Field[string] `json:"product_manufacturer"`
	ProductName         Field[string] `json:"product_name"`
	ProductPart         Field[string] `json:"product_part"`
	ProductVersion      Field[string] `json:"product_version"`
	ProductSerial       Field[string] `json:"product_serial"`
	ProductAssetTag     Field[string] `json:"product_asset_tag"`
	ChassisPart         Field[string] `json:"chassis_part"`
	ChassisSerial       Field[string] `json:"chassis_serial"`
}
