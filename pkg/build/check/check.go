// Package check runs bee's own checks: vet, staticcheck, the unit and
// end-to-end tests, the race detector, the fuzz targets. It is the body of the
// mage targets of the same names. os/exec is its job: every check is a process
// of the Go tool.
package check

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Test runs go vet, staticcheck and every test. It stops at the first that
// fails; its error names the command.
func Test(ctx context.Context, out io.Writer) error {
	steps := [][]string{
		{"vet", "./..."},
		{"vet", "-tags=mage", "."},
		{"tool", "staticcheck", "./..."},
		// One package after another: the end-to-end tests boot machines, and
		// two at once on a small host would time each other out.
		{"test", "-p=1", "-timeout=60m", "./..."},
	}
	for _, step := range steps {
		if err := run(ctx, out, nil, step...); err != nil {
			return err
		}
	}
	return nil
}

// notRaced are packages whose tests are the work of other processes: guests,
// compilers in the sandbox. The detector would see nothing of it.
var notRaced = []string{"/pkg/build/e2e", "/pkg/build/driver", "/pkg/build/cprogram", "/pkg/build/artifact", "/pkg/build/release", "/pkg/build/paramblock"}

// Race runs the unit tests under the race detector, without those of notRaced.
func Race(ctx context.Context, out io.Writer) error {
	if _, err := exec.LookPath("gcc"); err != nil {
		return fmt.Errorf("run race detector: it needs cgo and a C compiler: %w; install gcc", err)
	}
	list, err := output(ctx, "list", "./cmds/...", "./pkg/...")
	if err != nil {
		return err
	}
	args := []string{"test", "-race", "-timeout=30m"}
	for _, pkg := range strings.Fields(list) {
		if !slices.ContainsFunc(notRaced, func(p string) bool { return strings.HasSuffix(pkg, p) }) {
			args = append(args, pkg)
		}
	}
	return run(ctx, out, []string{"CGO_ENABLED=1"}, args...)
}

// Vuln runs govulncheck. It asks the public Go vulnerability database, or a copy
// of it (layout: go.dev/doc/security/vuln/database): db is its URL or folder.
func Vuln(ctx context.Context, db string, out io.Writer) error {
	args := []string{"tool", "govulncheck"}
	if db != "" {
		at, err := vulnDB(db)
		if err != nil {
			return err
		}
		args = append(args, "-db="+at)
	}
	return run(ctx, out, nil, append(args, "./...")...)
}

// vulnDB is the URL of a copy of the database. Of a folder it checks that there
// is one: govulncheck takes an empty folder for a database without entries.
func vulnDB(db string) (string, error) {
	if strings.Contains(db, "://") {
		return db, nil
	}
	dir, err := filepath.Abs(db)
	if err != nil {
		return "", fmt.Errorf("find vulnerability database %s: %w", db, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "index", "db.json")); err != nil {
		return "", fmt.Errorf("BEE_VULNDB names no copy of the Go vulnerability database: %w; its files are index/db.json, index/modules.json, ID/*.json", err)
	}
	return (&url.URL{Scheme: "file", Path: dir}).String(), nil
}

// Fuzz runs every fuzz target of the module for the given time each (a Go
// duration; empty: 60s) or with so many inputs ("10000x"), one after another, since
// go test takes one at a time. Its error names all that failed.
func Fuzz(ctx context.Context, each, packages string, out io.Writer) error {
	if each == "" {
		each = "60s"
	}
	if err := checkFuzzTime(each); err != nil {
		return err
	}
	patterns := strings.Fields(packages)
	if len(patterns) == 0 {
		patterns = []string{"./cmds/...", "./pkg/..."}
	}
	list, err := output(ctx, append([]string{"test", "-list=^Fuzz"}, patterns...)...)
	if err != nil {
		return err
	}
	targets := fuzzTargets(strings.NewReader(list))
	if len(targets) == 0 {
		return errors.New("find fuzz targets: there is none; is this the module's root?")
	}
	var failed []error
	for i, t := range targets {
		fmt.Fprintf(out, "fuzz %d/%d %s %s\n", i+1, len(targets), t.pkg, t.name)
		if err := fuzz(ctx, out, each, t); err != nil {
			failed = append(failed, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return errors.Join(failed...)
}

// checkFuzzTime checks what go test takes for -fuzztime (go help testflag).
func checkFuzzTime(each string) error {
	if n, ok := strings.CutSuffix(each, "x"); ok {
		if _, err := strconv.ParseUint(n, 10, 31); err == nil && n != "0" {
			return nil
		}
	} else if d, err := time.ParseDuration(each); err == nil && d > 0 {
		return nil
	}
	return fmt.Errorf("parse FUZZTIME: %q is neither a time, such as 60s, nor a number of inputs, such as 10000x", each)
}

// fuzz runs one target. The fuzzing engine at times takes the end of its own
// time for a failure (golang.org/issue/75804): without a failing input, that is
// tried once more.
func fuzz(ctx context.Context, out io.Writer, each string, t fuzzTarget) error {
	for again := false; ; again = true {
		var said bytes.Buffer
		err := run(ctx, io.MultiWriter(out, &said), nil, "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+each, "-fuzzminimizetime=100x", t.pkg)
		if err == nil || again || !strings.Contains(said.String(), "context deadline exceeded") || strings.Contains(said.String(), "Failing input written") {
			return err
		}
		fmt.Fprintf(out, "fuzz %s: its time was over, and no input failed: once more\n", t.name)
	}
}

type fuzzTarget struct{ pkg, name string }

// fuzzTargets reads the output of go test -list: the names of a package's
// targets, then a line "ok <package> <time>".
func fuzzTargets(r io.Reader) []fuzzTarget {
	var out []fuzzTarget
	var names []string
	for s := bufio.NewScanner(r); s.Scan(); {
		line := s.Text()
		switch fields := strings.Fields(line); {
		case strings.HasPrefix(line, "Fuzz"):
			names = append(names, line)
		case len(fields) > 1 && fields[0] == "ok":
			for _, n := range names {
				out = append(out, fuzzTarget{fields[1], n})
			}
			names = nil
		}
	}
	return out
}

func run(ctx context.Context, out io.Writer, env []string, args ...string) error {
	fmt.Fprintf(out, "go %s\n", strings.Join(args[:min(len(args), 5)], " "))
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s: %w", strings.Join(args[:min(len(args), 5)], " "), err)
	}
	return nil
}

func output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}
