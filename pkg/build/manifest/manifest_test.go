package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

var update = flag.Bool("update", false, "write golden files")

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func config() Config {
	entry := lock.Entry{Name: "linux-image-x", Version: "6.12.1-1", Arch: "amd64", Suite: "trixie", Groups: []string{"kernel"}, SHA256: strings.Repeat("a", 64)}
	mod := bom.GoMod{Path: "example.org/m", Version: "v1.0.0", Sum: "h1:x"}
	return Config{
		Source: Source{Commit: strings.Repeat("c", 40), Clean: true},
		Date:   time.Date(2026, 11, 18, 1, 2, 3, 4, time.FixedZone("", 3600)),
		Family: "iso", Arch: "amd64",
		Tools: []Tool{{"xorriso", "1.5.6"}, {"grub-mkimage", "2.12"}},
		BOM: bom.BOM{Version: "0.1.0", Variant: "thin", Arch: "amd64", Kernel: "6.12.1", Go: "go1.26.8", RAM: bom.RAM{Unpacked: 5, Budget: 6},
			Inputs: []bom.Input{{Name: entry.Name, Version: entry.Version, Arch: entry.Arch, SHA256: entry.SHA256}}, GoMods: []bom.GoMod{mod}},
		Inputs: []Input{
			InputOf(lock.Entry{Name: "shim", Version: "1", Arch: "amd64", SHA256: strings.Repeat("b", 64)}, "BSD-2-Clause", "", "bootloader"),
			InputOf(entry, "GPL-2.0-only", "a note"),
			InputOf(entry, "GPL-2.0-only", "a note", "bootloader"),
		},
		Modules: []GoModule{ModuleOf(mod, "MIT", "")},
		Boot:    Boot{CommandLine: "console=ttyS0", Editable: true, How: "the parameter block"},
		PCRs:    PCRs{"sha256": {"11": strings.Repeat("0", 64), "4": strings.Repeat("1", 64)}},
		Parts: []Part{
			{"kernel", []Rest{{Signed, "Debian Secure Boot CA"}, {Measured, "PCR 4"}}},
			{"initrd", []Rest{{Nothing, "GRUB reads it and asks nobody"}}},
		},
	}
}

// made is a manifest of a folder with two files.
func made(t *testing.T) (*Manifest, string) {
	t.Helper()
	dir := t.TempDir()
	block := strings.Repeat("#", BlockSize)
	for name, text := range map[string]string{"bee.iso": "ab" + block + "KERNEL" + block + "z", "bom.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := New(config())
	if err != nil {
		t.Fatal(err)
	}
	at := int64(2 + BlockSize)
	o := Options{Role: "iso", Block: []int64{2, 8 + BlockSize}, Contents: []Content{
		{Role: "kernel", Path: "/boot/vmlinuz", Offset: &at, Size: 6, SHA256: sumOf("KERNEL")},
		{Role: "initrd", Path: "/boot/initrd.img", Size: 7, SHA256: sumOf("initrd\n")},
	}}
	if err := m.Add(t.Context(), filepath.Join(dir, "bom.json"), Options{Role: "bom"}); err != nil {
		t.Fatal(err)
	}
	if err := m.Add(t.Context(), filepath.Join(dir, "bee.iso"), o); err != nil {
		t.Fatal(err)
	}
	return m, dir
}

func TestGolden(t *testing.T) {
	m, _ := made(t)
	got, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", FileName)
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	back, err := Decode(got)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, back, cmpopts.IgnoreUnexported(Manifest{})); d != "" {
		t.Error(d)
	}
}

func TestDecodeRefuses(t *testing.T) {
	m, _ := made(t)
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, now, says string }{
		"a newer schema":          {`"schema": 1`, `"schema": 2`, "schema 2"},
		"no schema":               {`"schema": 1,`, ``, "schema 0"},
		"someone else's":          {`"name": "bee",`, `"name": "wasp",`, "not bee's"},
		"a climbing name":         {`"name": "bom.json"`, `"name": "../bom.json"`, "leaves the folder"},
		"an absolute name":        {`"name": "bom.json"`, `"name": "/bom.json"`, "leaves the folder"},
		"a name with a line end":  {`"name": "bom.json"`, `"name": "bom\njson"`, "no place"},
		"a name with an escape":   {`"name": "bom.json"`, `"name": "bom\u001b[2J"`, "no place"},
		"a hidden name":           {`"name": "bom.json"`, `"name": ".bom.json"`, "dot"},
		"a name like an option":   {`"name": "bom.json"`, `"name": "-bom.json"`, "dash"},
		"the manifest's name":     {`"name": "bom.json"`, `"name": "build-manifest.json"`, "own"},
		"an output twice":         {`"name": "bom.json"`, `"name": "bee.iso"`, "the same"},
		"a block outside":         {`     1032`, `     5000`, "outside"},
		"blocks that overlap":     {`     1032`, `     1025`, "overlaps"},
		"another original":        {`"original": "Iy`, `"original": "Ii`, "original"},
		"a kernel outside":        {`"offset": 1026`, `"offset": 9026`, "outside"},
		"a kernel far outside":    {`"offset": 1026`, `"offset": 9223372036854775807`, "outside"},
		"a short digest":          {sumOf("{}"), "abcd", "wanted"},
		"fs-verity by halves":     {`"fsverity": "sha256:`, `"fsverity": "sha512:`, "wanted"},
		"nothing and a signature": {`"means": "measured"`, `"means": "nothing"`, "alone"},
		"a means of its own":      {`"means": "measured"`, `"means": "believed"`, "believed"},
		"a register too many":     {`"11": "`, `"24": "`, "register"},
		"a register in octal":     {`"11": "`, `"011": "`, "register"},
		"a bank":                  {`"sha256": {`, `"sha255": {`, "bank"},
		"an unknown field":        {`"clean"`, `"cleaned"`, "unknown field"},
		"a commit":                {strings.Repeat("c", 40), "main", "commit"},
	} {
		bad := strings.Replace(string(text), c.old, c.now, 1)
		if bad == string(text) {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if _, err := Decode([]byte(bad)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want something with %q", name, err, c.says)
		}
	}
	if _, err := Decode(append(text, "{}"...)); err == nil {
		t.Error("something after the manifest was passed over")
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*Config)
		says  string
	}{
		"an input without a licence":   {func(c *Config) { c.Inputs[0].Licence = "" }, "licence"},
		"an input of the image":        {func(c *Config) { c.Inputs = c.Inputs[:1] }, "linux-image-x 6.12.1-1 (amd64) is in the image"},
		"a module of the image":        {func(c *Config) { c.Modules = nil }, "example.org/m@v1.0.0"},
		"an image of another machine":  {func(c *Config) { c.BOM.Arch = "arm64" }, "arm64"},
		"a clean tree without commit":  {func(c *Config) { c.Source.Commit = "" }, "clean"},
		"no date":                      {func(c *Config) { c.Date = time.Time{} }, "date"},
		"a part that rests on silence": {func(c *Config) { c.Parts[0].Integrity = nil }, "rests on"},
		"two digests for one package":  {func(c *Config) { c.Inputs[2].SHA256 = strings.Repeat("d", 64) }, "the same"},
	} {
		conf := config()
		c.spoil(&conf)
		if _, err := New(conf); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want something with %q", name, err, c.says)
		}
	}
}

func TestAddRefuses(t *testing.T) {
	m, dir := made(t)
	file, at := filepath.Join(dir, "bee.iso"), int64(3)
	for name, c := range map[string]struct {
		file string
		o    Options
		says string
	}{
		"no file":            {filepath.Join(dir, "none"), Options{Role: "iso"}, "no such file"},
		"a folder":           {dir, Options{Role: "iso", Name: "x"}, "not a regular file"},
		"a name twice":       {file, Options{Role: "iso"}, "the same"},
		"a name that climbs": {file, Options{Role: "iso", Name: "../x"}, "leaves"},
		"two blocks":         {file, Options{Role: "iso", Name: "x", Block: []int64{2, 3}}, "differs"},
		"no block":           {file, Options{Role: "iso", Name: "x", Block: []int64{1 << 20}}, "parameter block"},
		"another kernel":     {file, Options{Role: "iso", Name: "x", Contents: []Content{{"kernel", "k", &at, 6, sumOf("KERNEL")}}}, "not the kernel"},
		"no role":            {file, Options{Name: "x"}, "role"},
	} {
		if err := m.Add(t.Context(), c.file, c.o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want something with %q", name, err, c.says)
		}
		if len(m.Outputs) != 2 {
			t.Fatalf("%s: it is listed: %+v", name, m.Outputs)
		}
	}
	back, err := Decode(must(m.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Add(t.Context(), file, Options{Role: "iso", Name: "x"}); err == nil {
		t.Error("a manifest that was read took an output, without a function for its digest")
	}
}

func must(text []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return text
}

// box opens the tools that judge.
func box(t *testing.T, groups ...string) *sandbox.Sandbox {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", groups...)
	if errors.Is(err, sandbox.ErrUnavailable) {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sha256sum of two makers takes the list, and notices a change.
func TestSumsBySha256sum(t *testing.T) {
	m, dir := made(t)
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteSums(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	check := func(b *sandbox.Sandbox, program ...string) (string, error) {
		out, err := b.Output(t.Context(), sandbox.Step{Args: append(program, "-c", SumsName), Dir: "/in", Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}})
		return string(out), err
	}
	coreutils, busybox := box(t, "tools-kernel"), box(t, "tools-test")
	const want = "bee.iso: OK\nbom.json: OK\nbuild-manifest.json: OK\n"
	if out, err := check(coreutils, "sha256sum", "--strict"); err != nil || out != want {
		t.Errorf("coreutils: %v\n%s", err, out)
	}
	if out, err := check(busybox, "busybox", "sha256sum"); err != nil || out != want {
		t.Errorf("busybox: %v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "bom.json"), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := check(coreutils, "sha256sum", "--strict"); err == nil || !strings.Contains(out, "bom.json: FAILED") {
		t.Errorf("a changed file: %v\n%s", err, out)
	}
	// And the text itself is what coreutils writes.
	out, err := coreutils.Output(t.Context(), sandbox.Step{Args: []string{"sha256sum", "bee.iso", "build-manifest.json"}, Dir: "/in", Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}})
	if err != nil {
		t.Fatal(err)
	}
	o, _ := m.Output("bee.iso")
	own := SumsText([]Sum{{FileName, sumOf(string(must(m.Encode())))}, {o.Name, o.SHA256}})
	if string(out) != string(own) {
		t.Errorf("coreutils writes\n%s\nand we\n%s", out, own)
	}
}

func TestWriteSumsRefuses(t *testing.T) {
	m, dir := made(t)
	if err := m.WriteSums(t.Context(), dir); err == nil {
		t.Error("no manifest was written, and the list was")
	}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bee.iso", "../x", SumsName, FileName, "none"} {
		if err := m.WriteSums(t.Context(), dir, name); err == nil {
			t.Errorf("%s was listed", name)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, SumsName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	golden, err := os.ReadFile(filepath.Join("testdata", FileName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Decode(text)
		if err != nil {
			return
		}
		for _, o := range m.Outputs {
			if !filepath.IsLocal(o.Name) {
				t.Fatalf("%q leaves the folder", o.Name)
			}
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if back, err := Decode(again); err != nil || string(must(back.Encode())) != string(again) {
			t.Fatalf("writing twice differs: %v", err)
		}
	})
}

// The digest is the one that fsverity-utils print, in their words.
func TestFsverity(t *testing.T) {
	m, dir := made(t)
	out, err := box(t, "tools-judge").Output(t.Context(), sandbox.Step{Args: []string{"fsverity", "digest", "bee.iso", "bom.json"}, Dir: "/in", Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}})
	if err != nil {
		t.Fatal(err)
	}
	var ours strings.Builder
	for _, o := range m.Outputs {
		fmt.Fprintf(&ours, "%s %s\n", o.Verity, o.Name)
	}
	if string(out) != ours.String() {
		t.Errorf("fsverity says\n%sand the manifest\n%s", out, ours.String())
	}
}
