// Package debian reads what Debian publishes: packages (deb(5): ar, tar, gz, xz,
// zstd), control files, signed Release files and Packages indexes. It unpacks
// packages into content-addressed trees, once each, and runs nothing of what is
// in them: no maintainer script, no trigger.
package debian

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/bee-os/bee/pkg/build/deb822"
)

// Bounds of one package, against an archive made to fill a disk. The largest
// that bee uses, the kernel, has 5,000 members and 130 MB.
const (
	maxUnpacked = 8 << 30 // bytes
	maxMembers  = 1 << 20
	maxControl  = 16 << 20 // bytes of the unpacked control member
)

// Unpack unpacks the data member of the package that deb reads into dst, which
// should be empty, and returns the package's control stanza. Nothing lands
// outside dst: members with absolute or climbing names, links that point out of
// the tree, devices and pipes are refused by name. Permission bits are kept
// without setuid, setgid and sticky; owners are not kept; times are.
func Unpack(ctx context.Context, deb io.Reader, dst *os.Root) (deb822.Stanza, error) {
	var control deb822.Stanza
	data := false
	err := members(deb, func(name string, r io.Reader) error {
		switch {
		case strings.HasPrefix(name, "control.tar"):
			var err error
			control, err = readControl(name, r)
			return err
		case strings.HasPrefix(name, "data.tar"):
			data = true
			in, err := decompress(name, r)
			if err != nil {
				return err
			}
			defer in.Close()
			return unpackTar(ctx, tar.NewReader(in), dst)
		}
		return nil // deb(5): unknown members after data.tar are passed over
	})
	if err == nil && !data {
		err = errors.New("read package: it has no data.tar member")
	}
	return control, err
}

// Control returns the control stanza of a package.
func Control(deb io.Reader) (deb822.Stanza, error) {
	var control deb822.Stanza
	found := errors.New("found")
	err := members(deb, func(name string, r io.Reader) error {
		if !strings.HasPrefix(name, "control.tar") {
			return nil
		}
		var err error
		if control, err = readControl(name, r); err == nil {
			err = found
		}
		return err
	})
	if err == nil {
		err = errors.New("read package: it has no control.tar member")
	} else if errors.Is(err, found) {
		err = nil
	}
	return control, err
}

// members calls do for each member behind debian-binary.
func members(deb io.Reader, do func(name string, r io.Reader) error) error {
	in, err := newArReader(deb)
	if err != nil {
		return err
	}
	name, _, err := in.next()
	if err != nil {
		return fmt.Errorf("read package: %w", unexpected(err))
	}
	version := make([]byte, 2)
	if _, err := io.ReadFull(in, version); name != "debian-binary" || err != nil || string(version) != "2." {
		return fmt.Errorf("read package: first member %q is not debian-binary 2.x", name)
	}
	for {
		name, _, err := in.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(name, in); err != nil {
			return err
		}
	}
}

// readControl reads the file "control" of a control.tar member.
func readControl(name string, r io.Reader) (deb822.Stanza, error) {
	in, err := decompress(name, r)
	if err != nil {
		return deb822.Stanza{}, err
	}
	defer in.Close()
	for t := tar.NewReader(io.LimitReader(in, maxControl)); ; {
		h, err := t.Next()
		if err != nil {
			return deb822.Stanza{}, fmt.Errorf("read %s: find file control: %w", name, unexpected(err))
		}
		if path.Clean(h.Name) != "control" {
			continue
		}
		s, err := deb822.NewReader(t).Next()
		if err != nil {
			return deb822.Stanza{}, fmt.Errorf("read %s: file control: %w", name, unexpected(err))
		}
		return s, nil
	}
}

// decompress opens a tar member by the ending of its name.
func decompress(name string, r io.Reader) (io.ReadCloser, error) {
	var out io.ReadCloser
	var err error
	switch path.Ext(name) {
	case ".tar":
		out = io.NopCloser(r)
	case ".gz":
		out, err = gzip.NewReader(r)
	case ".xz":
		var x *xz.Reader
		if x, err = xz.NewReader(bufio.NewReaderSize(r, 1<<20)); err == nil {
			out = io.NopCloser(x)
		}
	case ".zst":
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r, zstd.WithDecoderMaxMemory(256<<20)); err == nil {
			out = z.IOReadCloser()
		}
	default:
		return nil, fmt.Errorf("read %s: this compression is unknown; known are none, gz, xz, zst", name)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress %s: %w", name, err)
	}
	return out, nil
}

// Decompress reads an index by the ending of its name (none, .gz, .xz, .zst).
// More than limit bytes are an error.
func Decompress(name string, r io.Reader, limit int64) (io.ReadCloser, error) {
	if path.Ext(name) == "" {
		name += ".tar" // not compressed
	}
	in, err := decompress(name, r)
	if err != nil {
		return nil, err
	}
	return &bounded{in, name, limit}, nil
}

// bounded fails where a plain LimitReader would feign an end.
type bounded struct {
	io.ReadCloser
	name string
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("decompress %s: it grows beyond the bound", b.name)
	}
	return n, err
}
