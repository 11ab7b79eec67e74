package uki

import (
	"context"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/bee-os/bee/pkg/build/authenticode"
)

// maxCmdline is how long a command line may be, in bytes: the kernel cuts what is
// longer (COMMAND_LINE_SIZE of amd64 and arm64, with the NUL at its end).
const maxCmdline = 2048 - 1

// Config is what goes into an image.
type Config struct {
	Stub      string // file: systemd's linux{x64,aa64}.efi.stub
	Kernel    string // file: an EFI kernel image for the stub's processor
	Initrd    string // file: as the kernel takes it
	Cmdline   string // kernel command line; must not be empty, see the package's comment
	OSRelease []byte // os-release(5), for boot menus; empty: none
	Uname     string // the kernel's release, for tools; empty: none
	Out       string // file, replaced when the image is whole
}

// Build writes the image that c describes, unsigned: authenticode.Sign signs it.
// The same files give the same bytes. The initrd is copied through and never
// held in memory.
func Build(ctx context.Context, c Config) error {
	if err := c.build(ctx); err != nil {
		return fmt.Errorf("build unified kernel image %s: %w", c.Out, err)
	}
	return nil
}

func (c Config) build(ctx context.Context) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	stub, err := readStub(c.Stub)
	if err != nil {
		return fmt.Errorf("read stub %s: %w", c.Stub, err)
	}
	kernel, err := readKernel(c.Kernel, stub.machine)
	if err != nil {
		return fmt.Errorf("read kernel %s: %w", c.Kernel, err)
	}
	if !kernel.nx {
		stub.clearNX()
	}
	if err := stub.addSBAT(kernel.sbat); err != nil {
		return err
	}
	parts, err := c.parts()
	defer func() {
		for _, p := range parts {
			err = errors.Join(err, p.close())
		}
	}()
	if err != nil {
		return err
	}
	size, err := stub.append(parts)
	if err != nil {
		return err
	}
	return c.write(ctx, stub, parts, size)
}

// check refuses what would make an image that starts with something else than
// was meant.
func (c Config) check() error {
	switch {
	case c.Cmdline == "":
		return errors.New("it has no kernel command line, and would take any that it is started with; give it one")
	case len(c.Cmdline) > maxCmdline:
		return fmt.Errorf("the kernel command line has %d bytes and the kernel takes %d", len(c.Cmdline), maxCmdline)
	case strings.TrimSpace(c.Cmdline) != c.Cmdline:
		return fmt.Errorf("the kernel command line %q begins or ends in white space, which the stub takes away behind its measurement; leave it out", c.Cmdline)
	case strings.ContainsFunc(c.Cmdline, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("the kernel command line %q holds a control character", c.Cmdline)
	case strings.ContainsFunc(c.Uname, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("the kernel's release %q holds white space", c.Uname)
	}
	return nil
}

// part is a section to be: its name, content and length in bytes.
type part struct {
	name  string
	flags uint32
	r     io.Reader
	size  int64
	file  *os.File // to close; nil where the content is in memory
}

func (p part) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// parts are the sections, in the order that ukify writes them in; what is empty
// is left out. Where there is an error too, the parts still want to be closed.
func (c Config) parts() ([]part, error) {
	var list []part
	const data = pe.IMAGE_SCN_MEM_READ | pe.IMAGE_SCN_CNT_INITIALIZED_DATA
	for _, t := range []struct{ name, text string }{{".osrel", string(c.OSRelease)}, {".cmdline", c.Cmdline}, {".uname", c.Uname}} {
		if t.text != "" {
			list = append(list, part{name: t.name, flags: data, r: strings.NewReader(t.text), size: int64(len(t.text))})
		}
	}
	for _, t := range []struct {
		name, file string
		flags      uint32
	}{{".linux", c.Kernel, pe.IMAGE_SCN_MEM_READ | pe.IMAGE_SCN_CNT_CODE}, {".initrd", c.Initrd, data}} {
		f, err := os.Open(t.file)
		if err != nil {
			return list, err
		}
		p := part{name: t.name, flags: t.flags, r: f, file: f}
		list = append(list, p)
		st, err := f.Stat()
		if err != nil {
			return list, err
		}
		if st.Size() == 0 || !st.Mode().IsRegular() {
			return list, fmt.Errorf("%s is empty, or no regular file", t.file)
		}
		list[len(list)-1].size = st.Size()
	}
	return list, nil
}

// write writes the stub and the parts behind it, whole or not at all.
func (c Config) write(ctx context.Context, s *stub, parts []part, size int64) (err error) {
	out, err := renameio.NewPendingFile(c.Out, renameio.WithTempDir(filepath.Dir(c.Out)), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Cleanup()) }()
	if _, err := out.Write(s.text); err != nil {
		return err
	}
	for _, p := range parts {
		n, err := io.Copy(out, io.LimitReader(reader{ctx, p.r}, p.size+1))
		if err != nil {
			return fmt.Errorf("copy section %s: %w", p.name, err)
		}
		if n != p.size {
			return fmt.Errorf("copy section %s: its file had %d bytes and changed while it was read", p.name, p.size)
		}
		if _, err := out.Write(make([]byte, up(n, s.fileAlign)-n)); err != nil {
			return err
		}
	}
	if err := authenticode.Checksum(out.File, size); err != nil {
		return err
	}
	return out.CloseAtomicallyReplace()
}

// reader ends with its context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// up rounds up to a multiple of align.
func up(n, align int64) int64 { return (n + align - 1) / align * align }
