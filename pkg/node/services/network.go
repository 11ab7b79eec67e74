package services

import "github.com/bee-os/bee/pkg/node/supervise"

// network is ready as soon as it watches the links: a lease is a condition of
// others, never something that a boot waits for.
var network = supervise.Service{
	Name:     "network",
	Summary:  "DHCP and router advertisements on every physical NIC",
	Command:  []string{"/bin/netup"},
	Env:      oneProcessor,
	Wants:    []string{"localmount"},
	Beside:   []string{"localmount"}, // it makes its own folders, and mounts nothing
	Provides: []string{"carrier", "route"},
	Restart:  supervise.Always,
	Nice:     -15, // it has little to do, and an operator waits longest for it
}
