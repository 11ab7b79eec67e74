package driver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// Where the build lies inside the sandbox. Its path is part of what the
// compiler writes, so it is the same everywhere.
const (
	inside    = "/build"
	insideOut = "/out"
)

// builder is one build while it runs.
type builder struct {
	*plan
	box *sandbox.Sandbox
	dir string // the unpacked source, on the host
	out string // the finished modules, on the host
}

// step runs a program in the source's folder; what it says on standard output
// goes to out.
func (b *builder) step(ctx context.Context, out io.Writer, in io.Reader, args ...string) error {
	return b.box.Run(ctx, sandbox.Step{
		Args: args, Dir: path.Join(inside, b.Flavor.folder), Stdin: in, Stdout: out,
		Rw: []sandbox.Bind{{Host: b.dir, Path: inside}, {Host: b.out, Path: insideOut}},
	})
}

// unpack unpacks the source that the package carries.
func (b *builder) unpack(ctx context.Context) error {
	fmt.Fprintf(b.Progress, "nvidia %s (%s): unpack the source\n", b.version, b.Flavor.Name)
	err := b.box.Run(ctx, sandbox.Step{
		Args: []string{"tar", "--extract", "--no-same-owner", "--file", "/" + b.Flavor.archive}, Dir: inside,
		Rw: []sandbox.Bind{{Host: b.dir, Path: inside}},
	})
	if err != nil {
		return fmt.Errorf("unpack %s of %s: %w", b.Flavor.archive, b.source, err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, b.Flavor.folder, "Kbuild")); err != nil {
		return fmt.Errorf("look into the source of %s: %w; the package is built differently now", b.source, err)
	}
	return nil
}

// patch applies what kernel-config/patches has for this flavour.
func (b *builder) patch(ctx context.Context) error {
	for _, p := range b.patches {
		var said bytes.Buffer
		if err := b.step(ctx, &said, bytes.NewReader(p.text), "patch", "--strip=1", "--forward", "--fuzz=0", "--reject-file=-"); err != nil {
			return fmt.Errorf("apply kernel-config/patches/nvidia-%s/%s to %s: %w\n%s\nif the source has the change by now, remove the patch", b.Flavor.Name, p.name, b.source, err, said.String())
		}
	}
	return nil
}

// compile runs the source's own Makefile through the kernel's.
func (b *builder) compile(ctx context.Context) error {
	jobs := max(b.Jobs, 1)
	fmt.Fprintf(b.Progress, "nvidia %s (%s): compile for kernel %s, %d at once; this takes minutes and is done once\n", b.version, b.Flavor.Name, b.Release, jobs)
	said := &counter{w: b.Progress, label: fmt.Sprintf("nvidia %s (%s)", b.version, b.Flavor.Name), started: time.Now()}
	err := b.step(ctx, said, nil, "make", "-j"+strconv.Itoa(jobs), "modules",
		"KERNEL_UNAME="+b.Release,
		"SYSSRC=/usr/src/linux-headers-"+strings.TrimSuffix(b.Release, "-"+b.Arch)+"-common",
		"SYSOUT=/usr/src/linux-headers-"+b.Release,
		"CC=gcc-14", "HOSTCC=gcc-14", "AWK=mawk", "ARCH="+kernelArch[b.Arch],
		"NV_KERNEL_MODULES="+strings.Join(Modules, " "),
		"KBUILD_BUILD_USER=bee", "KBUILD_BUILD_HOST=bee", "KBUILD_BUILD_VERSION=1", "KBUILD_BUILD_TIMESTAMP=1980-01-01",
	)
	if err != nil {
		return fmt.Errorf("compile: %w\n%s", err, said.last())
	}
	return nil
}

// kernelArch is what NVIDIA's Makefile calls an architecture.
var kernelArch = map[string]string{"amd64": "x86_64", "arm64": "arm64"}

// strip takes the debug data out of the modules, which a kernel never reads.
// There is no signature on them yet that it could break.
func (b *builder) strip(ctx context.Context) error {
	for _, m := range Modules {
		if err := b.step(ctx, nil, nil, "strip", "--strip-debug", "--enable-deterministic-archives", "-o", insideOut+"/"+m+".ko", m+".ko"); err != nil {
			return fmt.Errorf("strip module %s: %w", m, err)
		}
	}
	return nil
}

// counter counts the files that make says it compiled, and keeps what it said
// last for an error.
type counter struct {
	w       io.Writer
	label   string
	started time.Time
	rest    []byte
	tail    []string
	n       int
}

// every is after how many files progress is told, and tailLines what an error
// shows.
const (
	every     = 25
	tailLines = 30
)

func (c *counter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		advance, line, err := bufio.ScanLines(c.rest, false)
		if err != nil || advance == 0 {
			return len(p), err
		}
		c.line(string(line))
		c.rest = c.rest[advance:]
	}
}

func (c *counter) line(s string) {
	c.tail = append(c.tail, s)
	if len(c.tail) > tailLines {
		c.tail = c.tail[1:]
	}
	if !strings.HasPrefix(strings.TrimSpace(s), "CC ") {
		return
	}
	if c.n++; c.n%every == 0 {
		fmt.Fprintf(c.w, "%s: %d files compiled in %.0f s\n", c.label, c.n, time.Since(c.started).Seconds())
	}
}

// last is the end of what make said, for people.
func (c *counter) last() string { return strings.Join(c.tail, "\n") }
