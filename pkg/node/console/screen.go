package console

import (
	"fmt"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/qrcode"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// width of the screen, columns: what every console has.
const width = 80

// Screen draws what a person in front of the machine needs. private adds the
// password, which belongs on the machine's own consoles and nowhere else.
func Screen(f Facts, private bool) []string {
	var s []string
	add := func(name, text string) {
		if text != "" {
			s = append(s, cut(fmt.Sprintf("  %-9s %s", name, text)))
		}
	}
	if code, err := qrcode.Draw(qrcode.Identity(f.Report, address(f))); err == nil {
		s = append(s, code...)
	}
	s = append(s, "", cut("  "+f.Hostname+"   "+f.Image), "")
	for i, a := range f.Addresses {
		add(once(i, "network"), a)
	}
	if len(f.Addresses) == 0 {
		add("network", "no interface yet")
	}
	if f.Best.IsValid() {
		add("log in", "ssh bee@"+address(f))
	}
	if private && f.Password != "" {
		add("password", f.Password+"   (user bee, this boot only)")
	}
	add("host key", f.Fingerprint)
	for i, l := range serviceLines(f.Services) {
		add(once(i, "services"), l)
	}
	s = append(s, audit(f.Report)...)
	for _, p := range f.Problems {
		add("problem", p)
	}
	return s
}

func address(f Facts) string {
	if !f.Best.IsValid() {
		return ""
	}
	return f.Best.String()
}

// serviceLines names every service with its state: the good ones in a row, one
// line for each that is not.
func serviceLines(list []control.Status) []string {
	var good, bad []string
	for _, s := range list {
		if s.Kind == control.KindCondition {
			continue
		}
		switch {
		case s.State.Good():
			good = append(good, s.Name+" "+string(s.State))
		case s.Wanted == control.Down:
			good = append(good, s.Name+" "+string(s.State))
		default:
			text := s.Name + " " + strings.ToUpper(string(s.State))
			if len(s.Blockers) > 0 {
				text += ", waits for " + strings.Join(s.Blockers, ", ")
			}
			if s.Reason != "" {
				text += ": " + s.Reason
			}
			bad = append(bad, text)
		}
	}
	return append(bad, fold(good, width-12)...)
}

// fold joins words with commas into lines of at most n columns.
func fold(words []string, n int) []string {
	var lines []string
	for _, w := range words {
		if i := len(lines) - 1; i >= 0 && len(lines[i])+2+len(w) <= n {
			lines[i] += ", " + w
			continue
		}
		lines = append(lines, w)
	}
	return lines
}

// audit is the verdict and the gravest findings.
func audit(r *hwreport.Report) []string {
	if r == nil {
		return []string{cut("  audit     not yet; see svc status audit")}
	}
	failures, warnings, infos := r.Count()
	lines := []string{cut(fmt.Sprintf("  audit     %s: %d failures, %d warnings, %d notes", strings.ToUpper(string(r.Verdict)), failures, warnings, infos))}
	for i, f := range r.Findings {
		if i == 3 || f.Severity == hwreport.Info {
			break
		}
		lines = append(lines, cut(fmt.Sprintf("            %s: %s", f.Severity, f.Message)))
	}
	return lines
}

// Motd is what an operator sees after logging in: the machine and its verdict.
func Motd(f Facts) []string {
	lines := []string{"", f.Hostname + "   " + f.Image, ""}
	if f.Report != nil {
		lines = append(lines, hwreport.Summary(f.Report, width)...)
	} else {
		lines = append(lines, "the audit is not done yet: svc status audit")
	}
	for _, s := range f.Services {
		if s.Kind != control.KindCondition && !s.State.Good() && s.Wanted == control.Up {
			lines = append(lines, cut("service      "+s.Name+" "+string(s.State)+" "+s.Reason))
		}
	}
	if code, err := qrcode.Draw(qrcode.Identity(f.Report, address(f))); err == nil {
		lines = append(lines, code...)
	}
	return append(lines, "")
}

func once(i int, name string) string {
	if i > 0 {
		return ""
	}
	return name
}

func cut(s string) string {
	if r := []rune(s); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return s
}
