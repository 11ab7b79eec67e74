package services

import (
	"time"

	"github.com/bee-os/bee/pkg/node/supervise"
)

// audit writes /var/log/bee-audit.json. In this mode it exits with status 0
// whatever it finds: the report says what is wrong, and the boot goes on.
var audit = supervise.Service{
	Name:         "audit",
	Summary:      "hardware report in /var/log/bee-audit.json",
	Kind:         supervise.Oneshot,
	Command:      []string{"/bin/audit", "--boot"},
	Wants:        []string{"coldplug"},
	After:        []string{"network", "nvidia", "sshd"},
	StartTimeout: 20 * time.Second, // its collectors have deadlines of 15 s and less
}
