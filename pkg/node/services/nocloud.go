package services

import (
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// nocloud takes SSH keys and host name from a NoCloud seed. It comes after
// sshsetup, whose random password its keys end, and looks on for a minute: a
// USB stick needs longer to appear than its driver to load.
var nocloud = supervise.Service{
	Name:        "nocloud",
	Summary:     "SSH keys and host name from a volume labelled cidata",
	Command:     []string{"/bin/nocloud"},
	Wants:       []string{"coldplug"},
	After:       []string{"sshsetup", "sshd"},
	Restart:     supervise.OnFailure,
	GiveUpAfter: 3,  // what a seed breaks it breaks each time
	Nice:        10, // it begins beside the audit, which an operator waits for next
}

func nocloudFor(p bootparam.Params) supervise.Service {
	s := nocloud
	if p.NoCloud == "off" {
		s.Disabled = "bee.nocloud=off"
	}
	return s
}
