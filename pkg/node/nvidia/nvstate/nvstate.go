// Package nvstate is what the nvidia service tells the rest of the node: which
// of the driver's modules it loaded, what the kernel answered, and what else went
// wrong. One JSON file, written atomically; the audit and the smoke test read it.
package nvstate

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Path is where the file lies, relative to the root.
const Path = "run/bee/nvidia.json"

// State is what became of it.
type State struct {
	GPUs        []string `json:"gpus"`                // PCI addresses
	Nothing     string   `json:"nothing,omitempty"`   // why there was nothing to do
	Image       string   `json:"image,omitempty"`     // release of the driver in the image
	Flavor      string   `json:"flavor,omitempty"`    // proprietary, open
	Driver      string   `json:"driver,omitempty"`    // release that runs
	Libraries   string   `json:"libraries,omitempty"` // release in the compat root
	Modules     []Module `json:"modules"`
	Problems    []string `json:"problems"` // what else went wrong: device files, versions
	Persistence string   `json:"persistence,omitempty"`
}

// Module is one attempt to load a module.
type Module struct {
	Name    string   `json:"name"`
	File    string   `json:"file"` // absolute path
	Options string   `json:"options,omitempty"`
	Loaded  bool     `json:"loaded"`
	Error   string   `json:"error,omitempty"`
	Kernel  []string `json:"kernel,omitempty"` // what the kernel's log said meanwhile
}

// Read reads the state below root. Before the service ran the error wraps
// fs.ErrNotExist.
func Read(root fs.FS) (State, error) {
	var s State
	text, err := fs.ReadFile(root, Path)
	if err != nil {
		return s, fmt.Errorf("read what became of the NVIDIA driver: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read what became of the NVIDIA driver: parse %s: %w", Path, err)
	}
	return s, nil
}

// Write writes the state below root, a directory, whole or not at all.
func (s State) Write(root string) error {
	if s.GPUs == nil {
		s.GPUs = []string{}
	}
	if s.Modules == nil {
		s.Modules = []Module{}
	}
	if s.Problems == nil {
		s.Problems = []string{}
	}
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	name := filepath.Join(root, Path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(name+".new", name)
}

// Failed is the modules that would not load.
func (s State) Failed() []Module {
	var list []Module
	for _, m := range s.Modules {
		if !m.Loaded {
			list = append(list, m)
		}
	}
	return list
}
