package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/disk/iso9660"
	"github.com/bee-os/bee/pkg/build/disk/qcow2"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// ErrForm tells that a function for Config.Inside does not know the form of an
// output: nothing is wrong, the file inside is not looked at.
var ErrForm = errors.New("files cannot be taken out of an artifact of this form")

// Inside opens a file by its path in an ISO 9660 volume, in a tar archive, or in
// the FAT volumes of a disk with a GPT or an MBR, in a raw image or in qcow2; in
// a program of UEFI it opens a section by its name. It is what Config.Inside is
// by default.
func Inside(_ context.Context, output io.ReaderAt, o manifest.Output, c manifest.Content) (io.ReadCloser, error) {
	size := o.Size
	if q, err := qcow2.Open(output); err == nil {
		output, size = q, q.Size()
	}
	if iso9660.Is(output, size) {
		r, err := iso9660.Open(output, size, "/"+strings.TrimPrefix(c.Path, "/"))
		if err != nil {
			return nil, err
		}
		return io.NopCloser(r), nil
	}
	switch {
	case begins(output, 0, "MZ"):
		return section(output, size, c.Path)
	case begins(output, tarMagicAt, tarMagic):
		return entry(output, size, strings.TrimPrefix(c.Path, "/"))
	}
	parts := partitions(output, size)
	if parts == nil {
		return nil, ErrForm
	}
	volumes := 0
	for _, p := range parts {
		f, err := fat.Open(p, p.Size())
		if err != nil {
			continue // GRUB's core, or a file system of Linux
		}
		volumes++
		if file, err := f.Open(strings.TrimPrefix(c.Path, "/")); err == nil {
			return file, nil
		}
	}
	return nil, fmt.Errorf("it is in none of the %d FAT volumes of the disk", volumes)
}

// partitions are those of a disk; nil where it has no table that is known.
func partitions(r io.ReaderAt, size int64) []*io.SectionReader {
	var list []*io.SectionReader
	if t, err := gpt.Read(r, size); err == nil {
		for _, p := range t.Partitions {
			list = append(list, io.NewSectionReader(r, p.Start, p.Size))
		}
		return list
	}
	m, err := gpt.ReadMBR(r, size)
	if err != nil {
		return nil
	}
	for _, p := range m.Partitions {
		list = append(list, io.NewSectionReader(r, p.Start, p.Size))
	}
	return list
}
