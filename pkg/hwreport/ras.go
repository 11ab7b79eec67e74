package hwreport

// RAS is what the machine remembers of its own faults. Sources: /dev/kmsg,
// /sys/fs/pstore, /sys/firmware/acpi, /sys/class/watchdog.
type RAS struct {
	Records  Field[[]LogRecord] `json:"kernel_records"` // of this boot, equal ones together
	Previous Field[[]string]    `json:"previous_boot"`  // BERT: what the firmware kept of the last crash
	Pstore   Field[[]string]    `json:"pstore"`         // names of what an earlier kernel left
	Tables   Field[[]string]    `json:"acpi_tables"`    // BERT, ERST, EINJ, HEST that the firmware has
	Watchdog Field[string]      `json:"watchdog"`       // why it says that the last reset was: "card reset", …
}

// LogRecord is a kind of trouble in the kernel's log.
type LogRecord struct {
	Kind    string        `json:"kind"`    // mce, edac, ghes, aer, xid, io, thermal, hang, memory
	Subject string        `json:"subject"` // DIMM label, PCI address, disk; empty: none named
	Part    Field[string] `json:"part"`    // id of the part, where the report knows it
	Count   int64         `json:"count"`
	First   string        `json:"first"` // the message
}
