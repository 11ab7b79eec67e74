package svc

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

func listText(w io.Writer, list []control.Status, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSTATE\tFOR\tPID\tREADY\tNOTE")
	for _, s := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, s.State, since(s, now), number(s.PID), readyText(s), note(s))
	}
	t.Flush()
}

// note is the one thing to know of a service.
func note(s control.Status) string {
	var parts []string
	if s.CrashLoop {
		parts = append(parts, "crash loop")
	}
	if len(s.Blockers) > 0 {
		parts = append(parts, "waits for "+strings.Join(s.Blockers, ", "))
	}
	if s.Reason != "" {
		parts = append(parts, s.Reason)
	} else if s.Text != "" {
		parts = append(parts, s.Text)
	}
	if s.Restarts > 0 {
		parts = append(parts, fmt.Sprintf("%d restarts", s.Restarts))
	}
	return strings.Join(parts, "; ")
}

func statusText(w io.Writer, s control.Status, now time.Time) {
	fmt.Fprintf(w, "%s: %s\n", s.Name, s.Summary)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-10s %s\n", name, value)
		}
	}
	state := string(s.State)
	if s.CrashLoop {
		state += ", crash loop"
	}
	line("state", fmt.Sprintf("%s for %s, wanted %s", state, since(s, now), s.Wanted))
	line("reason", s.Reason)
	line("says", s.Text)
	line("waits for", strings.Join(s.Blockers, ", "))
	if !s.Until.IsZero() {
		line("again in", short(s.Until.Sub(now)))
	}
	line("pid", number(s.PID))
	line("command", strings.Join(s.Command, " "))
	line("ready", readyText(s))
	if s.Restarts+s.Failures > 0 {
		line("restarts", fmt.Sprintf("%d since boot, %d failures in a row", s.Restarts, s.Failures))
	}
	line("last exit", s.LastExit)
	if s.Memory > 0 {
		line("memory", fmt.Sprintf("%.1f MiB", float64(s.Memory)/(1<<20)))
	}
	line("needs", strings.Join(s.Needs, " "))
	line("wants", strings.Join(s.Wants, " "))
	line("after", strings.Join(s.After, " "))
	line("needed by", strings.Join(s.NeededBy, " "))
	for i, l := range s.LastLog {
		if i == 0 {
			fmt.Fprintln(w, "  before its latest failure it wrote:")
		}
		fmt.Fprintf(w, "    %s\n", l)
	}
}

func whyText(w io.Writer, y control.Why, now time.Time) {
	fmt.Fprintf(w, "%s: %s for %s", y.Status.Name, y.Status.State, since(y.Status, now))
	if n := note(y.Status); n != "" {
		fmt.Fprintf(w, ": %s", n)
	}
	fmt.Fprintln(w)
	for i, s := range y.Chain {
		fmt.Fprintf(w, "%s└ %s: %s for %s", strings.Repeat("  ", i+1), s.Name, s.State, since(s, now))
		if n := note(s); n != "" {
			fmt.Fprintf(w, ": %s", n)
		}
		fmt.Fprintln(w)
	}
	for _, l := range y.Status.LastLog {
		fmt.Fprintf(w, "  | %s\n", l)
	}
	for _, e := range y.Events {
		fmt.Fprint(w, "  ")
		eventText(w, e)
	}
}

func logText(w io.Writer, l control.LogLine, named bool) {
	name := ""
	if named {
		name = l.Service + ": "
	}
	fmt.Fprintf(w, "[%12.6f] %s%s\n", l.Uptime.Seconds(), name, l.Text)
}

func eventText(w io.Writer, e control.Event) {
	fmt.Fprintf(w, "[%12.6f] %-10s %-9s %s\n", e.Uptime.Seconds(), e.Service, e.State, e.Text)
}

func blameText(w io.Writer, b control.Blame) {
	fmt.Fprintf(w, "PID 1 began at %.3f s, brought up at %.3f s", b.PID1.Seconds(), b.BroughtUp.Seconds())
	if b.Settled > 0 {
		fmt.Fprintf(w, ", boot settled at %.3f s", b.Settled.Seconds())
	}
	fmt.Fprintln(w)
	entries := func(title string, list []control.BlameEntry) {
		fmt.Fprintf(w, "\n%s\n", title)
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "COULD RUN\tREADY\tTOOK\t  NAME")
		for _, e := range list {
			ready := "never"
			if e.Ready > 0 {
				ready = fmt.Sprintf("%.3f s", e.Ready.Seconds())
			}
			fmt.Fprintf(t, "%.3f s\t%s\t%.3f s\t  %s (%s)\n", e.Met.Seconds(), ready, e.Took.Seconds(), e.Name, e.State)
		}
		t.Flush()
	}
	entries("critical chain, last first:", b.Chain)
	entries("all, slowest first:", b.Services)
}

func since(s control.Status, now time.Time) string {
	if s.Since.IsZero() {
		return "-"
	}
	return short(now.Sub(s.Since))
}

// short writes a duration as a person would.
func short(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func readyText(s control.Status) string {
	if s.ReadyAt == 0 {
		return ""
	}
	return fmt.Sprintf("at %.3f s, after %.3f s", s.ReadyAt.Seconds(), s.ReadyAfter.Seconds())
}
