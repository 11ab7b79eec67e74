package logship

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/kmsg"
	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// Intervals.
const (
	patience = 10 * time.Second // to connect, and to send one message
	retryMin = time.Second
	retryMax = time.Minute
)

// permanent is the exit status of a service that trying again does not help.
const permanent = 125

// Main is the service on a machine. It returns the exit status.
func Main(out io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		fmt.Fprintf(out, "logship: read kernel parameters: %v\n", err)
		return 1
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	network, addr, err := Target(params.Syslog)
	if err != nil {
		fmt.Fprintf(out, "logship: %v\n", err)
		return permanent
	}
	q := newQueue()
	go services(ctx, q, out)
	go kernel(ctx, q, out)
	send(ctx, q, sender{network: network, addr: addr, out: out, host: hostname, ready: notify.Ready, degraded: notify.Degraded})
	return 0
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "-"
	}
	return name
}

// services follows every service's log from its begin.
func services(ctx context.Context, q *queue, out io.Writer) {
	var last uint64
	for ctx.Err() == nil {
		c, err := control.Dial(control.Path)
		if err == nil {
			err = c.Log(ctx, "", 0, true, func(l control.LogLine) error {
				if l.Service == "logship" || l.Seq <= last {
					return nil // its own complaints would feed themselves
				}
				last = l.Seq
				q.put(Message{Time: l.Time, Facility: facilityDaemon, Severity: severityInfo, Program: l.Service, Text: l.Text})
				return nil
			})
		}
		if ctx.Err() == nil {
			fmt.Fprintf(out, "logship: follow the services' logs: %v; again in %v\n", err, retryMin)
			pause(ctx, retryMin)
		}
	}
}

// kernel follows the kernel's log from its begin.
func kernel(ctx context.Context, q *queue, out io.Writer) {
	f, err := os.Open(kmsg.Path)
	if err != nil {
		fmt.Fprintf(out, "logship: %v: the kernel's log is not sent\n", err)
		return
	}
	defer f.Close()
	boot := bootTime()
	r := kmsg.NewReader(f)
	for ctx.Err() == nil {
		rec, err := r.Next()
		if err != nil {
			fmt.Fprintf(out, "logship: read the kernel's log: %v\n", err)
			return
		}
		if rec.Facility != facilityKernel {
			continue // what PID 1 wrote there comes as the services' logs
		}
		q.put(Message{Time: boot.Add(rec.Uptime), Facility: facilityKernel, Severity: rec.Severity, Program: "kernel", Text: rec.Text})
	}
}

// bootTime is when the kernel's clock was zero.
func bootTime() time.Time {
	text, err := os.ReadFile("/proc/uptime")
	var up float64
	if err == nil {
		_, err = fmt.Sscan(string(text), &up)
	}
	if err != nil {
		return time.Now()
	}
	return time.Now().Add(-time.Duration(up * float64(time.Second)))
}

// sender is where messages go.
type sender struct {
	network, addr string
	out           io.Writer
	host          func() string
	ready         func()
	degraded      func(string)
}

// send sends the queue for ever, in order.
func send(ctx context.Context, q *queue, s sender) {
	wait := retryMin
	for ctx.Err() == nil {
		d := net.Dialer{Timeout: patience}
		conn, err := d.DialContext(ctx, s.network, s.addr)
		if err == nil {
			s.ready()
			wait = retryMin
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			err = drain(ctx, q, conn, s)
			stop()
			conn.Close()
		}
		if ctx.Err() == nil {
			s.degraded(fmt.Sprintf("%s: %v", s.addr, err))
			fmt.Fprintf(s.out, "logship: send to %s: %v; again in %v\n", s.addr, err, wait)
			pause(ctx, wait)
			wait = min(2*wait, retryMax)
		}
	}
}

func drain(ctx context.Context, q *queue, conn net.Conn, s sender) error {
	for {
		m, err := q.next(ctx)
		if err != nil {
			return err
		}
		if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := conn.Write(Frame(s.network, m.Render(s.host()))); err != nil {
			return err
		}
		q.done(m)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
