package timesync

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/fstest"
	"time"
)

var built = time.Date(2026, 11, 18, 0, 0, 0, 0, time.UTC)

// world is a clock and servers; Run ends after so many sleeps.
type world struct {
	now     time.Time
	answers map[string]Answer
	sleeps  []time.Duration
	rounds  int
	clock   bool
	slewed  time.Duration
	out     bytes.Buffer
}

func (w *world) run(servers []string, root fstest.MapFS) {
	ctx, cancel := context.WithCancel(context.Background())
	Run(ctx, Config{
		Root: root, Servers: servers, Floor: built, Out: &w.out,
		Now:  func() time.Time { return w.now },
		Set:  func(t time.Time) error { w.now = t; return nil },
		Slew: func(d time.Duration) error { w.slewed = d; return nil },
		Query: func(_ context.Context, s string) (Answer, error) {
			a, ok := w.answers[s]
			if !ok {
				return a, errors.New("no answer")
			}
			return a, nil
		},
		Sleep: func(_ context.Context, d time.Duration) {
			if w.sleeps = append(w.sleeps, d); len(w.sleeps) >= w.rounds {
				cancel()
			}
		},
		Clock: func(up bool) { w.clock = up },
		Ready: func() {}, Say: func(string) {},
	})
}

func TestSaneHardwareClockNeedsNoServer(t *testing.T) {
	w := &world{now: built.Add(time.Hour), rounds: 1}
	w.run(nil, nil)
	if !w.clock || !w.now.Equal(built.Add(time.Hour)) {
		t.Errorf("clock %v, now %v", w.clock, w.now)
	}
}

func TestClockBeforeTheImageIsLifted(t *testing.T) {
	w := &world{now: time.Unix(0, 0), rounds: 1}
	w.run(nil, nil)
	if w.clock || !w.now.Equal(built) {
		t.Errorf("clock %v, now %v", w.clock, w.now)
	}
}

func TestServerOfParameterSetsTheClock(t *testing.T) {
	w := &world{now: time.Unix(0, 0), rounds: 1, answers: map[string]Answer{"b": {Offset: 48 * time.Hour, Stratum: 2}}}
	w.run([]string{"a", "b"}, nil)
	if !w.clock || !w.now.Equal(built.Add(48*time.Hour)) || w.sleeps[0] != poll {
		t.Errorf("clock %v, now %v, sleeps %v\n%s", w.clock, w.now, w.sleeps, &w.out)
	}
}

func TestServerOfDHCP(t *testing.T) {
	w := &world{now: built.Add(time.Hour), rounds: 1, answers: map[string]Answer{"192.0.2.1": {Offset: time.Millisecond, Stratum: 1}}}
	w.run(nil, fstest.MapFS{"run/bee/net.json": {Data: []byte(`{"ntp":["192.0.2.1"]}`)}})
	if w.slewed != time.Millisecond {
		t.Errorf("slewed %v\n%s", w.slewed, &w.out)
	}
}

func TestUnsoundServersAreRefused(t *testing.T) {
	w := &world{now: time.Unix(0, 0), rounds: 3, answers: map[string]Answer{"liar": {Offset: -time.Hour, Stratum: 1}, "lost": {Stratum: 16}}}
	w.run([]string{"liar", "lost"}, nil)
	if w.clock || !w.now.Equal(built) {
		t.Errorf("clock %v, now %v", w.clock, w.now)
	}
	if w.sleeps[0] != retry || w.sleeps[1] != 2*retry {
		t.Errorf("sleeps %v", w.sleeps)
	}
}
