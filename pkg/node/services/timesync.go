package services

import "github.com/bee-os/bee/pkg/node/supervise"

// timesync raises the condition clock: from the hardware clock, else from the
// image's build date, else from a time server that somebody named.
func timesync() supervise.Service {
	return supervise.Service{
		Name:     "timesync",
		Summary:  "clock: hardware, build date, NTP where a server is named",
		Command:  []string{"/bin/timesync"},
		After:    []string{"sshd", "network", "audit"},
		Provides: []string{"clock"},
		Restart:  supervise.Always,
	}
}
