// Package gpuline is what gpuworker tells the program that started it: one
// Line of JSON a line, on its standard output. The last is Done; a worker that
// ends without it has not finished.
package gpuline

import "time"

// Program is the worker's name in the compat root.
const Program = "gpuworker"

// Line is one message: exactly one of its parts is there.
type Line struct {
	Device   *Device   `json:"device,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
	Result   *Result   `json:"result,omitempty"`
	Failed   *Failed   `json:"failed,omitempty"`
	Done     bool      `json:"done,omitempty"`
}

// Device is what the worker tests. Source: the CUDA driver API.
type Device struct {
	Address         string `json:"address"` // on the PCI bus
	Name            string `json:"name"`
	UUID            string `json:"uuid"`
	Capability      string `json:"capability"` // compute capability
	Driver          int    `json:"driver"`     // CUDA version that the driver speaks: 1000·major + 10·minor
	Multiprocessors int    `json:"multiprocessors"`
	Memory          uint64 `json:"memory_bytes"`
	MIG             bool   `json:"mig"` // not the GPU but an instance of it
}

// Progress is told about once a second.
type Progress struct {
	Test       string        `json:"test"`
	Elapsed    time.Duration `json:"elapsed_ns"` // since the worker started
	Iterations int64         `json:"iterations"`
	Errors     int64         `json:"errors"` // with what is no number
	Rate       float64       `json:"rate"`   // in the test's unit
	Unit       string        `json:"unit"`
}

// Units of rates.
const (
	FLOPS = "FLOP/s"
	Bytes = "B/s" // copies and memory tests count what is read and what is written
)

// Result is one test that ran to its end; or one that did not, and had counted
// something wrong before: then Failed follows.
type Result struct {
	Test       string   `json:"test"`
	Kernel     string   `json:"kernel,omitempty"` // the fastest of those tried
	Rate       float64  `json:"rate"`
	Unit       string   `json:"unit"`
	Iterations int64    `json:"iterations"`
	Tested     uint64   `json:"tested_bytes,omitempty"` // of memory
	Errors     int64    `json:"errors"`                 // 32-bit words that differ
	NaNs       int64    `json:"nans,omitempty"`
	Bits       uint64   `json:"bits,omitempty"` // that were ever wrong
	First      []Wrong  `json:"first,omitempty"`
	Against    float64  `json:"against,omitempty"`    // the rate's share of what it is held against: a copy, or the library's product
	Distrusted []string `json:"distrusted,omitempty"` // kernels whose products are wrong where another's is right: not used
	Skipped    string   `json:"skipped,omitempty"`    // why this GPU cannot be tested so
}

// Wrong is one wrong word.
type Wrong struct {
	Offset uint64 `json:"offset"` // bytes into the memory tested, or into the product
	Got    uint32 `json:"got"`
	Want   uint32 `json:"want"`
}

// Failed is why a worker gave up.
type Failed struct {
	Test  string `json:"test,omitempty"`
	Call  string `json:"call,omitempty"` // of the driver API
	Code  int    `json:"code,omitempty"` // CUresult
	Error string `json:"error"`
	Load  bool   `json:"load,omitempty"` // the GPU broke under load; else it could not be tested
}
