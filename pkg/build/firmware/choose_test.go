package firmware

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/bom"
)

func policy(t *testing.T, name, text string) Policy {
	t.Helper()
	p, err := ParsePolicy(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestChoose(t *testing.T) {
	available := map[string]File{
		"nic/a.bin":      {Path: "nic/a.bin", Source: "/x"},
		"nic/link.bin":   {Path: "nic/link.bin", Link: "nic/target.bin"},
		"nic/target.bin": {Path: "nic/target.bin", Source: "/x"},
		"nic/bad.bin":    {Path: "nic/bad.bin", Source: "/x"},
		"gpu/g.bin":      {Path: "gpu/g.bin", Source: "/x"},
		"always/x.bin":   {Path: "always/x.bin", Source: "/x"},
		"unasked.bin":    {Path: "unasked.bin", Source: "/x"},
	}
	policies := []Policy{policy(t, "nic", "nic/ # all of it\n+ always/\nunasked.bin\n"), policy(t, "never", "- nic/bad.bin\n")}
	declared := []Declared{{"m", "nic/a.bin"}, {"m", "nic/l*.bin"}, {"m", "nic/bad.bin"}, {"g", "gpu/g.bin"}, {"g", "gone.bin"}}
	files, missing, err := Choose(policies, available, declared)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Path)
	}
	if d := cmp.Diff([]string{"always/x.bin", "nic/a.bin", "nic/link.bin", "nic/target.bin"}, got); d != "" {
		t.Error(d)
	}
	want := []bom.Missing{
		{File: "gone.bin", Module: "g", Why: "no pinned package has it"},
		{File: "gpu/g.bin", Module: "g", Why: "no list of the manifest allows it"},
		{File: "nic/bad.bin", Module: "m", Why: "never.list line 1 forbids it"},
	}
	if d := cmp.Diff(want, missing); d != "" {
		t.Error(d)
	}
}

func TestChooseNamesDeadLine(t *testing.T) {
	_, _, err := Choose([]Policy{policy(t, "x", "\n+ no/such\n")}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "x.list line 2") {
		t.Fatalf("err = %v", err)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add("+ a/*.bin\n- b\nc/ # d\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy("f", text)
		if err != nil {
			return
		}
		for _, r := range p.rules {
			r.matches("a/b")
		}
	})
}
