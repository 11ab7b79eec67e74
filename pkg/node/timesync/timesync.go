// Package timesync keeps the clock and says, as the condition "clock", when it
// can be believed: because the hardware clock is sane, or because a time
// server was asked. No server is asked that a parameter or DHCP did not name.
// The image's build date is a floor: no clock of a machine that runs this image
// is earlier.
package timesync

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/bee-os/bee/pkg/node/netup/netstate"
)

// Intervals.
const (
	retry    = 10 * time.Second // until a server answered
	retryMax = 5 * time.Minute
	poll     = 30 * time.Minute // once one did
	look     = 2 * time.Second  // for DHCP's servers, while there are none
	patience = 3 * time.Second  // one query
)

// believable is how far ahead of the build date a hardware clock may be: more
// than an image is ever used.
const believable = 20 * 365 * 24 * time.Hour

// Answer is what a server said.
type Answer struct {
	Offset  time.Duration // to add to our clock
	Stratum int
}

// Config is what the service works with.
type Config struct {
	Root    fs.FS
	Servers []string  // named by a parameter; empty: those that DHCP offers
	Floor   time.Time // the image's build date; zero: unknown
	Out     io.Writer

	Now   func() time.Time
	Set   func(time.Time) error                                    // clock_settime(2)
	Slew  func(time.Duration) error                                // adjtimex(2): small offsets
	Query func(ctx context.Context, server string) (Answer, error) // RFC 5905
	Sleep func(ctx context.Context, d time.Duration)
	Clock func(up bool) // the condition
	Ready func()
	Say   func(text string) // for svc status
}

// step is the offset above which the clock is set and not slewed (ntpd's own
// bound).
const step = 128 * time.Millisecond

// Run works until ctx ends.
func Run(ctx context.Context, c Config) {
	if c.floor() {
		c.Clock(true)
	}
	c.Ready()
	wait, told := retry, false
	for ctx.Err() == nil {
		servers := c.servers()
		if len(servers) == 0 {
			if !told {
				told = true
				c.Say("no time server is named")
			}
			c.Sleep(ctx, look)
			continue
		}
		told = false
		if c.ask(ctx, servers) {
			c.Clock(true)
			wait = retry
			c.Sleep(ctx, poll)
			continue
		}
		c.Sleep(ctx, wait)
		wait = min(2*wait, retryMax)
	}
}

// floor lifts a clock that is before the image was built. It says whether the
// clock can be believed without any server.
func (c Config) floor() bool {
	now := c.Now()
	switch {
	case c.Floor.IsZero():
		fmt.Fprintln(c.Out, "the image's build date is unknown: the clock is taken as it is")
		return false
	case now.Before(c.Floor):
		fmt.Fprintf(c.Out, "the clock says %s, before this image was built: set to %s\n", now.UTC().Format(time.RFC3339), c.Floor.UTC().Format(time.RFC3339))
		if err := c.Set(c.Floor); err != nil {
			fmt.Fprintf(c.Out, "set the clock: %v\n", err)
		}
		return false
	case now.Sub(c.Floor) > believable:
		fmt.Fprintf(c.Out, "the clock says %s, which is hard to believe; name a time server with bee.ntp=\n", now.UTC().Format(time.RFC3339))
		return false
	}
	return true
}

// servers are those of the parameter, else those that DHCP offers now.
func (c Config) servers() []string {
	if len(c.Servers) > 0 {
		return c.Servers
	}
	st, err := netstate.Read(c.Root)
	if err != nil {
		return nil // the network service has told nothing yet
	}
	return st.NTP
}

// ask takes the time from the first server that gives a sound one.
func (c Config) ask(ctx context.Context, servers []string) bool {
	for _, s := range servers {
		ctx, cancel := context.WithTimeout(ctx, patience)
		a, err := c.Query(ctx, s)
		cancel()
		if err == nil && (a.Stratum < 1 || a.Stratum > 15) {
			err = fmt.Errorf("stratum %d: it has no time itself", a.Stratum)
		}
		if err == nil && !c.Floor.IsZero() && c.Now().Add(a.Offset).Before(c.Floor) {
			err = fmt.Errorf("it is %s there, before this image was built", c.Now().Add(a.Offset).UTC().Format(time.RFC3339))
		}
		if err == nil {
			err = c.correct(a.Offset)
		}
		if err != nil {
			fmt.Fprintf(c.Out, "time server %s: %v\n", s, err)
			continue
		}
		c.Say(fmt.Sprintf("%s, stratum %d, offset %v", s, a.Stratum, a.Offset.Round(time.Microsecond)))
		return true
	}
	c.Say("no time server gives a sound answer")
	return false
}

func (c Config) correct(offset time.Duration) error {
	if offset.Abs() < step {
		return c.Slew(offset)
	}
	fmt.Fprintf(c.Out, "the clock was wrong by %v: set\n", offset.Round(time.Millisecond))
	return c.Set(c.Now().Add(offset))
}
