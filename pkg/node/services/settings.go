package services

import (
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/bringup"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// settings runs inside PID 1, beside the loading of modules. Nobody logs in
// before it was tried: sshsetup comes after it.
func settings(p bootparam.Params) supervise.Service {
	return supervise.Service{
		Name:    "settings",
		Summary: "kernel settings, links, /etc/fstab",
		Kind:    supervise.Oneshot,
		Func:    bringup.Settings(p),
		Wants:   []string{"localmount"},

		StartTimeout: waitForSSH,
	}
}
