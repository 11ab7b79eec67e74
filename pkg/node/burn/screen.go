package burn

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/bee-os/bee/pkg/hwreport"
)

// How often the table is shown: on a terminal over itself, else line by line.
const (
	refresh  = time.Second
	sparsely = 10 * time.Second
)

// show shows the live table until stop is called.
func (j *job) show(out io.Writer) (stop func()) {
	width, every, live := 0, sparsely, false
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		live, every, width = true, refresh, 80
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 20 {
			width = w - 1
		}
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		shown := 0
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-done:
				if live && shown > 0 { // the summary takes its place
					fmt.Fprintf(out, "\x1b[%dA\x1b[J", shown)
				}
				return
			}
			lines := j.table()
			var b strings.Builder
			if live && shown > 0 {
				fmt.Fprintf(&b, "\x1b[%dA", shown)
			}
			for _, l := range lines {
				if r := []rune(l); live && len(r) > width {
					l = string(r[:width])
				}
				b.WriteString(l)
				if live {
					b.WriteString("\x1b[K") // clear to the end of the line (ECMA-48: EL)
				}
				b.WriteByte('\n')
			}
			shown = len(lines)
			io.WriteString(out, b.String())
		}
	})
	return func() {
		close(done)
		wait.Wait()
	}
}

// table is the live table: a line a part.
func (j *job) table() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := []string{fmt.Sprintf("burn: %v of %v", time.Since(j.started).Truncate(time.Second), j.options.time)}
	for _, p := range j.parts {
		line := fmt.Sprintf("%-9s %-32s %-8s %14s  %d errors", p.Kind, p.Name, p.now.test, rate(p.now.rate, p.now.unit), p.now.errors)
		for _, f := range []struct {
			value hwreport.Field[int64]
			by    int64
			unit  string
		}{{p.now.temp, 1, "°C"}, {p.now.power, 1000, "W"}, {p.now.clock, 1, "MHz"}} {
			if v, ok := f.value.Get(); ok {
				line += fmt.Sprintf("  %d %s", v/f.by, f.unit)
			}
		}
		if p.Untested != "" {
			line += "  COULD NOT TEST"
		}
		lines = append(lines, line)
	}
	return lines
}

// rate writes a rate with the prefix that suits it.
func rate(r float64, unit string) string {
	if unit == "" {
		return ""
	}
	for _, p := range []struct {
		from float64
		name string
	}{{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if r >= p.from {
			return fmt.Sprintf("%.1f %s%s", r/p.from, p.name, unit)
		}
	}
	return fmt.Sprintf("%.1f %s", r, unit)
}

// printSummary tells how it went.
func printSummary(out io.Writer, r *hwreport.Burn) {
	for _, p := range r.Parts {
		fmt.Fprintf(out, "%s %s: %s\n", p.Kind, p.Name, p.Verdict)
		for _, t := range p.Tests {
			switch v, ok := t.Rate.Get(); {
			case t.Skipped != "":
				fmt.Fprintf(out, "  %-14s skipped: %s\n", t.Name, t.Skipped)
			case ok:
				fmt.Fprintf(out, "  %-14s %14s  %d rounds, %d errors", t.Name, rate(v, t.Unit), t.Iterations, t.Errors)
				if share, ok := t.Against.Get(); ok {
					fmt.Fprintf(out, ", %.0f %% of the yardstick", 100*share)
				}
				fmt.Fprintln(out)
			default:
				fmt.Fprintf(out, "  %-14s %d rounds, %d errors\n", t.Name, t.Iterations, t.Errors)
			}
		}
		if p.Untested != "" {
			fmt.Fprintf(out, "  COULD NOT TEST: %s\n", p.Untested)
		}
	}
	for _, u := range r.Untested {
		fmt.Fprintf(out, "COULD NOT TEST %s\n", u)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(out, "%-8s %s %s\n", f.Severity, f.Subject, f.Message)
	}
	if r.Interrupted {
		fmt.Fprintf(out, "ended early, after %.0f of %.0f seconds\n", r.Took, r.Asked)
	}
	fmt.Fprintf(out, "verdict: %s\n", r.Verdict)
}
