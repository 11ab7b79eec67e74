// Package modinfo reads what a kernel module says of itself. It is for builders:
// a node has the tables of its image and opens no ELF file, and is better off
// without the library for it.
package modinfo

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"

	"github.com/bee-os/bee/pkg/kmod"
)

// maxModule bounds how much Read holds in memory, bytes. The largest
// module of Debian's 6.12 kernel has 16 MB.
const maxModule = 256 << 20

// Read reads an uncompressed module. Pass an io.ReaderAt (a bytes.Reader,
// an os.File) where there is one; another reader is read to its end first.
func Read(r io.Reader) (kmod.Modinfo, error) {
	at, ok := r.(io.ReaderAt)
	if !ok {
		b, err := io.ReadAll(io.LimitReader(r, maxModule+1))
		if err != nil {
			return kmod.Modinfo{}, fmt.Errorf("read module: %w", err)
		}
		if len(b) > maxModule {
			return kmod.Modinfo{}, fmt.Errorf("read module: larger than %d bytes", maxModule)
		}
		at = bytes.NewReader(b)
	}
	f, err := elf.NewFile(at)
	if err != nil {
		return kmod.Modinfo{}, fmt.Errorf("read module: %w", err)
	}
	s := f.Section(".modinfo")
	if s == nil {
		return kmod.Modinfo{}, errors.New("read module: no .modinfo section: not a kernel module")
	}
	if s.Size > maxModule {
		return kmod.Modinfo{}, fmt.Errorf("read module: .modinfo claims %d bytes", s.Size)
	}
	b, err := s.Data()
	if err != nil {
		return kmod.Modinfo{}, fmt.Errorf("read module: .modinfo: %w", err)
	}
	return kmod.ParseModinfo(b), nil
}
