package flash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bee-os/bee/pkg/build/paramblock"
)

// sumsFile lies beside every image.
const sumsFile = "SHA256SUMS"

// image is a file that was held against its checksum.
type image struct {
	name string
	file *os.File
	size int64    // bytes
	sum  [32]byte // of the file as it is
	said string   // how it was found to be good
}

// openImage opens an image and checks it against SHA256SUMS beside it.
func openImage(ctx context.Context, name string) (_ *image, err error) {
	want, err := published(name)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m := &image{name: name, file: f, size: fi.Size()}
	if err := m.checkForm(fi); err != nil {
		return nil, err
	}
	return m, m.check(ctx, want)
}

// checkForm refuses what would not start from a disk.
func (m *image) checkForm(fi fs.FileInfo) error {
	if !fi.Mode().IsRegular() {
		return errors.New("it is not a regular file; name a raw image or an ISO")
	}
	begin := make([]byte, sector)
	if _, err := m.file.ReadAt(begin, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case bytes.HasPrefix(begin, []byte("QFI\xfb")):
		return errors.New("it is a qcow2 image, which no machine starts from; name the raw image or the ISO")
	case m.size%sector != 0 || m.size == 0 || begin[510] != 0x55 || begin[511] != 0xaa:
		return errors.New("it is not the image of a disk: it has no boot sector, or no whole number of sectors; name the raw image or the ISO")
	}
	return nil
}

// check compares digests. A parameter block that was patched is looked past: it
// has a checksum of its own.
func (m *image) check(ctx context.Context, want [32]byte) error {
	var err error
	if m.sum, err = digest(ctx, io.NewSectionReader(m.file, 0, m.size)); err != nil {
		return err
	}
	if m.sum == want {
		m.said = "it is the one that " + sumsFile + " names"
		return nil
	}
	built, err := paramblock.AsBuilt(m.file, m.size)
	if err != nil {
		return err
	}
	sum, err := digest(ctx, built)
	if err != nil {
		return err
	}
	if sum != want {
		return fmt.Errorf("its SHA-256 is %x, and %s says %x: it is damaged, or another build's; build or fetch it again", m.sum, sumsFile, want)
	}
	m.said = "it is the one that " + sumsFile + " names, with other words in its parameter block"
	return nil
}

// published is the digest that SHA256SUMS beside an image says.
func published(name string) ([32]byte, error) {
	list := filepath.Join(filepath.Dir(name), sumsFile)
	text, err := os.ReadFile(list)
	if errors.Is(err, fs.ErrNotExist) {
		return [32]byte{}, fmt.Errorf("there is no %s beside it to hold it against; take the whole folder of the build", sumsFile)
	}
	if err != nil {
		return [32]byte{}, err
	}
	sums, err := parseSums(string(text))
	if err != nil {
		return [32]byte{}, fmt.Errorf("read %s: %w", list, err)
	}
	sum, ok := sums[filepath.Base(name)]
	if !ok {
		return [32]byte{}, fmt.Errorf("%s does not name it", list)
	}
	return sum, nil
}

// parseSums reads what sha256sum(1) writes: the digest, a blank, a blank or an
// asterisk, the name. A name that stands there twice is an error.
func parseSums(text string) (map[string][32]byte, error) {
	sums := make(map[string][32]byte)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		digits, name, ok := strings.Cut(line, " ")
		b, err := hex.DecodeString(digits)
		if !ok || err != nil || len(b) != sha256.Size || len(name) < 2 || name[0] != ' ' && name[0] != '*' {
			return nil, fmt.Errorf("line %d is not of the form that sha256sum writes", n)
		}
		name = strings.TrimPrefix(name[1:], "./")
		if _, twice := sums[name]; twice {
			return nil, fmt.Errorf("line %d names %q a second time", n, name)
		}
		sums[name] = [32]byte(b)
	}
	return sums, nil
}

// digest is a SHA-256 that ends with its context.
func digest(ctx context.Context, r io.Reader) (sum [32]byte, err error) {
	h := sha256.New()
	buf := make([]byte, chunk)
	for {
		if err := context.Cause(ctx); err != nil {
			return sum, err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return sumOf(h), nil
		}
		if err != nil {
			return sum, err
		}
	}
}

func sumOf(h hash.Hash) [32]byte { return [32]byte(h.Sum(nil)) }
