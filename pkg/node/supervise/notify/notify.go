// Package notify is how a service tells the supervisor what it is up to: lines
// on a pipe that the supervisor left open for it. It needs no library beyond
// this one; a shell script can say `echo ready >&3`.
//
//	ready                     it does its work now
//	degraded <reason>         it works, not as well as it should
//	status <text>             a word for svc status
//	condition <name> up|down  a condition that Service.Provides lists
//	skipped <reason>          it has nothing to do here (then exit 0)
//
// Outside the supervisor every function does nothing.
package notify

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// FDEnv names the environment variable that holds the number of the pipe's
// descriptor. InodeEnv holds the pipe's inode, so that a grandchild that
// inherited the environment but not the descriptor does not write into
// whatever stands at that number.
const (
	FDEnv    = "BEE_NOTIFY_FD"
	InodeEnv = "BEE_NOTIFY_INODE"
)

// Ready says that the service does its work. After Degraded it says that all
// is well again.
func Ready() { send("ready") }

// Degraded says that the service works, but not as well as it should.
func Degraded(reason string) { send("degraded " + reason) }

// Status leaves one line of text for svc status.
func Status(text string) { send("status " + text) }

// Condition raises or lowers a condition that the service provides.
func Condition(name string, up bool) {
	word := " down"
	if up {
		word = " up"
	}
	send("condition " + name + word)
}

// Skipped says that the service, which is not one that is to stay, has nothing
// to do here. Exit with status 0 after it.
func Skipped(reason string) { send("skipped " + reason) }

// descriptor is looked up once; afterwards the variables are gone from the
// environment and the descriptor closes at exec, so that children of the
// service do not speak in its name.
var descriptor = sync.OnceValue(func() int {
	return open(os.Getenv(FDEnv), os.Getenv(InodeEnv))
})

// open returns the descriptor, or -1 when there is no supervisor to talk to.
func open(fdText, inodeText string) int {
	fd, err := strconv.Atoi(fdText)
	if err != nil || fd < 3 {
		return -1
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil || st.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return -1
	}
	if inodeText != "" && inodeText != strconv.FormatUint(st.Ino, 10) {
		return -1
	}
	syscall.CloseOnExec(fd)
	os.Unsetenv(FDEnv)
	os.Unsetenv(InodeEnv)
	return fd
}

func send(line string) { write(descriptor(), line) }

// write puts one line on the pipe. A line no longer than PIPE_BUF is written
// in one piece (pipe(7)), so that goroutines need no lock. When the supervisor
// is gone there is nobody left to tell: the error is of no use to a service.
func write(fd int, line string) {
	if fd < 0 {
		return
	}
	line = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == 0 {
			return ' '
		}
		return r
	}, line)
	if len(line) > MaxLine-1 {
		line = line[:MaxLine-1]
	}
	b := append([]byte(line), '\n')
	for {
		if _, err := syscall.Write(fd, b); err != syscall.EINTR {
			return
		}
	}
}
