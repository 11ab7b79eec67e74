package bench

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// entrant is one of those that a contest times.
type entrant struct {
	name   string
	ours   string                                            // not empty for one of ours: what the ratios to it are called
	before func() error                                      // not timed; may be nil
	run    func(ctx context.Context) (made int64, err error) // timed; made is the size of the result in bytes, 0 where there is none
	absent string                                            // why it cannot be run here; then run is nil
}

// standing is what a contest found of an entrant.
type standing struct {
	name string
	ours string
	took []time.Duration
	made int64
	why  string // it was not measured; the table says so
}

// contest runs the entrants by turns, so that a busy minute of the machine hits
// all of them. A failure of one of ours is an error. That of a peer is told in
// the table, because the others are worth knowing all the same.
func contest(ctx context.Context, out io.Writer, rounds int, all []entrant) ([]standing, error) {
	list := make([]standing, len(all))
	for i, e := range all {
		list[i] = standing{name: e.name, ours: e.ours, why: e.absent}
	}
	for round := range rounds {
		for i, e := range all {
			s := &list[i]
			if s.why != "" {
				continue
			}
			took, made, err := e.once(ctx)
			if err == nil {
				fmt.Fprintf(out, "%d of %d, %s: %.2f s\n", round+1, rounds, e.name, took.Seconds())
				s.took, s.made = append(s.took, took), made
				continue
			}
			if e.ours != "" || ctx.Err() != nil {
				return nil, fmt.Errorf("time %s: %w", e.name, err)
			}
			fmt.Fprintf(out, "%s: %v\n", e.name, err)
			s.why, _, _ = strings.Cut(err.Error(), "\n")
		}
	}
	return list, nil
}

// once runs the entrant and times it.
func (e entrant) once(ctx context.Context) (time.Duration, int64, error) {
	if e.before != nil {
		if err := e.before(); err != nil {
			return 0, 0, err
		}
	}
	began := time.Now()
	made, err := e.run(ctx)
	return time.Since(began), made, err
}

// median is that of the entrant's times, 0 where it was not measured.
func (s standing) median() time.Duration {
	if s.why != "" {
		return 0
	}
	return medianTime(s.took)
}

// contestTable prints a line an entrant: its time, what it made, and the times of
// ours as parts of a peer's.
func contestTable(title string, list []standing) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%s\ttime\tbytes", title)
	var ours []standing
	for _, s := range list {
		if s.ours != "" {
			ours = append(ours, s)
			fmt.Fprintf(t, "\t%s/it", s.ours)
		}
	}
	fmt.Fprintln(t)
	for _, s := range list {
		if s.why != "" {
			fmt.Fprintf(t, "  %s\tNOT MEASURED: %s\n", s.name, s.why)
			continue
		}
		size := "-"
		if s.made > 0 {
			size = fmt.Sprint(s.made)
		}
		fmt.Fprintf(t, "  %s\t%.2f s\t%s", s.name, s.median().Seconds(), size)
		for _, o := range ours {
			if s.ours == "" && s.median() > 0 {
				fmt.Fprintf(t, "\t%.2f", o.median().Seconds()/s.median().Seconds())
			}
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	return b.String()
}
