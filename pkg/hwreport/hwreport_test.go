package hwreport

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// captured is the report of a QEMU machine, as the audit's own test made it.
func captured(t testing.TB) *Report {
	t.Helper()
	text, err := os.ReadFile("../node/audit/testdata/qemu.json")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	first, err := captured(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(first), string(second)); d != "" {
		t.Error(d)
	}
}

func TestField(t *testing.T) {
	for text, want := range map[string]Field[int64]{
		`{"value":3}`: Value(int64(3)), `{"absent":true}`: Absent[int64](), `{"unknown":"why"}`: Unknown[int64]("why"),
	} {
		var f Field[int64]
		if err := json.Unmarshal([]byte(text), &f); err != nil || f != want {
			t.Errorf("%s: %+v, %v", text, f, err)
		}
		if b, err := json.Marshal(want); err != nil || string(b) != text {
			t.Errorf("%+v: %s, %v", want, b, err)
		}
	}
	for _, bad := range []string{`{}`, `{"value":1,"absent":true}`, `{"absent":false}`, `{"unknown":""}`, `{"value":null}`, `{"odd":1}`, `3`, `{"value":"text"}`} {
		var f Field[int64]
		if err := json.Unmarshal([]byte(bad), &f); err == nil {
			t.Errorf("%s was taken as %+v", bad, f)
		}
	}
	if b, err := json.Marshal(Field[string]{}); err != nil || string(b) != `{"unknown":"`+NotCollected+`"}` {
		t.Errorf("the zero Field: %s, %v", b, err)
	}
}

func TestFillLeavesWhatIsKnown(t *testing.T) {
	n := NIC{Name: "eth0", MAC: Value("aa"), Driver: Absent[string]()}
	Fill(&n, "gone")
	if n.MAC.Or("") != "aa" || n.Driver.State() != IsAbsent || n.MTU.Reason() != "gone" {
		t.Errorf("%+v", n)
	}
}

func TestVerdict(t *testing.T) {
	all := func(s Status, f ...Finding) *Report {
		r := &Report{Findings: f}
		for _, c := range r.Collectors() {
			c.Status = OK
		}
		r.PSU.Collector.Status = s
		return r
	}
	warning, failure, info := NewFinding(Warning, "a.b", "", ""), NewFinding(Failure, "a.b", "", ""), NewFinding(Info, "a.b", "", "")
	for _, c := range []struct {
		r    *Report
		want Verdict
		exit int
	}{
		{all(OK), Fine, 0}, {all(OK, info), Fine, 0}, {all(Skipped), Fine, 0}, {all(OK, warning, info), Warned, 1}, {all(OK, warning, failure), Broken, 2},
		{all(Timeout, warning), Incomplete, 3}, {all(Failed), Incomplete, 3}, {all(Running), Incomplete, 3}, {all(Timeout, failure), Broken, 2},
	} {
		if got := c.r.Judge(); got != c.want || got.ExitStatus() != c.exit {
			t.Errorf("%s with %d findings: %s %d, want %s %d", c.r.PSU.Collector.Status, len(c.r.Findings), got, got.ExitStatus(), c.want, c.exit)
		}
	}
}

func TestIDs(t *testing.T) {
	var ids IDs
	got := []string{ids.Unique(ID("disk", "", " WD 1 ")), ids.Unique(ID("disk", "WD 1")), ID("disk", "", "\x01"), ids.Unique("x")}
	if d := cmp.Diff([]string{"disk:WD_1", "disk:WD_1~2", "disk:?", "x"}, got); d != "" {
		t.Error(d)
	}
}

// TestFindingsTable holds the published table against Codes; go test -update
// writes it anew.
func TestFindingsTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Findings\n\nA finding's id is its code and, behind `@`, the part. Codes do not change their meaning.\n\n| code | meaning |\n|---|---|\n")
	for _, c := range Codes {
		fmt.Fprintf(&b, "| `%s` | %s |\n", c.Name, c.Meaning)
	}
	const name = "FINDINGS.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(name); err != nil || string(have) != b.String() {
		t.Errorf("%s is not what Codes says (%v): go test -update writes it", name, err)
	}
}

// TestEveryCodeIsListed looks for the codes in the collectors' source.
func TestEveryCodeIsListed(t *testing.T) {
	files, err := filepath.Glob("../node/audit/*.go")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	code := regexp.MustCompile(`"((?:board|cpu|memory|storage|pcie|psu|ipmi|network|gpu|tpm|drivers|boot)\.[a-z][a-z0-9-]+)"`)
	used := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(string(text), -1) {
			used[m[1]] = true
			if !slices.ContainsFunc(Codes, func(c Code) bool { return c.Name == m[1] }) {
				t.Errorf("%s: %s is not in Codes", f, m[1])
			}
		}
	}
	for _, c := range Codes {
		if !used[c.Name] && !strings.HasPrefix(c.Name, "ras.") { // those are made of a kind
			t.Errorf("nobody makes %s", c.Name)
		}
	}
}

// TestCodesOfFindings: a finding of the captured machine is one of the list.
func TestCodesOfFindings(t *testing.T) {
	for _, f := range captured(t).Findings {
		if !slices.ContainsFunc(Codes, func(c Code) bool { return c.Name == f.Code }) {
			t.Errorf("%s is not in Codes", f.Code)
		}
	}
	for i, c := range Codes {
		section, _, _ := strings.Cut(c.Name, ".")
		if !slices.Contains(SectionNames(), section) || c.Meaning == "" {
			t.Errorf("code %d: %+v", i, c)
		}
	}
}

func TestSummary(t *testing.T) {
	lines := Summary(captured(t), 80)
	got := strings.Join(lines, "\n") + "\n"
	const golden = "testdata/summary.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Error(d)
	}
	if len(lines) > 24 {
		t.Errorf("%d lines are no one screen", len(lines))
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > 80 {
			t.Errorf("%d columns: %s", n, l)
		}
	}
	if got := Summary(&Report{}, 80); len(got) == 0 {
		t.Error("an empty report has no summary")
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1 << 20: "1 MiB", 1536 << 20: "1.5 GiB", 988 << 20: "988 MiB", 1 << 62: "4 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := captured(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"storage":{"data":{"disks":{"value":[{}]}}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		Summary(r, 80)
		r.Judge()
	})
}
