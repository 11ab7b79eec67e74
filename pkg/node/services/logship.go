package services

import (
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/supervise"
)

// logship sends every log line since the boot to bee.syslog, once there is a
// route, and goes down after all others.
var logship = supervise.Service{
	Name:     "logship",
	Summary:  "log lines to a remote syslog",
	Command:  []string{"/bin/logship"},
	Needs:    []string{"route"},
	Restart:  supervise.Always,
	StopLast: true,
}

func logshipFor(p bootparam.Params) supervise.Service {
	s := logship
	if p.Syslog == "" {
		s.Disabled = "no bee.syslog= names a server"
	}
	return s
}
