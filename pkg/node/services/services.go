// Package services holds what bee runs: one file a service and one ordered
// list. The supervisor knows none of them; PID 1 joins the two.
//
// The order that must hold (DESIGN.md):
//
//	localmount
//	├── settings ── sshsetup ── sshd   starts without any network, and greets at once
//	├── coldplug ── nocloud       modules for the devices that are there; then a seed
//	└── network                   DHCP on every physical NIC, for ever
//	     └── nvidia
//	          └── audit           after nvidia, exit status 0 always
//
// Only what SSH needs is a need; all else is order. Whatever does not help the
// first SSH session waits until sshd had its chance, so that on a small
// machine it does not take the processor from it. Three begin in their turn and do
// not wait for the end of what stands before them (supervise.Service.Beside): sshd
// lets nobody in before sshsetup is done, network has no use for the mounts, audit
// has a first look at what is there, whose drivers hang, too.
//
// Beside the start of PID 1, ahead of all of it, a part of coldplug loads the drivers
// of network cards and disks: modload.AheadMain.
package services

import (
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// All is every service of this boot, in the order in which a boot starts them.
func All(p bootparam.Params) []supervise.Service {
	return []supervise.Service{
		localmount,
		network,
		settings(p),
		sshsetup,
		sshd,
		coldplug,
		nocloudFor(p),
		nvidiaFor(p),
		audit,
		console,
		timesync,
		powerkey,
		logshipFor(p),
	}
}
