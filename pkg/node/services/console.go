package services

import "github.com/bee-os/bee/pkg/node/supervise"

// console shows the machine's state on the serial and VGA consoles and opens a
// shell there.
var console = supervise.Service{
	Name:    "console",
	Summary: "state of the machine on the consoles; Enter opens a shell",
	Command: []string{"/bin/console"},
	After:   []string{"sshd", "audit"}, // the boot log has the console until then
	Restart: supervise.Always,
}
