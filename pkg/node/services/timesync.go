package services

import "github.com/bee-os/bee/pkg/node/supervise"

// timesync raises the condition clock where the hardware clock can be believed,
// else when a time server that somebody named has answered; the image's build
// date is a floor either way.
var timesync = supervise.Service{
	Name:     "timesync",
	Summary:  "clock: hardware, build date, NTP where a server is named",
	Command:  []string{"/bin/timesync"},
	After:    []string{"sshd", "network", "audit"},
	Provides: []string{"clock"},
	Restart:  supervise.Always,
}
