package hwreport

// PCIe is every PCI function. Sources: /sys/bus/pci, /usr/share/misc/pci.ids,
// SMBIOS types 9 and 41.
type PCIe struct {
	Devices Field[[]PCIDevice] `json:"devices"`
	Slots   Field[[]PCISlot]   `json:"slots"` // type 9
}

// PCISlot is a slot of the board (SMBIOS type 9).
type PCISlot struct {
	ID      string        `json:"id"`
	Name    Field[string] `json:"name"`
	Type    Field[string] `json:"type"`
	Width   Field[string] `json:"width"`
	InUse   Field[bool]   `json:"in_use"`
	Address Field[string] `json:"address"` // of this boot, without a function
}

// PCIDevice is one function.
type PCIDevice struct {
	ID              string          `json:"id"`               // pci:<root>/<device.function of each bridge on the way>: bus numbers may change
	Address         string          `json:"address"`          // of this boot: 0000:03:00.0
	Parent          string          `json:"parent,omitempty"` // id of the bridge above
	Slot            Field[string]   `json:"slot"`             // name of the physical slot: type 9, type 41, else pci/slots
	Class           Field[string]   `json:"class"`            // six hexadecimal digits
	ClassName       Field[string]   `json:"class_name"`
	Vendor          Field[string]   `json:"vendor"` // four hexadecimal digits, as the next three
	Device          Field[string]   `json:"device"`
	SubsystemVendor Field[string]   `json:"subsystem_vendor"`
	SubsystemDevice Field[string]   `json:"subsystem_device"`
	Revision        Field[string]   `json:"revision"`
	VendorName      Field[string]   `json:"vendor_name"`
	DeviceName      Field[string]   `json:"device_name"`
	SubsystemName   Field[string]   `json:"subsystem_name"`
	Driver          Field[string]   `json:"driver"` // absent: none is bound
	NUMA            Field[int64]    `json:"numa_node"`
	IOMMUGroup      Field[string]   `json:"iommu_group"`
	Link            Field[PCILink]  `json:"link"` // absent: no PCI Express link of its own, or none is up
	AER             Field[PCIError] `json:"aer"`  // absent: no advanced error reporting
	VPD             Field[PCIVPD]   `json:"vpd"`  // absent: none, or of a kind that is not read
	VFs             Field[int64]    `json:"sriov_vfs"`
	MaxVFs          Field[int64]    `json:"sriov_max_vfs"`
	VirtualFunction bool            `json:"virtual_function"`
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

// PCIError is the counters of advanced error reporting since boot (kernel:
// Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats).
type PCIError struct {
	Correctable int64    `json:"correctable"`
	NonFatal    int64    `json:"nonfatal"`
	Fatal       int64    `json:"fatal"`
	Kinds       []string `json:"kinds"` // "RxErr 12", those that are not zero
}

// PCIVPD is a device's vital product data.
type PCIVPD struct {
	Name         Field[string] `json:"name"`
	Part         Field[string] `json:"part"`
	Serial       Field[string] `json:"serial"`
	Engineering  Field[string] `json:"engineering"`
	Manufacturer Field[string] `json:"manufacturer"`
	Error        string        `json:"error,omitempty"`
}
