package hwreport

import (
	"strings"
	"testing"
)

func TestBurnJudge(t *testing.T) {
	warn := NewFinding(Warning, "burn.slow", "gpu:a", "")
	fail := NewFinding(Failure, "burn.xid", "gpu:b", "")
	info := NewFinding(Info, "burn.throttled", "gpu:a", "")
	a, b := BurnPart{ID: "gpu:a"}, BurnPart{ID: "gpu:b"}
	lost := BurnPart{ID: "gpu:a", Untested: "it hung"}
	for _, c := range []struct {
		name  string
		burn  Burn
		want  Verdict
		parts []Verdict
	}{
		{"fine", Burn{Parts: []BurnPart{a, b}, Findings: []Finding{info}}, Fine, []Verdict{Fine, Fine}},
		{"nothing was tested", Burn{}, Incomplete, nil},
		{"a kind was not tested", Burn{Parts: []BurnPart{a}, Untested: []string{"gpu: none"}}, Incomplete, []Verdict{Fine}},
		{"interrupted", Burn{Parts: []BurnPart{a}, Interrupted: true}, Incomplete, []Verdict{Fine}},
		{"warning", Burn{Parts: []BurnPart{a, b}, Findings: []Finding{warn}}, Warned, []Verdict{Warned, Fine}},
		{"not tested outweighs a warning", Burn{Parts: []BurnPart{lost, b}, Findings: []Finding{warn}}, Incomplete, []Verdict{Incomplete, Fine}},
		{"a failure outweighs all", Burn{Parts: []BurnPart{lost, b}, Findings: []Finding{warn, fail}}, Broken, []Verdict{Incomplete, Broken}},
	} {
		if got := c.burn.Judge(); got != c.want || got != c.burn.Verdict {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		for i, p := range c.burn.Parts {
			if p.Verdict != c.parts[i] {
				t.Errorf("%s: part %d is %s, want %s", c.name, i, p.Verdict, c.parts[i])
			}
		}
	}
}

func TestBurnCodes(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range BurnCodes() {
		if seen[c.Name] || !strings.HasPrefix(c.Name, "burn.") || c.Meaning == "" {
			t.Errorf("%+v", c)
		}
		seen[c.Name] = true
	}
}
