package bench

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// bootTable prints a column a subject, the first being the peer.
func bootTable(all []subject, samples [][]sample) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, cell func(i int) string) {
		fmt.Fprint(t, name)
		for i := range all {
			fmt.Fprintf(t, "\t%s", cell(i))
		}
		fmt.Fprintln(t)
	}
	row("", func(i int) string { return all[i].name })
	durationAt := func(percent int, name string, f func(sample) time.Duration) {
		peer := percentile(samples[0], percent, f)
		row(name, func(i int) string {
			d := percentile(samples[i], percent, f)
			switch {
			case d == 0:
				return "-"
			case i == 0 || peer == 0:
				return fmt.Sprintf("%.2f s", d.Seconds())
			}
			return fmt.Sprintf("%.2f s (%.2f)", d.Seconds(), d.Seconds()/peer.Seconds())
		})
	}
	duration := func(name string, f func(sample) time.Duration) { durationAt(50, name, f) }
	duration("QEMU started → PID 1", func(s sample) time.Duration { return s.pid1 })
	duration("QEMU started → SSH banner", func(s sample) time.Duration { return s.banner })
	// A busy machine delays some boots, and the fast ones tell what is the image's.
	durationAt(20, "QEMU started → SSH banner, 20th percentile", func(s sample) time.Duration { return s.banner })
	row("the same, ratio round by round: mean ± its standard error", func(i int) string {
		if i == 0 {
			return "1"
		}
		mean, se := pairedRatio(samples[i], samples[0], func(s sample) time.Duration { return s.banner })
		return fmt.Sprintf("%.3f ± %.3f", mean, se)
	})
	duration("PID 1 → SSH banner", func(s sample) time.Duration { return s.banner - s.pid1 })
	duration("PID 1 → DHCP bound", func(s sample) time.Duration { return since(s.dhcp, s.pid1) })
	duration("PID 1 → audit written", func(s sample) time.Duration { return since(s.audit, s.pid1) })
	duration("SSH banner → audit written", func(s sample) time.Duration { return since(s.audit, s.banner) })
	row("initrd", func(i int) string {
		fi, err := os.Stat(all[i].initrd)
		if err != nil {
			return "?"
		}
		return fmt.Sprintf("%d bytes", fi.Size())
	})
	row("RAM used after boot", func(i int) string {
		used := medianOf(samples[i], func(s sample) int64 { return s.used })
		if used == 0 {
			return "-"
		}
		return fmt.Sprintf("%d MiB (%.2f of %d allowed)", used>>20, float64(used)/float64(limitOf(all[i].unpacked)), limitOf(all[i].unpacked)>>20)
	})
	t.Flush()
	return b.String()
}

// pairedRatio is the mean of a[k]/b[k], two boots of one round, and its standard error
// (the deviation over the square root of the number; NaN for one round). What the
// machine does to a whole round falls out of it.
func pairedRatio(a, b []sample, f func(sample) time.Duration) (mean, se float64) {
	n := float64(min(len(a), len(b)))
	var sum, squares float64
	for k := range min(len(a), len(b)) {
		sum += float64(f(a[k])) / float64(f(b[k]))
	}
	mean = sum / n
	for k := range min(len(a), len(b)) {
		d := float64(f(a[k]))/float64(f(b[k])) - mean
		squares += d * d
	}
	return mean, math.Sqrt(squares / (n - 1) / n)
}

// since is a difference, 0 where the later was not measured.
func since(later, earlier time.Duration) time.Duration {
	if later == 0 {
		return 0
	}
	return later - earlier
}

func median(s []sample, f func(sample) time.Duration) time.Duration { return percentile(s, 50, f) }

func percentile(s []sample, percent int, f func(sample) time.Duration) time.Duration {
	return time.Duration(percentileOf(s, percent, func(x sample) int64 { return int64(f(x)) }))
}

// medianOf is the middle one, or the lower of the two in the middle.
func medianOf(s []sample, f func(sample) int64) int64 { return percentileOf(s, 50, f) }

// percentileOf is the one that percent of the others are below, or the lower of two.
func percentileOf(s []sample, percent int, f func(sample) int64) int64 {
	if len(s) == 0 {
		return 0
	}
	v := make([]int64, len(s))
	for i, x := range s {
		v[i] = f(x)
	}
	slices.Sort(v)
	return v[(len(v)-1)*percent/100]
}
