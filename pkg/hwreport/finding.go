package hwreport

import (
	"cmp"
	"slices"
	"strings"
)

// Severity is how grave a finding is.
type Severity string

// The severities.
const (
	Info    Severity = "info"    // worth knowing
	Warning Severity = "warning" // works, not as it should
	Failure Severity = "failure" // is broken
)

func (s Severity) rank() int {
	switch s {
	case Failure:
		return 0
	case Warning:
		return 1
	case Info:
		return 2
	}
	return 3
}

// Finding is something that a person should know about the machine.
type Finding struct {
	ID       string     `json:"id"`   // code@subject: the same in every report of the same machine
	Code     string     `json:"code"` // section.what, a row of Codes
	Severity Severity   `json:"severity"`
	Section  string     `json:"section"`
	Subject  string     `json:"subject,omitempty"` // stable id of the part; empty: the section as a whole
	Message  string     `json:"message"`
	Evidence []Evidence `json:"evidence"`
}

// Evidence is one reading that led to a finding.
type Evidence struct {
	Source string `json:"source"` // path, or SMBIOS type and handle, and what was read there
	Value  string `json:"value"`
}

// NewFinding makes a finding; the section is the code's first part.
func NewFinding(severity Severity, code, subject, message string, evidence ...Evidence) Finding {
	section, _, _ := strings.Cut(code, ".")
	id := code
	if subject != "" {
		id += "@" + subject
	}
	if evidence == nil {
		evidence = []Evidence{}
	}
	return Finding{id, code, severity, section, subject, message, evidence}
}

// SortFindings puts the gravest first, then by section and id.
func SortFindings(f []Finding) {
	slices.SortStableFunc(f, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()),
			cmp.Compare(sectionRank(a.Section), sectionRank(b.Section)), strings.Compare(a.ID, b.ID))
	})
}

func sectionRank(name string) int { return slices.Index(SectionNames(), name) }

// SectionNames lists the sections in the order of the report.
func SectionNames() []string {
	return []string{"board", "cpu", "memory", "storage", "pcie", "psu", "ipmi", "network", "gpu", "tpm", "ras", "drivers", "boot"}
}

// Count tells how many findings there are of each severity.
func (r *Report) Count() (failures, warnings, infos int) {
	for _, f := range r.Findings {
		switch f.Severity {
		case Failure:
			failures++
		case Warning:
			warnings++
		default:
			infos++
		}
	}
	return failures, warnings, infos
}

// Verdict is the audit in one word.
type Verdict string

// The verdicts. What could not be tested is never fine.
const (
	Fine       Verdict = "fine"
	Warned     Verdict = "warning"    // the gravest finding is a warning
	Broken     Verdict = "failure"    // there is a finding of severity failure
	Incomplete Verdict = "incomplete" // a collector failed, hung, or has not ended
)

// ExitStatus is what the audit command exits with.
func (v Verdict) ExitStatus() int {
	switch v {
	case Fine:
		return 0
	case Warned:
		return 1
	case Broken:
		return 2
	}
	return 3
}

// Judge computes the verdict. A failure that was found outweighs what could
// not be looked at; that in turn outweighs warnings. A collector that was not
// asked for counts for nothing.
func (r *Report) Judge() Verdict {
	failures, warnings, _ := r.Count()
	if failures > 0 {
		return Broken
	}
	for _, c := range r.Collectors() {
		if c.Status != OK && c.Status != Skipped {
			return Incomplete
		}
	}
	if warnings > 0 {
		return Warned
	}
	return Fine
}
