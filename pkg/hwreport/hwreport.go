// Package hwreport is the data model of the hardware audit: what
// /var/log/bee-audit.json holds. The node fills it, everybody reads it; it
// touches no machine itself.
//
// Three rules shape it. A property is a Field: a value, absent, or unknown with
// a reason; "could not look" never reads like "is not there". Each section says
// who collected it, from where, how long that took and what went wrong. Things
// are named by stable ids (WWN, EUI-64, serial, slot path), never by
// enumeration order, so that two reports of one machine can be compared.
//
// The types are plain structs with JSON tags, Field[T] and Section[T]: a JSON
// Schema can be generated from them by reflection alone.
package hwreport

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Schema is the version of the model (semver): a field that goes or changes
// its meaning raises the first number, a new one the second.
const Schema = "2.1.0"

// Path is where the node keeps its report, relative to the root.
const Path = "var/log/bee-audit.json"

// MaxSize bounds what Decode accepts, in bytes. The report of a machine with
// a thousand PCI functions has about 2 MiB.
const MaxSize = 32 << 20

// Report is one audit of one machine. Durations are in nanoseconds.
type Report struct {
	Schema   string        `json:"schema"`
	Verdict  Verdict       `json:"verdict"`
	Complete bool          `json:"complete"` // every collector came to an end, be it a bad one
	Started  time.Time     `json:"started"`  // by the clock of the machine
	Duration time.Duration `json:"duration_ns"`
	BootID   Field[string] `json:"boot_id"` // /proc/sys/kernel/random/boot_id

	Board   Section[Board]   `json:"board"`
	CPU     Section[CPU]     `json:"cpu"`
	Memory  Section[Memory]  `json:"memory"`
	Storage Section[Storage] `json:"storage"`
	PCIe    Section[PCIe]    `json:"pcie"`
	PSU     Section[PSU]     `json:"psu"`
	IPMI    Section[IPMI]    `json:"ipmi"`
	Network Section[Network] `json:"network"`
	GPU     Section[GPU]     `json:"gpu"`
	TPM     Section[TPM]     `json:"tpm"`
	RAS     Section[RAS]     `json:"ras"`
	Drivers Section[Drivers] `json:"drivers"`
	Boot    Section[Boot]    `json:"boot"`

	Findings []Finding `json:"findings"` // gravest first
}

// Section is the part of one collector.
type Section[T any] struct {
	Collector Collector `json:"collector"`
	Data      T         `json:"data"`
}

// Collector says how a section came to be.
type Collector struct {
	Name     string        `json:"name"`
	Status   Status        `json:"status"`
	Duration time.Duration `json:"duration_ns"`
	Deadline time.Duration `json:"deadline_ns"`
	Source   []string      `json:"source"` // files and interfaces that it reads
	Error    string        `json:"error,omitempty"`
}

// Status is how a collector ended.
type Status string

// The states of a collector. Only OK is good.
const (
	Running Status = "running" // not yet at its end
	OK      Status = "ok"
	Failed  Status = "failed"  // Error says why; what it got until then is kept
	Timeout Status = "timeout" // given up at its deadline
	Skipped Status = "skipped" // was not asked for
)

// Collectors returns the collectors of all sections, in the order of the
// report.
func (r *Report) Collectors() []*Collector {
	return []*Collector{
		&r.Board.Collector, &r.CPU.Collector, &r.Memory.Collector, &r.Storage.Collector,
		&r.PCIe.Collector, &r.PSU.Collector, &r.IPMI.Collector, &r.Network.Collector, &r.GPU.Collector, &r.TPM.Collector, &r.RAS.Collector, &r.Drivers.Collector,
		&r.Boot.Collector,
	}
}

// Encode renders the report as indented JSON with an end of line.
func (r *Report) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return nil, fmt.Errorf("encode audit report: %w", err)
	}
	return append(b, '\n'), nil
}

// Decode reads a report. It checks the form; Validate checks the content.
func Decode(b []byte) (*Report, error) {
	if len(b) > MaxSize {
		return nil, fmt.Errorf("decode audit report: %d bytes are more than %d", len(b), MaxSize)
	}
	if len(b) == 0 {
		return nil, errors.New("decode audit report: it is empty")
	}
	r := new(Report)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("decode audit report: %w", err)
	}
	return r, nil
}
