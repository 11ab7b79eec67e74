package hwreport

// PCIe is every PCI function. Sources: /sys/bus/pci, /usr/share/misc/pci.ids.
type PCIe struct {
	Devices Field[[]PCIDevice] `json:"devices"`
}

// PCIDevice is one function.
type PCIDevice struct {
	ID              string         `json:"id"`               // pci:<root>/<device.function of each bridge on the way>: bus numbers may change
	Address         string         `json:"address"`          // of this boot: 0000:03:00.0
	Parent          string         `json:"parent,omitempty"` // id of the bridge above
	Slot            Field[string]  `json:"slot"`             // name of the physical slot
	Class           Field[string]  `json:"class"`            // six hexadecimal digits
	ClassName       Field[string]  `json:"class_name"`
	Vendor          Field[string]  `json:"vendor"` // four hexadecimal digits, as the next three
	Device          Field[string]  `json:"device"`
	SubsystemVendor Field[string]  `json:"subsystem_vendor"`
	SubsystemDevice Field[string]  `json:"subsystem_device"`
	Revision        Field[string]  `json:"revision"`
	VendorName      Field[string]  `json:"vendor_name"`
	DeviceName      Field[string]  `json:"device_name"`
	SubsystemName   Field[string]  `json:"subsystem_name"`
	Driver          Field[string]  `json:"driver"` // absent: none is bound
	NUMA            Field[int64]   `json:"numa_node"`
	IOMMUGroup      Field[string]  `json:"iommu_group"`
	Link            Field[PCILink] `json:"link"` // absent: no PCI Express link of its own
	VFs             Field[int64]   `json:"sriov_vfs"`
	MaxVFs          Field[int64]   `json:"sriov_max_vfs"`
	VirtualFunction bool           `json:"virtual_function"`
}

// PCILink is the link towards the root. Speeds are in megatransfers a second
// (8000 is PCIe 3), widths in lanes.
type PCILink struct {
	MTs         int64        `json:"mts"`
	Width       int64        `json:"width"`
	MaxMTs      int64        `json:"max_mts"` // of the device
	MaxWidth    int64        `json:"max_width"`
	PortMTs     Field[int64] `json:"port_max_mts"` // of the port above
	PortWidth   Field[int64] `json:"port_max_width"`
	Downtrained bool         `json:"downtrained"` // less than both ends can
}
