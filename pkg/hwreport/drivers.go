package hwreport

// Drivers is what became of the modules that the devices asked for. Source:
// coldplug's /run/bee/modules.json, /proc/modules.
type Drivers struct {
	Loaded   Field[int64]          `json:"modules_loaded"` // in the kernel now
	Failed   Field[[]FailedModule] `json:"failed"`
	Orphans  Field[[]Orphan]       `json:"without_driver"`
	Complete Field[bool]           `json:"complete"` // coldplug's first pass is over
}

// FailedModule is a module that would not load.
type FailedModule struct {
	Name  string `json:"name"`
	Error string `json:"error"`
}

// Orphan is a device without a driver.
type Orphan struct {
	ID       string   `json:"id"`
	Device   string   `json:"device"` // sysfs path below /sys
	Modalias string   `json:"modalias"`
	Modules  []string `json:"modules"`  // what the full kernel package has for it
	Firmware []string `json:"firmware"` // what those modules ask for
	Reason   string   `json:"reason"`
}
