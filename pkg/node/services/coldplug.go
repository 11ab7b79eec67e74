package services

import "github.com/bee-os/bee/pkg/node/supervise"

// coldplug loads the modules that the devices ask for, and stays to serve what is
// plugged in later. What an operator waits for, a part of it did already, beside the
// start of PID 1 (modload.AheadMain).
var coldplug = supervise.Service{
	Name:    "coldplug",
	Summary: "kernel modules for the devices that are there",
	Command: []string{"/bin/coldplug"},
	Env:     oneProcessor,
	Wants:   []string{"localmount"},
	Restart: supervise.Always,
}
