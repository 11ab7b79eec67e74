package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/node/compat"
)

// Vendor runs a program of a hardware's maker, where one is in the image.
const Vendor Kind = "vendor"

// vendorReaders are the programs and the command lines that are let through:
// they show and change nothing. A * stands for one word of digits, letters, ":"
// and ".".
func vendorReaders() map[string][]string {
	return map[string][]string{
		"storcli64": {"/call", "show", "all", "J", "nolog"},
		"sas2ircu":  {"*", "display"},
		"sas3ircu":  {"*", "display"},
		"mstflint":  {"-d", "*", "q"},
	}
}

// VendorCommand makes the question of a command line; the answer is what the
// program wrote.
func VendorCommand(program string, args ...string) Question {
	return Question{Device: bom.VendorDir + "/" + program, Kind: Vendor, Request: []byte(strings.Join(args, "\x00")), Reply: 4 << 20}
}

func readerAllowed(program string, args []string) bool {
	want := vendorReaders()[program]
	return len(want) == len(args) && len(args) > 0 && !slices.ContainsFunc(args, func(a string) bool { return a == "" }) && func() bool {
		for i, w := range want {
			word := strings.Trim(args[i], "0123456789abcdefABCDEF:.") == ""
			if w != args[i] && (w != "*" || !word) {
				return false
			}
		}
		return true
	}()
}

func askVendor(q Question, patience time.Duration) ([]byte, error) {
	program := path.Base(q.Device)
	args := strings.Split(string(q.Request), "\x00")
	if q.Device != bom.VendorDir+"/"+program || !readerAllowed(program, args) {
		return nil, fmt.Errorf("%s %q is no command that is let through", q.Device, args)
	}
	file := "/" + q.Device
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	out, said, err := execute(append([]string{file}, args...), q.Reply, patience)
	if errors.Is(err, fs.ErrNotExist) {
		// The program is there, so it is its loader that is not: it was made for
		// glibc, which the compat root has.
		if argv, cerr := compat.Served(os.DirFS("/"), file, args...); cerr == nil {
			out, said, err = execute(argv, q.Reply, patience)
		}
	}
	switch {
	case errors.Is(err, ErrTimeout):
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not start: it wants a C library that the image has not; build the image with the program in vendor-tools", program)
	case err != nil && len(out) == 0:
		return nil, fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(said))
	}
	return out, nil // some end with a status although they told all
}

// execute runs a program with nothing of our environment, for so long and no
// longer. It returns the first bytes of what it wrote and of what it complained.
func execute(argv []string, most int, patience time.Duration) (out, said []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = "/", []string{"PATH=/bin:/usr/bin", "LC_ALL=C"}, 100*time.Millisecond
	var wrote, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &capped{&wrote, most}, &capped{&complained, 4096}
	err = cmd.Run()
	if ctx.Err() != nil {
		err = TimedOut(patience)
	}
	return wrote.Bytes(), complained.Bytes(), err
}

// capped keeps the first bytes of what is written.
type capped struct {
	to   *bytes.Buffer
	left int
}

func (c *capped) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	c.to.Write(b[:n])
	return len(b), nil
}
