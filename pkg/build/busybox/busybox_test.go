package busybox

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// module writes a module with two commands and a package that both import.
func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":             "module example.org/m\n\ngo 1.26\n",
		"go.sum":             "",
		"cmds/hello/main.go": "package main\n\nimport (\n\t\"fmt\"\n\n\t\"example.org/m/say\"\n)\n\nfunc main() { fmt.Println(say.Hello()) }\n",
		"cmds/bye/main.go":   "package main\n\nimport (\n\t\"os\"\n\n\t\"example.org/m/say\"\n)\n\nfunc main() {\n\tprintln(say.Hello())\n\tos.Exit(3)\n}\n",
		"say/say.go":         "// Package say says.\npackage say\n\n// Hello is said.\nfunc Hello() string { return \"one\" }\n",
	} {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func program(root, dir string) Program {
	return Program{Root: root, Module: "example.org/m", Commands: []string{"example.org/m/cmds/bye", "example.org/m/cmds/hello"}, Arch: runtime.GOARCH, Dir: dir}
}

// build builds and returns the program's bytes and what its commands do.
func build(t *testing.T, p Program) (text []byte, says string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bb")
	if err := p.Build(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command(out, "hello").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(out, "bye").Run(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("bye: %v, want exit status 3", err)
	}
	text, err = os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return text, strings.TrimSpace(string(said))
}

// TestEditsGiveWhatAFreshBuildGives edits sources in every way that matters and
// compares with a build from nothing, in another folder.
func TestEditsGiveWhatAFreshBuildGives(t *testing.T) {
	root, dir := module(t), filepath.Join(t.TempDir(), "kept")
	if _, says := build(t, program(root, dir)); says != "one" {
		t.Fatalf("hello says %q", says)
	}
	// A file of ours among the generated ones goes when they are made anew.
	marker := filepath.Join(dir, "gen", "marker")
	for _, c := range []struct {
		name, file, text, says string
		anew                   bool
	}{
		{"nothing", "", "", "one", false},
		{"the body of a dependency", "say/say.go", "// Package say says.\npackage say\n\n// Hello is said.\nfunc Hello() string { return \"two\" } // comment\n", "two", false},
		{"an import", "say/say.go", "package say\n\nimport \"strings\"\n\nfunc Hello() string { return strings.ToUpper(\"three\") }\n", "THREE", true},
		{"a new file", "say/more.go", "package say\n\nconst more = 1\n", "THREE", true},
		{"a command", "cmds/hello/main.go", "package main\n\nimport (\n\t\"fmt\"\n\n\t\"example.org/m/say\"\n)\n\nfunc main() { fmt.Println(say.Hello(), \"!\") }\n", "THREE !", true},
	} {
		write(t, marker, "")
		if c.file != "" {
			write(t, filepath.Join(root, c.file), c.text)
		}
		kept, says := build(t, program(root, dir))
		if says != c.says {
			t.Errorf("after %s: hello says %q, want %q", c.name, says, c.says)
		}
		if _, err := os.Stat(marker); (err != nil) != c.anew {
			anew := err != nil
			t.Errorf("after %s: generated anew: %v, want %v", c.name, anew, c.anew)
		}
		fresh, _ := build(t, program(root, filepath.Join(t.TempDir(), "fresh")))
		if !bytes.Equal(kept, fresh) {
			t.Errorf("after %s: %d bytes differ from a fresh build's %d", c.name, len(kept), len(fresh))
		}
	}
}

func TestCompilerIsQuoted(t *testing.T) {
	root := module(t)
	write(t, filepath.Join(root, "say/say.go"), "package say\n\nfunc Hello() string { return 1 }\n")
	err := program(root, filepath.Join(t.TempDir(), "x")).Build(t.Context(), filepath.Join(t.TempDir(), "bb"))
	if err == nil || !strings.Contains(err.Error(), "say.go") {
		t.Fatalf("err = %v, want one that names the file", err)
	}
}

// TestACommandRunsBeforeOthersInitialise has a command and, in another module, a
// package that only the other command imports and that says so when it is
// initialised. By the order of the import paths, it would be before the command.
func TestACommandRunsBeforeOthersInitialise(t *testing.T) {
	root := module(t)
	for name, text := range map[string]string{
		"go.mod":             "module example.org/m\n\ngo 1.26\n\nrequire a.example/heavy v0.0.0\n\nreplace a.example/heavy => ./heavy\n",
		"heavy/go.mod":       "module a.example/heavy\n\ngo 1.26\n",
		"heavy/base/base.go": "package base\n\nimport \"fmt\"\n\nvar Weight = weigh()\n\nfunc weigh() int {\n\tfmt.Println(\"heavy\")\n\treturn 1\n}\n",
		"heavy/heavy.go":     "package heavy\n\nimport \"a.example/heavy/base\"\n\nvar Weight = base.Weight\n",
		"cmds/bye/main.go":   "package main\n\nimport \"a.example/heavy\"\n\nfunc main() { println(heavy.Weight) }\n",
		// It needs what comes late in the order of paths.
		"say/say.go": "package say\n\nimport \"strings\"\n\nimport \"text/template\"\n\nvar T = template.New(\"\")\n\nfunc Hello() string { return strings.ToLower(\"One\") }\n",
	} {
		write(t, filepath.Join(root, name), text)
	}
	run := func(p Program, name string) string {
		t.Helper()
		out := filepath.Join(t.TempDir(), "bb")
		if err := p.Build(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		// A link to the program, and a link to that: the name of the last link counts.
		dir := t.TempDir()
		for link, to := range map[string]string{"hello": out, "bye": out, "again": "hello"} {
			if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		text, err := exec.Command(filepath.Join(dir, name)).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return string(text)
	}
	p := program(root, filepath.Join(t.TempDir(), "x"))
	if got := run(p, "hello"); got != "heavy\none\n" {
		t.Errorf("without an order, hello says %q: the test cannot fail", got)
	}
	p.First = []string{"example.org/m/cmds/hello"}
	if got := run(p, "hello"); got != "one\n" {
		t.Errorf("hello says %q", got)
	}
	if got := run(p, "bye"); got != "heavy\n" {
		t.Errorf("bye says %q", got)
	}
	if got := run(p, "again"); got != "heavy\none\n" { // main finds its name, when all is initialised
		t.Errorf("a link to a link says %q", got)
	}
	p.First = []string{"example.org/m/cmds/none"}
	if err := p.Build(t.Context(), filepath.Join(t.TempDir(), "bb")); err == nil || !strings.Contains(err.Error(), "cmds/none") {
		t.Errorf("%v, want one that names the command", err)
	}
}
