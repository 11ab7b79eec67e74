package services

import (
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// nvidia loads the GPU driver by absolute path, where there is a GPU and a
// driver in the image.
func nvidia(p bootparam.Params) supervise.Service {
	s := supervise.Service{
		Name:    "nvidia",
		Summary: "NVIDIA driver, by absolute path",
		Kind:    supervise.Oneshot,
		Command: []string{"/bin/nvidia", "load"},
		After:   []string{"network", "sshd"},
	}
	if p.NVIDIAOff {
		s.Disabled = "bee.nvidia=off"
	}
	return s
}
