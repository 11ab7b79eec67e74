package hwreport

// Storage is the disks. Sources: /sys/block, NVMe admin commands.
type Storage struct {
	Disks Field[[]Disk] `json:"disks"`
}

// Disk is one physical or virtual disk: a block device with hardware behind it.
type Disk struct {
	ID         string            `json:"id"`   // disk:<wwn, EUI-64 or serial>, else its place
	Name       string            `json:"name"` // of this boot: sda
	Kind       string            `json:"kind"` // "disk" or "cdrom"
	Slot       string            `json:"slot"` // place on the bus: the stable part of its sysfs path
	Vendor     Field[string]     `json:"vendor"`
	Model      Field[string]     `json:"model"`
	Serial     Field[string]     `json:"serial"`
	WWN        Field[string]     `json:"wwn"` // naa.…, eui.…, uuid.…, t10.…
	Firmware   Field[string]     `json:"firmware"`
	Bytes      Field[int64]      `json:"size_bytes"`
	Logical    Field[int64]      `json:"logical_block_bytes"`
	Physical   Field[int64]      `json:"physical_block_bytes"`
	Rotational Field[bool]       `json:"rotational"`
	Removable  Field[bool]       `json:"removable"`
	ReadOnly   Field[bool]       `json:"read_only"`
	Transport  Field[string]     `json:"transport"` // nvme, sata, sas, usb, virtio, virtio-scsi, scsi, mmc, …
	Driver     Field[string]     `json:"driver"`
	NVMe       Field[NVMe]       `json:"nvme"`
	Health     Field[NVMeHealth] `json:"nvme_health"` // SMART / health information log
}

// NVMe is what is particular to an NVMe controller.
type NVMe struct {
	Controller string        `json:"controller"` // of this boot: nvme0
	Transport  Field[string] `json:"transport"`  // pcie, tcp, …
	State      Field[string] `json:"state"`      // live, …
	NQN        Field[string] `json:"subsystem_nqn"`
	Capacity   Field[int64]  `json:"capacity_bytes"` // TNVMCAP of Identify Controller
}

// NVMeHealth is log page 2 (NVM Express base specification).
type NVMeHealth struct {
	CriticalWarning int64 `json:"critical_warning"` // bit field
	Celsius         int64 `json:"celsius"`          // composite temperature
	SparePercent    int64 `json:"available_spare_percent"`
	SpareThreshold  int64 `json:"spare_threshold_percent"`
	UsedPercent     int64 `json:"used_percent"` // of the rated endurance; may exceed 100
	PowerOnHours    int64 `json:"power_on_hours"`
	UnsafeShutdowns int64 `json:"unsafe_shutdowns"`
	MediaErrors     int64 `json:"media_errors"`
	LogEntries      int64 `json:"error_log_entries"`
}
