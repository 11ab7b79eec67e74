package netup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
	"github.com/bee-os/bee/pkg/node/netup/dhcp6"
	"github.com/bee-os/bee/pkg/node/netup/lldp"
	"github.com/bee-os/bee/pkg/node/netup/rawip"
	"github.com/bee-os/bee/pkg/node/netup/rtnl"
	"github.com/bee-os/bee/pkg/node/nocloud/seedstate"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// Main is the network service on a machine. It returns the exit status.
func Main(out io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		fmt.Fprintf(out, "read kernel parameters: %v; DHCP on every card\n", err)
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	kernel, err := rtnl.Open()
	if err != nil {
		fmt.Fprintf(out, "network: %v\n", err)
		return 1
	}
	defer kernel.Close()
	err = Run(ctx, Config{
		Params:     params,
		Root:       "/",
		Kernel:     kernel,
		Supervisor: supervisor{},
		Out:        out,
		OpenDHCP4: func(name string, index int) (dhcp4.Conn, error) {
			return rawip.Listen(name, index)
		},
		OpenDHCP6: func(name string, index int) (dhcp6.Conn, error) {
			return dhcp6.Listen(name, index)
		},
		Neighbours:  lldp.Listen,
		ListenAfter: 500 * time.Millisecond, // the address goes first
		Probe:       rawip.Conflict,
		Solicit:     rawip.SolicitRouters,
		SetHostname: func(name string) error { return unix.Sethostname([]byte(name)) },
		WatchSeed:   seedstate.WatchHostname,
		Boottime:    boottime,
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(out, "network: %v\n", err)
		return 1
	}
	return 0
}

// boottime is the time since boot, sleep included (clock_gettime(2)).
func boottime() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0, fmt.Errorf("read the time since boot: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// supervisor passes on what the service says of itself.
type supervisor struct{}

func (supervisor) Ready()                         { notify.Ready() }
func (supervisor) Status(text string)             { notify.Status(text) }
func (supervisor) Condition(name string, up bool) { notify.Condition(name, up) }
