package services

import (
	"github.com/bee-os/bee/pkg/node/bringup"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// localmount is the root of the graph. It runs inside PID 1: nothing that it
// needs can be missing from the image.
var localmount = supervise.Service{
	Name:    "localmount",
	Summary: "file systems and directories",
	Kind:    supervise.Oneshot,
	Func:    bringup.LocalMount,

	StartTimeout: waitForSSH,
}
