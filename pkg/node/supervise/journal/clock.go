package journal

import "time"

// Clock counts from the kernel's start and knows what the wall clock says of a
// moment gone by. Everything is stored by uptime: a clock that is set while the
// machine runs then corrects the past as well.
type Clock struct {
	start time.Time     // with Go's monotonic reading
	base  time.Duration // uptime at start
}

// NewClock makes a clock; uptime is that of this moment (CLOCK_MONOTONIC).
func NewClock(uptime time.Duration) *Clock { return &Clock{time.Now(), uptime} }

// Uptime is the time since the kernel's start.
func (c *Clock) Uptime() time.Duration { return c.base + time.Since(c.start) }

// Wall is the wall-clock time of an uptime, as the clock tells it now. Zero
// stays zero.
func (c *Clock) Wall(uptime time.Duration) time.Time {
	if uptime == 0 {
		return time.Time{}
	}
	now := time.Now().Round(0) // what the clock says, without the monotonic reading
	return now.Add(uptime - c.Uptime())
}
