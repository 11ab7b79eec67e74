package audit

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/hwreport"
)

// command runs audit and returns its exit status and what it wrote.
func command(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errText bytes.Buffer
	status := Main(args, &out, &errText)
	return status, out.String(), errText.String()
}

const everything = "testdata/machines/qemu-everything.tgz"

// file writes a file of the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestVerbs(t *testing.T) {
	status, golden, _ := command(t, "--root", everything, "--json")
	if status != 2 {
		t.Fatalf("status %d of a machine with a failing disk", status)
	}
	want, err := os.ReadFile("testdata/machines/qemu-everything.json")
	if err != nil || string(want) != golden {
		t.Errorf("the command and the golden report differ (%v)", err)
	}
	whole := file(t, "golden.json", golden)
	pulled := file(t, "pulled.json", strings.ReplaceAll(golden, `"NVME-1"`, `"NVME-2"`))
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"summary":               {[]string{"--root", everything}, 2, "FAILURE"},
		"some sections":         {[]string{"--root", everything, "--only", "board,cpu"}, 1, "Server-9000"},
		"no such section":       {[]string{"--only", "disk"}, 3, "there are board, cpu"},
		"schema":                {[]string{"--schema"}, 0, "json-schema.org"},
		"QR":                    {[]string{"--root", everything, "--qr"}, 2, "█"},
		"no change":             {[]string{"diff", whole, whole}, 0, ""},
		"replaced":              {[]string{"diff", whole, pulled}, 1, "replaced"},
		"diff of one":           {[]string{"diff", whole}, 3, "needs 2"},
		"not a report":          {[]string{"diff", whole, everything}, 3, "decode"},
		"as it should be":       {[]string{"check", "--golden", whole, "--root", everything}, 0, ""},
		"not as it should be":   {[]string{"check", "--golden", pulled, "--root", everything}, 2, "replaced"},
		"of a report":           {[]string{"check", "--golden", whole, "--report", pulled}, 2, "replaced"},
		"profile":               {[]string{"check", "--profile", file(t, "p.json", `{"name":"acme","product":"Server-*","memory":{"modules":12,"ecc":true},"psu":{"count":1}}`), "--root", everything}, 0, "as the profile acme says"},
		"profile not met":       {[]string{"check", "--profile", file(t, "p.json", `{"memory":{"modules":16}}`), "--root", everything}, 2, "memory modules is 12, not 16"},
		"profile unknown":       {[]string{"check", "--profile", file(t, "p.json", `{"memory":{"min_bytes":1}}`), "--root", "testdata/machines/laptop-i7-1270p.tgz"}, 2, "memory"},
		"broken profile":        {[]string{"check", "--profile", file(t, "p.json", `{"x":1}`)}, 3, "unknown field"},
		"check of nothing":      {[]string{"check"}, 3, "--golden"},
		"capture of an archive": {[]string{"capture", "--root", everything, filepath.Join(t.TempDir(), "x")}, 3, "--root"},
		"boot elsewhere":        {[]string{"--boot", "--root", "testdata"}, 3, "--boot"},
		"no archive":            {[]string{"--root", whole}, 3, "gzip"},
		"a short key":           {[]string{"--root", everything, "--redact", "--key", file(t, "key", "short")}, 3, "at least 16"},
		"an interval of none":   {[]string{"--watch", "--interval", "0s"}, 3, "interval"},
	} {
		status, out, errText := command(t, c.args...)
		if status != c.status || !strings.Contains(out+errText, c.says) || c.says == "" && out != "" {
			t.Errorf("%s: status %d, want %d:\n%.500s%.500s", name, status, c.status, out, errText)
		}
	}
}

func TestJSONOfVerbs(t *testing.T) {
	_, golden, _ := command(t, "--root", everything, "--json")
	a, b := file(t, "a.json", golden), file(t, "b.json", strings.ReplaceAll(golden, `"03A10003"`, `"03A1FFFF"`))
	_, out, _ := command(t, "diff", "--json", a, b)
	var changes []hwreport.Change
	if err := json.Unmarshal([]byte(out), &changes); err != nil || len(changes) != 1 || changes[0].Kind != hwreport.Replaced || changes[0].Part != "dimm" {
		t.Errorf("%s, %v", out, err)
	}
	if _, out, _ = command(t, "diff", "--json", a, a); strings.TrimSpace(out) != "[]" {
		t.Errorf("no change is %q", out)
	}
}

// TestHTML wants a page that is well-formed, asks nobody for anything, and
// escapes what devices say.
func TestHTML(t *testing.T) {
	status, page, _ := command(t, "--root", everything, "--html")
	if status != 2 {
		t.Errorf("status %d", status)
	}
	text := strings.NewReplacer("<!doctype html>", "", `<meta charset="utf-8">`, "", `<meta name="viewport" content="width=device-width">`, "", "<br>", "<br/>").Replace(page)
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v", err)
		}
	}
	for _, want := range []string{"P1-DIMMA1", "XIO3130", "NVME-1", "DPS-1600", `class="dimm empty"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, bad := range []string{"%!", "http:", "https:", "<script", "src=", "@import", "url("} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s", bad)
		}
	}
	r := &hwreport.Report{}
	r.Board.Data.System.Product = hwreport.Value(`<img src=x onerror=alert(1)>`)
	hwreport.Fill(r, "test")
	var b bytes.Buffer
	if err := writeHTML(&b, r); err != nil || strings.Contains(b.String(), "<img") {
		t.Errorf("%v\n%.300s", err, b.String())
	}
}
