package services

import "github.com/bee-os/bee/pkg/node/supervise"

// sshsetup settles who may log in.
var sshsetup = supervise.Service{
	Name:     "sshsetup",
	Summary:  "authorised keys, password policy",
	Kind:     supervise.Oneshot,
	Command:  []string{"/bin/sshsetup"},
	Env:      oneProcessor,
	Wants:    []string{"localmount", "settings"}, // nobody logs in before these were tried
	Restart:  supervise.UntilSuccess,
	Critical: true,
}
