package hwreport

// IPMI is what the management controller tells. Sources: /dev/ipmi0 (IPMI 2.0),
// SMBIOS type 38.
type IPMI struct {
	BMC      Field[BMC]          `json:"bmc"` // absent: firmware and kernel know of none
	Chassis  Field[PowerState]   `json:"chassis"`
	Restart  Field[string]       `json:"restart_cause"` // why the machine last started
	FRUs     Field[[]FRU]        `json:"frus"`
	Sensors  Field[[]Sensor]     `json:"sensors"`
	Log      Field[EventLog]     `json:"event_log"`
	LAN      Field[[]LANChannel] `json:"lan"`
	ClockOff Field[int64]        `json:"clock_skew_seconds"` // controller's clock minus the machine's
}

// BMC is what the management controller says of itself (Get Device ID).
type BMC struct {
	Interface    Field[string] `json:"interface"`       // KCS, SMIC, BT, SSIF (SMBIOS type 38)
	Firmware     Field[string] `json:"firmware"`        // "1.73"
	IPMI         Field[string] `json:"ipmi_version"`    // "2.0"
	Manufacturer Field[int64]  `json:"manufacturer_id"` // IANA enterprise number
	Product      Field[int64]  `json:"product_id"`      //
	DeviceID     Field[int64]  `json:"device_id"`       //
	Updating     Field[bool]   `json:"updating"`        // a firmware update is under way
}

// PowerState is the answer to Get Chassis Status.
type PowerState struct {
	On        bool     `json:"on"`
	Policy    string   `json:"policy"`     // when power returns: "stay off", "as before", "power on"
	Faults    []string `json:"faults"`     // that are there now
	LastEvent []string `json:"last_event"` // what last took power
}

// FRU is a field replaceable unit's inventory (Platform Management FRU
// Information Storage Definition v1.0).
type FRU struct {
	ID                  string        `json:"id"`
	Unit                int64         `json:"unit"`
	Name                Field[string] `json:"name"` // of its locator record
	Error               string        `json:"error,omitempty"`
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
	MaxWatts            Field[int64]  `json:"max_watts"` // of a power supply
	Entity              Field[string] `json:"entity"`    // "10.1": what it is and which
}

// Sensor is one sensor with its thresholds, in its unit.
type Sensor struct {
	ID         string          `json:"id"`
	Name       string          `json:"name"`
	Kind       string          `json:"kind"`   // temperature, voltage, fan, power supply, …
	Entity     string          `json:"entity"` // "10.1"
	Unit       string          `json:"unit,omitempty"`
	Value      Field[float64]  `json:"value"`  // absent: nothing to read now
	States     Field[int64]    `json:"states"` // of a discrete sensor, bit field
	Thresholds []Threshold     `json:"thresholds"`
	Crossed    Field[[]string] `json:"crossed"` // the thresholds that are crossed now, the gravest first
	Asserted   Field[[]string] `json:"asserted"`
}

// Threshold is a limit of a sensor.
type Threshold struct {
	Name  string  `json:"name"` // "upper critical", …
	Value float64 `json:"value"`
}

// EventLog is the system event log.
type EventLog struct {
	Entries   int64   `json:"entries"`
	FreeBytes int64   `json:"free_bytes"`
	Overflow  bool    `json:"overflow"`
	Cut       bool    `json:"cut"`     // more entries than are shown
	Notable   []Event `json:"notable"` // the newest first; routine ones are counted only
	Routine   int64   `json:"routine"`
}

// Event is an entry of the log that a person should see, equal ones together.
type Event struct {
	First  string `json:"first"` // RFC 3339; empty: the clock was not set
	Last   string `json:"last"`
	Count  int64  `json:"count"`
	Sensor string `json:"sensor"`
	What   string `json:"what"`
	Grave  bool   `json:"grave"`
	Data   string `json:"data"` // the three bytes of the last, hexadecimal
}

// LANChannel is a network port of the controller.
type LANChannel struct {
	Channel int64         `json:"channel"`
	Source  Field[string] `json:"source"` // static, DHCP, …
	Address Field[string] `json:"address"`
	Gateway Field[string] `json:"gateway"`
	MAC     Field[string] `json:"mac"`
	VLAN    Field[int64]  `json:"vlan"`
}
