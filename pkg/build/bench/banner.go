package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// A connection is tried every probeEvery, each beside the ones before: a try
// that came too early hangs in retransmission timers, and its answer would tell
// their length, not when the server was there.
const probeEvery = 25 * time.Millisecond

// probeLimit bounds one try.
const probeLimit = 5 * time.Second

// banner waits for the first SSH server's greeting from addr and returns when
// it came.
func banner(ctx context.Context, addr string) (time.Time, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came := make(chan time.Time, 1)
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		go func() {
			if at, ok := greeting(ctx, addr); ok {
				select {
				case came <- at:
				default:
				}
			}
		}()
		select {
		case at := <-came:
			return at, nil
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for the SSH banner from %s: %w", addr, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// greeting tries once.
func greeting(ctx context.Context, addr string) (time.Time, bool) {
	ctx, cancel := context.WithTimeout(ctx, probeLimit)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return time.Time{}, false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	line, err := bufio.NewReader(conn).ReadString('\n')
	return time.Now(), err == nil && strings.HasPrefix(line, "SSH-2.0-")
}
