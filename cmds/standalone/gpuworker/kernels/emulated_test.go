package kernels

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// emulated compiles the kernels for the host, each change made to the sources
// first, and returns what runs them.
func emulated(t *testing.T, changes ...[3]string) func(args ...string) (string, error) {
	t.Helper()
	cc, err := exec.LookPath(cmp.Or(os.Getenv("CC"), "cc"))
	if err != nil {
		skip(t, "the kernels run on the host only where there is a C compiler: %v", err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		file := filepath.Join(dir, c[0])
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), c[1]) == 0 {
			t.Fatalf("%s does not say %q", c[0], c[1])
		}
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), c[1], c[2])), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "emulated")
	cmd := exec.Command(cc, "-O1", "-Wall", "-Wno-maybe-uninitialized", "-Werror", "-Itestdata", "-o", program, "testdata/emulated.c", "-lm")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile the kernels for the host: %v\n%s", err, out)
	}
	return func(args ...string) (string, error) {
		out, err := exec.Command(program, args...).CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
}

// shapes are kernels and sizes: fewer stages than the pipeline has, as many,
// more, and several tiles.
var shapes = []struct {
	kernel     string
	k, tm, tn  int
	tolerance  float64
	everyOrder bool
}{
	{"product_f32", 8, 2, 3, 1e-6, false},
	{"product_f32", 24, 1, 1, 1e-6, true},
	{"product_f64", 16, 1, 2, 1e-14, true},
	{"product_bf16_64", 32, 1, 1, 1e-6, true},
	{"product_bf16_64", 224, 1, 1, 1e-6, true},
	{"product_bf16_128", 320, 2, 1, 1e-6, true},
	{"product_f16_64", 128, 1, 2, 1e-6, false},
	{"product_f16_128", 192, 1, 1, 1e-6, false},
	{"product_tf32_64", 112, 1, 1, 1e-6, false},
	{"product_tf32_128", 64, 1, 1, 1e-6, false},
	{"product_bf16_wgmma", 64, 1, 1, 1e-6, true},
	{"product_bf16_wgmma", 448, 2, 1, 1e-6, true},
	{"product_f16_wgmma", 320, 1, 1, 1e-6, false},
	{"product_tf32_wgmma", 128, 1, 2, 1e-6, false},
}

// TestProducts holds every element of every product against a plain sum.
func TestProducts(t *testing.T) {
	run := emulated(t)
	for _, s := range shapes {
		for order := range 4 {
			if order > 0 && !s.everyOrder {
				continue
			}
			out, err := run("product", s.kernel, fmt.Sprint(s.k), fmt.Sprint(s.tm), fmt.Sprint(s.tn), fmt.Sprint(order&1), fmt.Sprint(order>>1))
			off, perr := strconv.ParseFloat(out, 64)
			if err != nil || perr != nil || !(off < s.tolerance) {
				t.Errorf("%+v, order %d: off by %s (%v)", s, order, out, err)
			}
		}
	}
}

// TestEmulationHasTeeth breaks the pipeline: what hides a missing wait on a GPU
// most of the time shows on the host every time.
func TestEmulationHasTeeth(t *testing.T) {
	for name, c := range map[string][3]string{
		"waits for one stage too few": {"tensor.cu", "cp_wait(stages - 2);\n\t\t\t\tbarrier();", "cp_wait(stages - 1);\n\t\t\t\tbarrier();"},
		"fills the slot that is read": {"tensor.cu", "\tif (filled == stages) {", "\tif (filled + 1 == stages) {"},
		"permutes writes alone":       {"tensor.cu", "lane >> 1 & 3 : lane & 7", "0 : 0"},
		"wrong fragment":              {"tensor.cu", "fb[s & 1][j / 2] + 2 * (j & 1)", "fb[s & 1][j / 2]"},
		"wgmma: no barrier":           {"hopper.cu", "seen();\n\t\tbarrier();", "seen();"},
		"wgmma: fills a slot early":   {"hopper.cu", "% HOPPER_STAGES; \\", "% 3; \\"},
		"wgmma: wrong swizzle":        {"hopper.cu", "q ^ (r & 7)", "q ^ (r & 3)"},
		"wgmma: wrong stride":         {"hopper.cu", "64ul << 32", "128ul << 32"},
		"no barrier":                  {"fma.inc", "bs[slot][r][q] = nb;\n\t\t\tbarrier();", "bs[slot][r][q] = nb;"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := emulated(t, c)
			noticed := 0
			kernel := map[string]string{"tensor.cu": "product_bf16_64", "fma.inc": "product_f32", "hopper.cu": "product_bf16_wgmma"}[c[0]]
			for order := range 4 {
				out, err := run("product", kernel, "256", "1", "1", fmt.Sprint(order&1), fmt.Sprint(order>>1))
				if off, perr := strconv.ParseFloat(out, 64); err != nil || perr != nil || !(off < 1e-6) {
					noticed++
				}
			}
			if noticed == 0 {
				t.Error("nothing was noticed")
			}
		})
	}
}

// TestCompare injects a flipped bit and a NaN, into 32- and 64-bit numbers.
func TestCompare(t *testing.T) {
	out, err := emulated(t)("compare")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		got = append(got, strings.Join(f[:2], " "))
		if len(f) == 5 && (!strings.HasPrefix(f[3], "3999:7f") || !strings.HasPrefix(f[4], "1234:")) {
			t.Errorf("%s", line)
		}
	}
	want := "0 0,2 1,0 0,2 1,4000 4000" // errors and NaNs; the last line is errors and how many were noted
	if strings.Join(got, ",") != want {
		t.Errorf("%q", out)
	}
}

// TestMemory flips one bit behind each pattern, in each way of walking.
func TestMemory(t *testing.T) {
	run := emulated(t)
	for _, p := range []struct{ kind, arg string }{
		{"0", "0"}, {"0", "0xaaaaaaaa"}, {"1", "0"}, {"1", "17"}, {"2", "0"}, {"3", "12345"},
	} {
		for _, at := range []struct {
			units, word, bit int
		}{{5000, 777, 3}, {5000, 19999, 31}, {1, 0, 0}} {
			out, err := run("memory", p.kind, p.arg, fmt.Sprint(at.units), fmt.Sprint(at.word), fmt.Sprint(at.bit))
			if err != nil {
				t.Fatal(err)
			}
			bits := fmt.Sprintf("%x", 1<<at.bit)
			one := fmt.Sprintf("%d:", at.word)
			for i, line := range strings.Split(out, "\n") {
				found := i < 4 && i%2 == 1 || i >= 4 && (i-4)%3 == 1
				switch f := strings.Fields(line); {
				case !found && line != "0 0 0":
					t.Errorf("pattern %s %s: errors without one: %s", p.kind, p.arg, line)
				case found && (len(f) != 4 || f[0] != "1" || f[2] != bits || !strings.HasPrefix(f[3], one)):
					t.Errorf("pattern %s %s: flipped bit %s of word %d: %s", p.kind, p.arg, bits, at.word, line)
				}
			}
			if n := strings.Count(out, "\n") + 1; n != 10 {
				t.Errorf("%d lines", n)
			}
		}
	}
}

// TestOperand holds the kernel's numbers against Operand.
func TestOperand(t *testing.T) {
	run := emulated(t)
	for _, kind := range []uint32{F32, BF16, F16, F64, TF32} {
		out, err := run("operand", fmt.Sprint(kind), "99", "300")
		if err != nil {
			t.Fatal(err)
		}
		for i, word := range strings.Fields(out) {
			if want := fmt.Sprintf("%x", Operand(kind, 99, uint64(i))); word != want {
				t.Fatalf("kind %d, word %d: %s on the GPU, %s on the host", kind, i, word, want)
			}
		}
	}
}
