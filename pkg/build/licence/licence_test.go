package licence

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/github/go-spdx/v2/spdxexp"
	"github.com/google/licensecheck"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
)

// valid asks another program that knows SPDX's grammar and lists.
func valid(t *testing.T, expression string) {
	t.Helper()
	if ok, _ := spdxexp.ValidateLicenses([]string{expression}); !ok {
		t.Errorf("not SPDX: %s", expression)
	}
}

func TestJudge(t *testing.T) {
	for _, bad := range []string{"GPL-2", "MIT AND", "(MIT", "MIT or ISC and", "LicenseRef-a b"} {
		if ok, _ := spdxexp.ValidateLicenses([]string{bad}); ok {
			t.Errorf("the judge takes %q", bad)
		}
	}
}

// Every id that can come out is one of SPDX's list.
func TestIDs(t *testing.T) {
	for _, l := range licensecheck.BuiltinLicenses() {
		if !notSPDX[l.ID] && l.ID != "" {
			valid(t, l.ID)
		}
	}
	for _, id := range names {
		valid(t, id)
	}
	for _, id := range gnuIDs {
		valid(t, id+"-only")
		valid(t, id+"-or-later")
	}
	for _, e := range exceptions {
		valid(t, "GPL-2.0-or-later WITH "+e)
	}
}

func TestByName(t *testing.T) {
	for name, want := range map[string]string{
		"GPL-2+": "GPL-2.0-or-later", "GPL-2": "GPL-2.0-only", "gpl-3.0+": "GPL-3.0-or-later", "LGPL-2.1+": "LGPL-2.1-or-later", "GPL-2.0-only": "GPL-2.0-only",
		"Expat": "MIT", "BSD-3-clause": "BSD-3-Clause", "GPL-2 with Linux-syscall-note exception": "GPL-2.0-only WITH Linux-syscall-note",
		"GPL-3+ with autoconf exception": "GPL-3.0-or-later WITH Autoconf-exception-generic",
		"MIT":                            "", "GPL": "", "GPL-4": "", "LGPL-1": "", "public-domain": "", "GPL-2+ with OpenSSL exception": "", "Artistic": "", "BSD": "",
	} {
		if got, ok := byName(name); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, ok, want)
		}
	}
}

const head = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"

func TestDebian(t *testing.T) {
	isc, err := os.ReadFile(filepath.Join("testdata", "isc.txt"))
	if err != nil {
		t.Fatal(err)
	}
	stanza := strings.ReplaceAll(strings.TrimSpace(string(isc)), "\n\n", "\n.\n")
	stanza = " " + strings.ReplaceAll(stanza, "\n", "\n ")
	for name, c := range map[string]struct{ text, want, note string }{
		"one":               {head + "Files: *\nLicense: GPL-2+\n text\n", "GPL-2.0-or-later", ""},
		"two, once each":    {head + "Files: a\nLicense: Expat\n\nFiles: b\nLicense: GPL-2\n\nFiles: c\nLicense: Expat\n", "GPL-2.0-only AND MIT", ""},
		"a choice":          {head + "Files: *\nLicense: GPL-2+ or Expat\n", "GPL-2.0-or-later OR MIT", ""},
		"a choice and more": {head + "Files: *\nLicense: GPL-2+ or Expat\n\nFiles: b\nLicense: ISC\n", "(GPL-2.0-or-later OR MIT) AND ISC", ""},
		"and binds closer":  {head + "Files: *\nLicense: GPL-2+ or Expat and ISC\n", "GPL-2.0-or-later OR ISC AND MIT", ""},
		"a comma":           {head + "Files: *\nLicense: GPL-2+ or Expat, and ISC\n", "(GPL-2.0-or-later OR MIT) AND ISC", ""},
		"commas both ways":  {head + "Files: *\nLicense: GPL-2, or Expat, and ISC\n", "LicenseRef-Debian-p-GPL-2--or-Expat--and-ISC", "GPL-2, or Expat, and ISC"},
		"packaging aside":   {head + "Files: *\nLicense: Expat\n\nFiles: debian/*\nLicense: GPL-3+\n", "MIT", ""},
		"packaging alone":   {head + "Files: debian/*\nLicense: GPL-3+\n", "GPL-3.0-or-later", ""},
		"the header":        {strings.TrimSpace(head) + "\nLicense: Zlib\n\n", "Zlib", ""},
		"by its text":       {head + "Files: *\nLicense: odd\n\nLicense: odd\n" + stanza + "\n", "ISC", ""},
		"text beside it":    {head + "Files: *\nLicense: odd\n" + stanza + "\n", "ISC", ""},
		"nobody knows it":   {head + "Files: *\nLicense: odd+\n", "LicenseRef-Debian-p-oddx", "odd+"},
		"no licence":        {head + "Files: *\nCopyright: me\n", "LicenseRef-Debian-p", "names no licence"},
		"an older form":     {"This package was debianized by somebody.\n\nGPL\n", "LicenseRef-Debian-p", "not machine-readable"},
		"another format":    {"Format: 1.0\n\nFiles: *\nLicense: Expat\n", "LicenseRef-Debian-p", "not machine-readable"},
		"a broken stanza":   {head + "Files: *\nLicense: Expat\n\nwithout a colon\n", "LicenseRef-Debian-p", "not machine-readable"},
		"nothing":           {"", "LicenseRef-Debian-p", "not machine-readable"},
	} {
		l := Debian("p", []byte(c.text))
		valid(t, l.SPDX)
		if l.SPDX != c.want || !strings.Contains(l.Note, c.note) || (l.Note == "") != (c.note == "") {
			t.Errorf("%s: %+v; want %s, %q", name, l, c.want, c.note)
		}
	}
}

// Pinned packages, whose licences people know.
func TestPinned(t *testing.T) {
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	store := debian.NewStore(f)
	for name, want := range map[string]string{
		"zlib1g":      "Zlib",
		"libexpat1":   "MIT",
		"pci.ids":     "BSD-3-Clause OR GPL-2.0-or-later",
		"libgcc-s1":   "LicenseRef-Debian-libgcc-s1", // gcc-14-base has the file, and it is prose
		"shim-signed": "BSD-2-Clause",
		"grep":        "GPL-3.0-or-later",
	} {
		e, err := l.Get(name, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		got, err := OfEntry(t.Context(), l, store, e, "amd64")
		if err != nil {
			t.Fatal(err)
		}
		valid(t, got.SPDX)
		if got.SPDX != want {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
}

// A documentation folder that leads out of the tree is not followed.
func TestLinks(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "usr/share/doc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for target, next := range map[string]string{"gcc-14-base": "gcc-14-base", "/usr/share/doc/other/sub": "other", "../../../../etc": "", "/etc": "", "p": ""} {
		name := filepath.Join(dir, "usr/share/doc/p")
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
		text, got, err := copyright(dir, "p")
		if got != next || text != nil || (next == "") != (err != nil) {
			t.Errorf("%s: %q, %q, %v", target, text, got, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestModules(t *testing.T) {
	cache := ModuleCache(os.Getenv)
	for module, want := range map[string]string{
		"golang.org/x/sys@v0.49.0":                                        "BSD-3-Clause",
		"github.com/CycloneDX/cyclonedx-go@v0.12.0":                       "Apache-2.0",
		"github.com/ulikunitz/xz@v0.5.17":                                 "BSD-3-Clause",
		"github.com/insomniacslk/dhcp@v0.0.0-20260901064844-234b97448fae": "BSD-3-Clause",
		"github.com/klauspost/compress@v1.20.3":                           "Apache-2.0 AND BSD-3-Clause AND MIT",
	} {
		path, version, _ := strings.Cut(module, "@")
		dir, err := ModuleDir(cache, path, version)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Module(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		valid(t, got.SPDX)
		if got.SPDX != want || got.Note != "" {
			t.Errorf("%s: %+v, want %s", module, got, want)
		}
	}
	if _, err := ModuleDir(cache, "../../etc", "v1.0.0"); err == nil {
		t.Error("a module path that climbs was taken")
	}
	if _, err := Module(filepath.Join(cache, "none"), "none"); err == nil || !strings.Contains(err.Error(), "go mod download") {
		t.Errorf("a module that is not there: %v", err)
	}
	dir := t.TempDir()
	if l, err := Module(dir, "example.org/none"); err != nil || l.SPDX != "LicenseRef-Go-example.org-none" || l.Note == "" {
		t.Errorf("no licence: %+v, %v", l, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("Do as you please, but not on Sundays.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Module(dir, "example.org/odd"); err != nil || l.SPDX != "LicenseRef-Go-example.org-odd" || !strings.Contains(l.Note, "LICENSE") {
		t.Errorf("an unknown licence: %+v, %v", l, err)
	}
}

func TestMapsAreLowerCase(t *testing.T) {
	for _, k := range slices.Concat(slices.Collect(maps.Keys(names)), slices.Collect(maps.Keys(exceptions)), slices.Collect(maps.Keys(gnuIDs))) {
		if k != strings.ToLower(k) {
			t.Errorf("%s is never found", k)
		}
	}
}

func FuzzParseCopyright(f *testing.F) {
	f.Add([]byte(head + "Files: *\nLicense: GPL-2+ or Expat, and ISC\n text\n\nLicense: ISC\n text\n"))
	f.Add([]byte(head + "License: and or , with\n\nFiles:\nLicense: , or\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := Debian("p", text)
		if ok, _ := spdxexp.ValidateLicenses([]string{l.SPDX}); !ok {
			t.Errorf("not SPDX: %q", l.SPDX)
		}
	})
}
