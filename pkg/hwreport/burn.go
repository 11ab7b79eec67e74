package hwreport

import "time"

// BurnPath is where the report of the last burn-in lies, relative to the root.
const BurnPath = "var/log/bee-burn.json"

// BurnSchema names the form of the report.
const BurnSchema = "bee-burn/1"

// Burn is the report of a burn-in: what was put under load, and how it did.
type Burn struct {
	Schema      string     `json:"schema"`
	Verdict     Verdict    `json:"verdict"`
	Started     time.Time  `json:"started"`
	Asked       float64    `json:"asked_seconds"`
	Took        float64    `json:"took_seconds"`
	Interrupted bool       `json:"interrupted"`    // somebody ended it before its time
	Untested    []string   `json:"could_not_test"` // what was asked for and has no part below, and why
	Parts       []BurnPart `json:"parts"`
	Findings    []Finding  `json:"findings"`
}

// BurnPart is one thing that was put under load.
type BurnPart struct {
	Kind     string     `json:"kind"` // gpu, cpu, mem, disk-read
	ID       string     `json:"id"`   // stable, as in the audit's report
	Name     string     `json:"name"` // for people
	Verdict  Verdict    `json:"verdict"`
	Untested string     `json:"could_not_test,omitempty"` // why some or all of it was not tested
	Tests    []BurnTest `json:"tests"`
	Load     BurnLoad   `json:"load"`
}

// BurnTest is one test of a part. Source: the test's own counters.
type BurnTest struct {
	Name       string         `json:"name"`
	Kernel     string         `json:"kernel,omitempty"` // of a GPU's: which of several was taken
	Skipped    string         `json:"skipped,omitempty"`
	Rate       Field[float64] `json:"rate"`
	Unit       string         `json:"unit"` // of the rate: FLOP/s, B/s
	Iterations int64          `json:"iterations"`
	Tested     int64          `json:"tested_bytes,omitempty"`
	Errors     int64          `json:"errors"`         // with those of NaNs
	NaNs       int64          `json:"nans,omitempty"` // numbers of products that are infinite or undefined
	First      []BurnWrong    `json:"first_errors,omitempty"`
	// Against is the rate's share of a yardstick of the same run: of a memory
	// test on a GPU, the driver's own copy; of a product, the library's.
	Against Field[float64] `json:"against"`
}

// BurnWrong is one wrong result.
type BurnWrong struct {
	Where string `json:"where"` // core, address, or offset
	Got   string `json:"got"`
	Want  string `json:"want"`
}

// BurnLoad is what was measured while a part was under load. Sources: NVML for
// GPUs; /sys/class/hwmon, cpufreq and thermal_throttle for processors;
// /sys/devices/system/edac for memory.
type BurnLoad struct {
	Samples     int64            `json:"samples"`
	TempMax     Field[int64]     `json:"temperature_max_c"`
	MemTempMax  Field[int64]     `json:"memory_temperature_max_c"`
	PowerMax    Field[int64]     `json:"power_max_mw"`
	ClockMin    Field[int64]     `json:"clock_min_mhz"`
	ClockMax    Field[int64]     `json:"clock_max_mhz"`
	Throttle    map[string]int64 `json:"throttle"` // samples in which a reason held, or events counted
	Corrected   Field[int64]     `json:"ecc_corrected"`
	Uncorrected Field[int64]     `json:"ecc_uncorrected"`
	Link        Field[GPULinkAt] `json:"pcie_link"` // the least seen under load
	XIDs        []int64          `json:"xids"`
}

// BurnCodes lists every kind of finding that a burn-in makes.
func BurnCodes() []Code {
	return []Code{
		{"burn.wrong-results", "a computation gave a result other than the known one"},
		{"burn.memory-errors", "memory gave back something else than was written"},
		{"burn.not-a-number", "a computation gave infinite or undefined numbers"},
		{"burn.broke-under-load", "a GPU stopped working while it computed"},
		{"burn.xid", "the NVIDIA driver logged an XID during the load"},
		{"burn.ecc-corrected", "errors were corrected under load"},
		{"burn.ecc-uncorrected", "errors could not be corrected under load"},
		{"burn.throttled", "the part was slowed down under load"},
		{"burn.hot", "a sensor reached its limit under load"},
		{"burn.slow", "a part is slower than the median of its equals"},
		{"burn.below-minimum", "a rate is below what was asked for"},
		{"burn.slow-memory", "a GPU's memory test is slow against the driver's own copy"},
		{"burn.link-width", "a link had fewer lanes under load than both its ends can"},
		{"burn.link-speed", "a link was slower under load than both its ends can"},
		{"burn.unwatched", "temperatures, throttling or error counters could not be watched"},
		{"burn.instance-only", "a GPU in MIG mode was tested by one instance of it alone"},
		{"burn.distrusted", "a kernel of the burn-in gave wrong products on a GPU whose others are right"},
		{"burn.machine-check", "the kernel logged a machine check during the load"},
		{"burn.io-error", "a disk could not read some of its blocks"},
		{"burn.partly-read", "the time was not enough to read a whole disk"},
		{"burn.cached", "a disk could not be read past the page cache"},
		{"burn.unlocked", "memory could not be locked for its test"},
		{"burn.slow-region", "a region of a disk is far slower than the rest of it"},
	}
}

// Judge computes the verdict of the whole and of each part, as the audit does:
// a failure outweighs what could not be tested, and that a warning.
func (b *Burn) Judge() Verdict {
	whole := Fine
	for i := range b.Parts {
		p := &b.Parts[i]
		p.Verdict = Fine
		if p.Untested != "" {
			p.Verdict = Incomplete
		}
		for _, f := range b.Findings {
			if f.Subject == p.ID {
				p.Verdict = graver(p.Verdict, verdictOf(f.Severity))
			}
		}
		whole = graver(whole, p.Verdict)
	}
	for _, f := range b.Findings {
		whole = graver(whole, verdictOf(f.Severity))
	}
	if b.Interrupted || len(b.Untested) > 0 || len(b.Parts) == 0 {
		whole = graver(whole, Incomplete)
	}
	b.Verdict = whole
	return whole
}

func verdictOf(s Severity) Verdict {
	switch s {
	case Failure:
		return Broken
	case Warning:
		return Warned
	}
	return Fine
}

// graver returns the one that outweighs the other.
func graver(a, b Verdict) Verdict {
	for _, v := range []Verdict{Broken, Incomplete, Warned} {
		if a == v || b == v {
			return v
		}
	}
	return Fine
}
