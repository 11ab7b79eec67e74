package hwreport

// GPULoad is what became of NVIDIA's driver at boot, as the service that loads
// it by absolute path tells (/run/bee/nvidia.json).
type GPULoad struct {
	Version  string      `json:"version"`  // release of the driver in the image; empty: it carries none
	Flavour  string      `json:"flavour"`  // "proprietary" or "open"
	Nothing  string      `json:"nothing"`  // why there was nothing to load; empty: there was
	Modules  []GPUModule `json:"modules"`  // in the order in which they were tried
	Problems []string    `json:"problems"` // what else went wrong: device files, versions, persistence mode
}

// GPUModule is one module of it.
type GPUModule struct {
	Name   string   `json:"name"`
	File   string   `json:"file"` // absolute path
	Loaded bool     `json:"loaded"`
	Error  string   `json:"error"`  // empty: none
	Kernel []string `json:"kernel"` // what the kernel's log said meanwhile
}
