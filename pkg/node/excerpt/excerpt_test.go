package excerpt

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// TestMain lets the test binary be head and tail.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "head":
			os.Exit(Head(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		case "tail":
			os.Exit(Tail(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		}
	}
	os.Exit(m.Run())
}

// TestAgainstCoreutils runs the same command lines with ours and Debian's.
func TestAgainstCoreutils(t *testing.T) {
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", "tools-kernel")
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var long strings.Builder
	for i := range 30_000 {
		long.WriteString(strings.Repeat("x", i%200) + "\n")
	}
	for name, text := range map[string]string{
		"empty": "", "one": "one\n", "open": "a\nb\nno end", "twelve": "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n",
		"blank": "\n\n\n", "wide": strings.Repeat("w", 200_000) + "\nlast\n", "long": long.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	both := []string{
		"twelve", "-3 twelve", "-n 3 twelve", "-n3 twelve", "--lines=3 twelve", "-n 0 twelve", "-0 twelve", "-n 100 twelve", "-c 5 twelve", "-c5 open", "--bytes=0 open", "-c 100000 wide",
		"-n 2 open", "-1 open", "-n 1 wide", "-2 blank", "empty", "-5 empty one", "one open", "-q one open", "-v one", "-qn1 one open", "-n 1 -v -q one two", "missing", "missing one", "one missing open",
		"-n 20000 long", "-n 29999 long", "-n 30001 long", "-c 1000000 long", "-n 12345 -c 100 long", "-c 100 -n 2 long", "-- one", "-x one", "-n", "-n x one", "-n 99999999999999999999x one", ".",
		"-", "-n 2 -", "- one", "-c 3", "-3",
	}
	tails := []string{"-n +3 twelve", "-n +0 open", "-n +1 open", "-n +100 open", "-c +3 open", "-c +0 one", "-c +100 one", "-n -3 twelve", "-n +29000 long", "-n +2", "-c +4", "-c +70000 wide"}
	stdin := []byte("s1\ns2\ns3\nend")
	for _, name := range []string{"head", "tail"} {
		lines := both
		if name == "tail" {
			lines = append(lines, tails...)
		}
		for _, line := range lines {
			args := append([]string{name}, strings.Fields(line)...)
			if name == "tail" && line == "-5 empty one" {
				continue // coreutils refuses -N for more than one file, of tail alone
			}
			want, wantStatus := theirs(t, box, dir, args, stdin)
			for _, pipe := range []bool{true, false} {
				got, status := ours(t, dir, args, stdin, pipe)
				if !bytes.Equal(got, want) || status != wantStatus {
					t.Errorf("%v (pipe %v): status %d and %d bytes %q, coreutils %d and %d bytes %q", args, pipe, status, len(got), cut(got), wantStatus, len(want), cut(want))
				}
			}
		}
	}
}

func cut(b []byte) []byte { return b[:min(len(b), 60)] }

func theirs(t *testing.T, box *sandbox.Sandbox, dir string, args []string, stdin []byte) ([]byte, int) {
	t.Helper()
	var out bytes.Buffer
	cmd, err := box.Command(t.Context(), sandbox.Step{Args: args, Dir: "/in", Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}, Stdin: bytes.NewReader(stdin), Stdout: &out, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	s := status(t, cmd.Run())
	return out.Bytes(), s
}

func ours(t *testing.T, dir string, args []string, stdin []byte, pipe bool) ([]byte, int) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Dir, cmd.Stdout, cmd.Stdin = dir, &out, bytes.NewReader(stdin)
	if !pipe {
		name := filepath.Join(t.TempDir(), "stdin")
		if err := os.WriteFile(name, stdin, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		cmd.Stdin = f
	}
	s := status(t, cmd.Run())
	return out.Bytes(), s
}

func status(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return 0
}

// TestFollow: what is added is shown, what was cut off is told, and a file that
// cannot be followed ends it.
func TestFollow(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, []byte("1\n2\n3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "tail", "-fn1", name)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	expect := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(out, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want %q", got, err, want)
		}
	}
	expect("3\n")
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, text := range []string{"4\n", "part", "ly\n"} {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		expect(text)
	}
	if err := f.Truncate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("new\n"); err != nil {
		t.Fatal(err)
	}
	expect("new\n")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // killed: its error is no news
	if !strings.Contains(stderr.String(), "file truncated") {
		t.Errorf("it said %q", stderr.String())
	}
	if err := exec.Command("/proc/self/exe", "tail", "-f", name+".missing").Run(); err == nil {
		t.Error("a file that is not there is followed for ever without a word")
	}
}
