package services

import "github.com/bee-os/bee/pkg/node/supervise"

// coldplug loads the modules that the devices ask for, network first, and
// stays to serve what is plugged in later.
func coldplug() supervise.Service {
	return supervise.Service{
		Name:    "coldplug",
		Summary: "kernel modules for the devices that are there",
		Command: []string{"/bin/coldplug"},
		Env:     oneProcessor,
		Wants:   []string{"localmount"},
		Restart: supervise.Always,
		Nice:    -15, // until the network cards have their drivers; then it yields by itself
	}
}
