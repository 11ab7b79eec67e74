package timesync

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/beevik/ntp"
	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// Main is the service on a machine. It returns the exit status.
func Main(out io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	root := os.DirFS("/")
	var floor time.Time
	if b, err := bom.ReadHead(root); err != nil {
		fmt.Fprintf(out, "%v\n", err)
	} else {
		floor = b.BuildDate
	}
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		fmt.Fprintf(out, "read kernel parameters: %v; only DHCP's time servers are known\n", err)
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	Run(ctx, Config{
		Root: root, Servers: params.NTP, Floor: floor, Out: out,
		Now: time.Now, Set: set, Slew: slew, Query: query,
		Sleep: func(ctx context.Context, d time.Duration) {
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		},
		Clock: func(up bool) { notify.Condition("clock", up) },
		Ready: notify.Ready,
		Say:   notify.Status,
	})
	return 0
}

// query asks one server (RFC 5905).
func query(ctx context.Context, server string) (Answer, error) {
	timeout := patience
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	if _, _, err := net.SplitHostPort(server); err != nil {
		server = net.JoinHostPort(server, "123")
	}
	r, err := ntp.QueryWithOptions(server, ntp.QueryOptions{Timeout: timeout})
	if err != nil {
		return Answer{}, err
	}
	if err := r.Validate(); err != nil {
		return Answer{}, err
	}
	return Answer{Offset: r.ClockOffset, Stratum: int(r.Stratum)}, nil
}

func set(t time.Time) error {
	ts := unix.NsecToTimespec(t.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// slew lets the kernel work an offset off (adjtimex(2), ADJ_OFFSET_SINGLESHOT).
func slew(d time.Duration) error {
	const singleshot = 0x8001
	if _, err := unix.Adjtimex(&unix.Timex{Modes: singleshot, Offset: d.Microseconds()}); err != nil {
		return fmt.Errorf("adjust the clock: %w", err)
	}
	return nil
}
