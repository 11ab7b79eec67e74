package kernels

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestFits(t *testing.T) {
	for _, c := range []struct {
		major, minor int
		want         string
	}{{7, 0, "base"}, {7, 5, "base"}, {8, 0, "base tensor"}, {8, 9, "base tensor"}, {9, 0, "base tensor hopper"}, {10, 0, "base tensor"}, {12, 0, "base tensor"}, {6, 1, ""}} {
		var got []string
		for _, m := range Modules() {
			if m.Fits(c.major, c.minor) {
				got = append(got, m.Name)
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%d.%d: %q, want %q", c.major, c.minor, got, c.want)
		}
	}
}

// TestPTX holds the committed PTX against what the worker launches.
func TestPTX(t *testing.T) {
	entry := regexp.MustCompile(`(?s)\.visible \.entry (\w+)\(\n(.*?)\n\)\n(.*?)\{`)
	for _, m := range Modules() {
		if !strings.Contains(m.PTX, "\n.version "+m.Version+"\n.target "+m.Arch+"\n.address_size 64\n") {
			t.Errorf("%s.ptx is not of version %s for %s", m.Name, m.Version, m.Arch)
		}
		if m.Version > "8.4" {
			t.Errorf("%s.ptx: driver 550 (CUDA 12.4) knows PTX ISA 8.4 at most", m.Name)
		}
		params := make(map[string]int)
		for _, e := range entry.FindAllStringSubmatch(m.PTX, -1) {
			params[e[1]] = strings.Count(e[2], ".param .u64 ")
			if lines := strings.Count(e[2], "\n") + 1; lines != params[e[1]] {
				t.Errorf("%s: %d parameters, %d of them of 64 bits", e[1], lines, params[e[1]])
			}
			if !strings.Contains(e[3], ".maxntid 256, 1, 1") {
				t.Errorf("%s is not bounded to blocks of %d threads", e[1], Threads)
			}
		}
		if len(params) != len(m.Kernels) {
			t.Errorf("%s.ptx has the entry points %v", m.Name, params)
		}
		for _, k := range m.Kernels {
			if n, ok := params[k.Name]; !ok || n != k.Params {
				t.Errorf("%s.ptx: %s has %d parameters (there: %t), and %d are given", m.Name, k.Name, n, ok, k.Params)
			}
		}
	}
}

// TestCommitted compiles the sources and compares.
func TestCommitted(t *testing.T) {
	clang, err := exec.LookPath(Compiler)
	if err != nil {
		skip(t, "whether the committed PTX is what the sources give cannot be said without %s: %v", Compiler, err)
	}
	for _, m := range Modules() {
		args := Compile(m)
		out := filepath.Join(t.TempDir(), "out.ptx")
		for i := range args {
			if args[i] == m.Name+".ptx" {
				args[i] = out
			}
		}
		if msg, err := exec.Command(clang, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", m.Name, err, msg)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, []byte(m.PTX)) {
			t.Errorf("%s.ptx is not what %s.cu gives; in %s: %s %s", m.Name, m.Name, "this folder", Compiler, strings.Join(Compile(m), " "))
		}
	}
}
