package hwreport

// Network is the network interfaces with hardware behind them. Sources:
// /sys/class/net, ethtool ioctls, the network service's /run/bee/net.json.
type Network struct {
	Hostname   Field[string] `json:"hostname"`
	Interfaces Field[[]NIC]  `json:"interfaces"`
}

// NIC is one interface.
type NIC struct {
	ID           string          `json:"id"`   // nic:<permanent MAC>, else its place
	Name         string          `json:"name"` // of this boot: eth0
	Slot         string          `json:"slot"` // place on the bus: the stable part of its sysfs path
	MAC          Field[string]   `json:"mac"`
	PermanentMAC Field[string]   `json:"permanent_mac"`
	Driver       Field[string]   `json:"driver"`
	Firmware     Field[string]   `json:"firmware"`
	Mbps         Field[int64]    `json:"speed_mbps"` // absent: no link
	Duplex       Field[string]   `json:"duplex"`
	Carrier      Field[bool]     `json:"carrier"`
	MTU          Field[int64]    `json:"mtu"`
	NUMA         Field[int64]    `json:"numa_node"`
	VFs          Field[int64]    `json:"sriov_vfs"`
	MaxVFs       Field[int64]    `json:"sriov_max_vfs"`
	State        Field[string]   `json:"state"`     // the network service's word: bound, discovering, …
	Addresses    Field[[]string] `json:"addresses"` // with prefix length
}
