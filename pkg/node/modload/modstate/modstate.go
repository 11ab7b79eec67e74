// Package modstate is what coldplug tells the rest of the node about drivers:
// which modules it loaded, which refused, and which devices were left without
// one. One JSON file, written atomically; the audit and the smoke test read it.
package modstate

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"time"
)

// Path is where the file lies, relative to the root.
const Path = "run/bee/modules.json"

// State is the outcome of coldplug and of every uevent since.
type State struct {
	Loaded   []Module  `json:"loaded"`
	Failed   []Module  `json:"failed"`
	Orphans  []Orphan  `json:"orphans"`  // devices whose driver is not in the image or would not load
	Complete bool      `json:"complete"` // the first pass over sysfs is over
	Time     time.Time `json:"time"`
}

// Module is one attempt to load a module.
type Module struct {
	Name     string        `json:"name"`
	Options  string        `json:"options,omitempty"`
	Wanted   string        `json:"wanted,omitempty"` // modalias or "bee.module"; empty: a dependency
	Before   bool          `json:"before,omitempty"` // it was in the kernel already; with which options, and how long it took, nobody tells
	Duration time.Duration `json:"duration_ns"`
	Error    string        `json:"error,omitempty"`
}

// Orphan is a device without a driver.
type Orphan struct {
	Device   string   `json:"device"` // sysfs path below /sys
	Modalias string   `json:"modalias"`
	Modules  []string `json:"modules"`            // what the full kernel has for it; empty: this kernel has no driver
	Firmware []string `json:"firmware,omitempty"` // what those modules declare (modinfo)
	Reason   string   `json:"reason"`             // "not in the image", "blacklisted", "failed: …"
}

// Read reads the state below root. Before coldplug has written it the error
// wraps fs.ErrNotExist.
func Read(root fs.FS) (State, error) {
	var s State
	b, err := fs.ReadFile(root, Path)
	if err != nil {
		return s, fmt.Errorf("read module state: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("parse module state %s: %w", Path, err)
	}
	return s, nil
}
