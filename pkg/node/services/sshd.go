package services

import (
	"time"

	"github.com/bee-os/bee/pkg/node/supervise"
)

// waitForSSH bounds what sshd comes after without needing it: whatever hangs there,
// SSH comes up.
const waitForSSH = 10 * time.Second

// sshd is what an operator looks through: it never gives up, is stopped last,
// and needs no network.
var sshd = supervise.Service{
	Name:        "sshd",
	Summary:     "SSH server on port 22, IPv4 and IPv6",
	Command:     []string{"/bin/sshd"},
	Env:         oneProcessor,
	Needs:       []string{"sshsetup"},
	Wants:       []string{"localmount"},
	Beside:      []string{"sshsetup", "localmount"}, // greets at once, and lets nobody in before that
	Restart:     supervise.Always,
	StopLast:    true,
	Critical:    true,
	OOMScoreAdj: -900,
	Nice:        -10, // until it lets people in; then it takes that back by itself
	// sshsetup may take all of its time first.
	StartTimeout: waitForSSH + supervise.DefaultOneshotStartTimeout + supervise.DefaultStartTimeout,
}
