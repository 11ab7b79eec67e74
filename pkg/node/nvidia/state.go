package nvidia

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// StatePath is where the service tells what became of the driver, relative to
// the root.
const StatePath = "run/bee/nvidia.json"

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

// ReadState reads the state below root. Before the service ran the error wraps
// fs.ErrNotExist.
func ReadState(root fs.FS) (State, error) {
	var s State
	text, err := fs.ReadFile(root, StatePath)
	if err != nil {
		return s, fmt.Errorf("read what became of the NVIDIA driver: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read what became of the NVIDIA driver: parse %s: %w", StatePath, err)
	}
	return s, nil
}

// write writes the state below root, whole or not at all.
func (s State) write(root string) error {
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
	name := filepath.Join(root, StatePath)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(name+".new", append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(name+".new", name)
}

// failed is the modules that would not load.
func (s State) failed() []Module {
	var list []Module
	for _, m := range s.Modules {
		if !m.Loaded {
			list = append(list, m)
		}
	}
	return list
}
