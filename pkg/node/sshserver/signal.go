package sshserver

import (
	"strconv"
	"syscall"
)

// signals are RFC 4254, 6.10, and the ones that OpenSSH adds in its own way.
var signals = []struct {
	name string
	sig  syscall.Signal
}{
	{"ABRT", syscall.SIGABRT}, {"ALRM", syscall.SIGALRM}, {"FPE", syscall.SIGFPE}, {"HUP", syscall.SIGHUP},
	{"ILL", syscall.SIGILL}, {"INT", syscall.SIGINT}, {"KILL", syscall.SIGKILL}, {"PIPE", syscall.SIGPIPE},
	{"QUIT", syscall.SIGQUIT}, {"SEGV", syscall.SIGSEGV}, {"TERM", syscall.SIGTERM}, {"USR1", syscall.SIGUSR1},
	{"USR2", syscall.SIGUSR2}, {"INFO@openssh.com", syscall.SIGUSR1},
}

func signalNamed(name string) (syscall.Signal, bool) {
	for _, s := range signals {
		if s.name == name {
			return s.sig, true
		}
	}
	return 0, false
}

// signalName is what exit-signal carries; signals without a name in the RFC
// are sent in its "name@domain" form.
func signalName(sig syscall.Signal) string {
	for _, s := range signals {
		if s.sig == sig {
			return s.name
		}
	}
	return "SIG" + strconv.Itoa(int(sig)) + "@bee"
}
