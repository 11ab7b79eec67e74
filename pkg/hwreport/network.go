package hwreport

// Network is the network interfaces with hardware behind them. Sources:
// /sys/class/net, /sys/class/infiniband, ethtool ioctls, the network service's
// /run/bee/net.json.
type Network struct {
	Hostname   Field[string]   `json:"hostname"`
	Interfaces Field[[]NIC]    `json:"interfaces"`
	InfiniBand Field[[]IBPort] `json:"infiniband"`
}

// NIC is one interface.
type NIC struct {
	ID            string             `json:"id"`   // nic:<permanent MAC>, else its place
	Name          string             `json:"name"` // of this boot: eth0
	Slot          string             `json:"slot"` // place on the bus: the stable part of its sysfs path
	MAC           Field[string]      `json:"mac"`
	PermanentMAC  Field[string]      `json:"permanent_mac"`
	Driver        Field[string]      `json:"driver"`
	DriverVersion Field[string]      `json:"driver_version"`
	Firmware      Field[string]      `json:"firmware"`
	PSID          Field[string]      `json:"psid"`            // board id of NVIDIA adapters, by mstflint; absent: it is not in the image
	Mbps          Field[int64]       `json:"speed_mbps"`      // absent: no link
	MaxMbps       Field[int64]       `json:"max_speed_mbps"`  // of the link modes that it supports
	Modes         Field[[]string]    `json:"link_modes"`      // supported, as ethtool names them
	PeerModes     Field[[]string]    `json:"peer_link_modes"` // advertised by the other end
	Autoneg       Field[bool]        `json:"autoneg"`
	Port          Field[string]      `json:"port"` // "twisted pair", "fibre", "direct attach", …
	Duplex        Field[string]      `json:"duplex"`
	Carrier       Field[bool]        `json:"carrier"`
	MTU           Field[int64]       `json:"mtu"`
	NUMA          Field[int64]       `json:"numa_node"`
	VFs           Field[int64]       `json:"sriov_vfs"`
	MaxVFs        Field[int64]       `json:"sriov_max_vfs"`
	State         Field[string]      `json:"state"`     // the network service's word: bound, discovering, …
	Addresses     Field[[]string]    `json:"addresses"` // with prefix length
	Transceiver   Field[Transceiver] `json:"transceiver"`
	Neighbours    Field[[]Neighbour] `json:"lldp_neighbours"`
}

// Transceiver is a pluggable module (SFF-8472, SFF-8636, CMIS).
type Transceiver struct {
	Kind       string             `json:"kind"`     // SFP, QSFP28, …
	Standard   string             `json:"standard"` // of its memory
	Vendor     string             `json:"vendor"`
	OUI        string             `json:"oui"`
	Part       string             `json:"part"`
	Revision   string             `json:"revision"`
	Serial     string             `json:"serial"`
	Date       string             `json:"date"` // of manufacture, ISO 8601
	Connector  string             `json:"connector"`
	Nanometres Field[float64]     `json:"wavelength_nm"` // absent: copper
	Mbps       Field[int64]       `json:"rate_mbps"`     // nominal signalling rate
	Celsius    Field[float64]     `json:"celsius"`
	Volts      Field[float64]     `json:"volts"`
	Lanes      Field[[]LaneLevel] `json:"lanes"`
	Alarms     []string           `json:"alarms"`
}

// LaneLevel is what a lane of a transceiver measures.
type LaneLevel struct {
	BiasMA float64 `json:"bias_ma"`
	TxMW   float64 `json:"tx_mw"`
	RxMW   float64 `json:"rx_mw"`
}

// Neighbour is the other end of the cable, as it tells of itself (LLDP, IEEE
// 802.1AB).
type Neighbour struct {
	ChassisID  string   `json:"chassis_id"`
	PortID     string   `json:"port_id"`
	Port       string   `json:"port_description"`
	SystemName string   `json:"system_name"`
	System     string   `json:"system_description"`
	VLAN       int64    `json:"port_vlan"` // 0: not told
	Addresses  []string `json:"addresses"` // of management
}

// IBPort is a port of an InfiniBand or RoCE adapter (/sys/class/infiniband).
type IBPort struct {
	ID        string        `json:"id"`
	Device    string        `json:"device"`
	Port      int64         `json:"port"`
	Firmware  Field[string] `json:"firmware"`
	Board     Field[string] `json:"board"`
	GUID      Field[string] `json:"node_guid"`
	State     Field[string] `json:"state"`          // "ACTIVE", "DOWN", …
	Physical  Field[string] `json:"physical_state"` // "LinkUp", "Polling", …
	Rate      Field[string] `json:"rate"`           // "200 Gb/sec (4X HDR)"
	LinkLayer Field[string] `json:"link_layer"`     // InfiniBand, Ethernet
	LID       Field[string] `json:"lid"`
}
