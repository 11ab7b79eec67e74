package services

import (
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// nvidia loads the GPU driver by absolute path, where there is a GPU and a
// driver in the image.
var nvidia = supervise.Service{
	Name:    "nvidia",
	Summary: "NVIDIA driver, by absolute path",
	Kind:    supervise.Oneshot,
	Command: []string{"/bin/nvidia", "load"},
	After:   []string{"network", "sshd"},
	Nice:    10, // it begins while the first operator is being greeted
	// Eight GPUs take seconds each to come up; the audit waits for the order.
	StartTimeout: 90 * time.Second,
}

func nvidiaFor(p bootparam.Params) supervise.Service {
	s := nvidia
	if p.NVIDIAOff {
		s.Disabled = "bee.nvidia=off"
	}
	return s
}
