package services

import (
	"time"

	"github.com/bee-os/bee/pkg/node/supervise"
)

// audit writes /var/log/bee-audit.json. In this mode it exits with status 0
// whatever it finds: the report says what is wrong, and the boot goes on. It begins
// while drivers are being loaded, with a first look that asks no device: where one
// hangs, there is a report nevertheless.
var audit = supervise.Service{
	Name:         "audit",
	Summary:      "hardware report in /var/log/bee-audit.json",
	Kind:         supervise.Oneshot,
	Command:      []string{"/bin/audit", "--boot", "--ahead"},
	Wants:        []string{"coldplug"},
	After:        []string{"network", "nvidia", "sshd"},
	Beside:       []string{"coldplug", "nvidia"},
	Nice:         15,                                                                   // until its first look is over; then it takes that back by itself
	StartTimeout: nvidia.StartTimeout + supervise.DefaultStartTimeout + 20*time.Second, // its collectors have deadlines of 15 s and less
}
