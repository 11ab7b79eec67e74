package services

import "github.com/bee-os/bee/pkg/node/supervise"

// powerkey powers the machine off when its button is pressed. To let the button
// be: svc stop powerkey, or bee.blacklist=button.
var powerkey = supervise.Service{
	Name:    "powerkey",
	Summary: "power button: power off in order",
	Command: []string{"/bin/powerkey"},
	After:   []string{"sshd", "coldplug", "audit"},
	Restart: supervise.Always,
}
