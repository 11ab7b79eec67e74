package hwreport

// Storage is the disks, what they hang on and what they sit in. Sources:
// /sys/block, /sys/class/{scsi_host,enclosure}, NVMe admin commands, SCSI and
// ATA commands through SG_IO.
type Storage struct {
	Disks       Field[[]Disk]              `json:"disks"`
	Controllers Field[[]StorageController] `json:"controllers"`
	Enclosures  Field[[]Enclosure]         `json:"enclosures"` // absent: none, or none with SES
}

// Disk is one physical or virtual disk: a block device with hardware behind it,
// or a disk that a RAID controller keeps to itself.
type Disk struct {
	ID         string        `json:"id"`   // disk:<wwn, EUI-64 or serial>, else its place
	Name       string        `json:"name"` // of this boot: sda
	Kind       string        `json:"kind"` // "disk" or "cdrom"
	Slot       string        `json:"slot"` // place on the bus: the stable part of its sysfs path
	Bay        Field[string] `json:"bay"`  // slot of the enclosure, "<enclosure>/<slot>"
	Vendor     Field[string] `json:"vendor"`
	Model      Field[string] `json:"model"`
	Serial     Field[string] `json:"serial"`
	WWN        Field[string] `json:"wwn"` // naa.…, eui.…, uuid.…, t10.…
	Firmware   Field[string] `json:"firmware"`
	Bytes      Field[int64]  `json:"size_bytes"`
	Logical    Field[int64]  `json:"logical_block_bytes"`
	Physical   Field[int64]  `json:"physical_block_bytes"`
	Rotational Field[bool]   `json:"rotational"`
	RPM        Field[int64]  `json:"rpm"` // absent: the medium does not rotate, or it is not told
	FormFactor Field[string] `json:"form_factor"`
	Removable  Field[bool]   `json:"removable"`
	ReadOnly   Field[bool]   `json:"read_only"`
	Transport  Field[string] `json:"transport"` // nvme, sata, sas, usb, virtio, virtio-scsi, scsi, mmc, …
	Driver     Field[string] `json:"driver"`

	// Health in the same words for every kind of disk.
	Verdict      Field[DiskVerdict] `json:"verdict"`
	Reasons      Field[[]string]    `json:"verdict_reasons"` // absent where all is well
	Celsius      Field[int64]       `json:"celsius"`
	PowerOnHours Field[int64]       `json:"power_on_hours"`
	UsedPercent  Field[int64]       `json:"used_percent"` // of the rated endurance; may exceed 100
	MediaErrors  Field[int64]       `json:"media_errors"` // unrecovered
	SelfTests    Field[[]SelfTest]  `json:"self_tests"`   // newest first

	NVMe Field[NVMe]     `json:"nvme"`
	ATA  Field[ATA]      `json:"ata"`
	SCSI Field[SCSIDisk] `json:"scsi"`
}

// DiskVerdict is a disk's health in one word.
type DiskVerdict string

// The verdicts, the gravest last.
const (
	DiskOK      DiskVerdict = "ok"
	DiskWorn    DiskVerdict = "worn"    // its rated endurance is used up; it works
	DiskFailing DiskVerdict = "failing" // it says itself that it will fail, or has lost data
	DiskFailed  DiskVerdict = "failed"  // it does not work
)

// SelfTest is one result of a disk's own test.
type SelfTest struct {
	Kind   string       `json:"kind"`           // short, extended, …
	Result string       `json:"result"`         // "passed", "failed: …", "aborted …", "running"
	Hours  Field[int64] `json:"power_on_hours"` // when
}

// NVMe is what is particular to an NVMe disk.
type NVMe struct {
	Controller     string                 `json:"controller"` // of this boot: nvme0
	Transport      Field[string]          `json:"transport"`  // pcie, tcp, …
	State          Field[string]          `json:"state"`      // live, …
	NQN            Field[string]          `json:"subsystem_nqn"`
	ControllerID   Field[int64]           `json:"controller_id"`
	VendorID       Field[string]          `json:"vendor_id"`            // PCI, four hexadecimal digits
	Version        Field[string]          `json:"version"`              // of the specification, "1.4.0"
	Capacity       Field[int64]           `json:"capacity_bytes"`       // TNVMCAP
	Unallocated    Field[int64]           `json:"unallocated_bytes"`    // UNVMCAP
	WarningCelsius Field[int64]           `json:"warning_celsius"`      // WCTEMP
	CritCelsius    Field[int64]           `json:"critical_celsius"`     // CCTEMP
	Namespaces     Field[[]NVMeNamespace] `json:"namespaces"`           //
	Firmware       Field[[]FirmwareSlot]  `json:"firmware_slots"`       //
	Health         Field[NVMeHealth]      `json:"health"`               // log page 02h
	Errors         Field[[]NVMeError]     `json:"errors"`               // log page 01h, newest first
	TestRunning    Field[int64]           `json:"self_test_percent"`    // absent: none runs
	MaxNamespaces  Field[int64]           `json:"namespaces_supported"` //
}

// NVMeNamespace is one namespace of the controller.
type NVMeNamespace struct {
	Number     int64         `json:"nsid"`
	Bytes      Field[int64]  `json:"size_bytes"`
	Used       Field[int64]  `json:"used_bytes"`
	BlockBytes Field[int64]  `json:"block_bytes"`
	EUI64      Field[string] `json:"eui64"`
	NGUID      Field[string] `json:"nguid"`
}

// FirmwareSlot is a place for a firmware image.
type FirmwareSlot struct {
	Slot     int64  `json:"slot"`
	Revision string `json:"revision"` // empty: the slot is
	Active   bool   `json:"active"`
	Next     bool   `json:"next"` // from the next reset on
}

// NVMeHealth is log page 02h (NVM Express base specification 2.0, figure 207).
type NVMeHealth struct {
	CriticalWarning  int64 `json:"critical_warning"` // bit field
	Celsius          int64 `json:"celsius"`          // composite temperature
	SparePercent     int64 `json:"available_spare_percent"`
	SpareThreshold   int64 `json:"spare_threshold_percent"`
	UsedPercent      int64 `json:"used_percent"`       // of the rated endurance; may exceed 100
	DataUnitsRead    int64 `json:"data_units_read"`    // of 512,000 bytes
	DataUnitsWritten int64 `json:"data_units_written"` // of 512,000 bytes
	ReadCommands     int64 `json:"host_read_commands"`
	WriteCommands    int64 `json:"host_write_commands"`
	BusyMinutes      int64 `json:"busy_minutes"`
	PowerCycles      int64 `json:"power_cycles"`
	PowerOnHours     int64 `json:"power_on_hours"`
	UnsafeShutdowns  int64 `json:"unsafe_shutdowns"`
	MediaErrors      int64 `json:"media_errors"`
	LogEntries       int64 `json:"error_log_entries"`
	WarningMinutes   int64 `json:"warning_temperature_minutes"`
	CriticalMinutes  int64 `json:"critical_temperature_minutes"`
}

// NVMeError is an entry of log page 01h.
type NVMeError struct {
	Count     int64  `json:"count"` // number of this error since the controller was made
	Status    string `json:"status"`
	LBA       int64  `json:"lba"`
	Namespace int64  `json:"nsid"`
}

// ATA is what is particular to an ATA disk (ACS-4).
type ATA struct {
	Transport  Field[string]         `json:"transport"` // "SATA 3.2"
	Gbps       Field[string]         `json:"gbps"`      // negotiated: "6.0"
	MaxGbps    Field[string]         `json:"max_gbps"`
	TRIM       Field[bool]           `json:"trim"`
	Security   Field[[]string]       `json:"security"`       // supported, enabled, locked, frozen
	SMART      Field[bool]           `json:"smart_enabled"`  // absent: not supported
	Passed     Field[bool]           `json:"smart_passed"`   // SMART RETURN STATUS
	Attributes Field[[]ATAAttribute] `json:"attributes"`     //
	Errors     Field[int64]          `json:"reported_count"` // SMART error log
}

// ATAAttribute is one row of the SMART table.
type ATAAttribute struct {
	ID         int64        `json:"id"`
	Name       string       `json:"name"` // empty: makers do not agree
	Value      int64        `json:"value"`
	Worst      int64        `json:"worst"`
	Threshold  Field[int64] `json:"threshold"`
	Prefailure bool         `json:"prefailure"`
	Raw        int64        `json:"raw"`
	Failed     string       `json:"failed,omitempty"` // "now" or "past"
}

// SCSIDisk is what is particular to a SCSI or SAS disk (SPC-6, SBC-4).
type SCSIDisk struct {
	Version       Field[int64]      `json:"spc_version"`     // version byte of INQUIRY; 6 is SPC-4
	Address       Field[string]     `json:"sas_address"`     // of the port that answers
	Exception     Field[string]     `json:"exception"`       // what the disk warns of; absent: nothing
	TripCelsius   Field[int64]      `json:"trip_celsius"`    // reference temperature
	Write         Field[SCSIErrors] `json:"write_errors"`    // log page 02h
	Read          Field[SCSIErrors] `json:"read_errors"`     // log page 03h
	Verify        Field[SCSIErrors] `json:"verify_errors"`   // log page 05h
	NonMedium     Field[int64]      `json:"non_medium"`      // log page 06h
	GrownDefects  Field[int64]      `json:"grown_defects"`   //
	StartStops    Field[int64]      `json:"start_stops"`     // accumulated, log page 0Eh
	LoadUnloads   Field[int64]      `json:"load_unloads"`    //
	LifetimeStart Field[int64]      `json:"start_stops_max"` // specified
}

// SCSIErrors are the counters of an error page.
type SCSIErrors struct {
	Corrected   Field[int64] `json:"corrected"`
	Bytes       Field[int64] `json:"bytes"`
	Uncorrected Field[int64] `json:"uncorrected"`
}

// StorageController is a host adapter.
type StorageController struct {
	ID       string        `json:"id"`      // its place on the bus
	Address  string        `json:"address"` // of this boot; empty: not on a PCI bus
	Driver   Field[string] `json:"driver"`
	Model    Field[string] `json:"model"`
	Serial   Field[string] `json:"serial"`
	Firmware Field[string] `json:"firmware"`
	BIOS     Field[string] `json:"bios"`
	State    Field[string] `json:"state"`
	Hidden   Field[[]Disk] `json:"hidden_disks"` // behind a RAID controller; absent: it shows all

	Volumes Field[[]Volume]     `json:"volumes"` // by a maker's program; absent: there is none in the image
	Members Field[[]RAIDMember] `json:"members"` // the same
}

// Volume is a RAID volume as its controller sees it.
type Volume struct {
	Name  string `json:"name"`
	Level string `json:"level"` // "RAID1"
	State string `json:"state"` // of the maker: "Optl", "Okay (OKY)", …
	Good  bool   `json:"good"`  // what the maker means by that
	Size  string `json:"size"`
}

// RAIDMember is a disk as its controller sees it.
type RAIDMember struct {
	Place  string `json:"place"` // enclosure:slot
	State  string `json:"state"` // of the maker: "Onln", "Optimal (OPT)", …
	Good   bool   `json:"good"`
	Model  string `json:"model"`
	Serial string `json:"serial"` // empty: not told
}

// Enclosure is a disk shelf that answers SES (SCSI Enclosure Services).
type Enclosure struct {
	ID     string  `json:"id"`
	Vendor string  `json:"vendor"`
	Model  string  `json:"model"`
	Slots  []Place `json:"slots"`
}

// Place is a slot of an enclosure.
type Place struct {
	Name   string        `json:"name"`
	Number Field[int64]  `json:"number"`
	Status Field[string] `json:"status"`
	Fault  Field[bool]   `json:"fault"`
	Locate Field[bool]   `json:"locate"`
	Disk   Field[string] `json:"disk"` // id; absent: empty
}
