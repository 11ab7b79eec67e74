package repro

import (
	"fmt"
	"io"
	"io/fs"

	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
)

func isFAT(v view) bool {
	return string(v.bytes(510, 2)) == "\x55\xaa" && (string(v.bytes(54, 3)) == "FAT" || string(v.bytes(82, 3)) == "FAT")
}

// explainFAT names the file, the folder's entry, or the table's.
func explainFAT(x *explaining, a, b view, at int64) []string {
	left, err := fat.Open(a, a.size)
	if err != nil {
		return []string{"FAT, which cannot be read: " + err.Error(), plain(a, b, at)}
	}
	where := "FAT: " + left.Where(at)
	name, ok := fileAt(left, at)
	if !ok {
		return []string{where, plain(a, b, at)}
	}
	right, err := fat.Open(b, b.size)
	if err != nil {
		return []string{where, plain(a, b, at)}
	}
	one, errOne := openIn(left, name)
	two, errTwo := openIn(right, name)
	if errOne != nil || errTwo != nil {
		return []string{where, plain(a, b, at)}
	}
	inner := x.inside(one, two)
	if inner == nil {
		inner = []string{"the file is the same and lies elsewhere"}
	}
	return append([]string{"FAT: file " + name}, inner...)
}

// fileAt is the file whose content lies at a byte of the volume.
func fileAt(f *fat.FS, at int64) (name string, ok bool) {
	err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		extents, err := f.Extents(path)
		for _, e := range extents {
			if at >= e.Offset && at < e.Offset+e.Size {
				name, ok = path, true
				return fs.SkipAll
			}
		}
		return err
	})
	return name, ok && err == nil
}

func openIn(f *fat.FS, name string) (view, error) {
	file, err := f.Open(name)
	if err != nil {
		return view{}, err
	}
	fi, err := file.Stat()
	if err != nil {
		return view{}, err
	}
	r, ok := file.(io.ReaderAt)
	if !ok {
		return view{}, fmt.Errorf("open %s: it cannot be read at a place", name)
	}
	return view{ReaderAt: r, size: fi.Size()}, nil
}

func isDisk(v view) bool {
	return string(v.bytes(510, 2)) == "\x55\xaa" && !isFAT(v) && v.size >= 1<<20
}

// explainDisk names the partition, or the part of the table. One side's table
// is enough: the other's may be what differs.
func explainDisk(x *explaining, a, b view, at int64) []string {
	for _, v := range []view{a, b} {
		t, err := gpt.Read(v, v.size)
		if err != nil {
			continue
		}
		where, i := t.Where(at, v.size)
		if i < 0 {
			return []string{"disk: " + where, plain(a, b, at)}
		}
		p := t.Partitions[i]
		return inPartition(x, a, b, "disk: "+where, p.Start, p.Size)
	}
	for _, v := range []view{a, b} {
		m, err := gpt.ReadMBR(v, v.size)
		if err != nil {
			continue
		}
		for i, p := range m.Partitions {
			if p.Type != protective && at >= p.Start && at < p.Start+p.Size {
				return inPartition(x, a, b, fmt.Sprintf("disk: partition %d of the MBR (type %#02x), byte %d", i+1, p.Type, at-p.Start), p.Start, p.Size)
			}
		}
		if at < gpt.SectorSize {
			return []string{"disk: " + mbrPart(at), plain(a, b, at)}
		}
	}
	return nil
}

// protective is the type of the partition that a GPT puts into the MBR.
const protective = 0xee

// mbrPart names the parts of the first sector (UEFI 2.10, table 5.1).
func mbrPart(at int64) string {
	switch {
	case at < 440:
		return fmt.Sprintf("MBR, byte %d of the boot code", at)
	case at < 446:
		return "MBR, signature of the disk"
	case at < 510:
		return fmt.Sprintf("MBR, entry %d", (at-446)/16+1)
	}
	return "MBR, its last two bytes"
}

func inPartition(x *explaining, a, b view, where string, start, size int64) []string {
	inner := x.inside(a.part(start, size), b.part(start, size))
	return append([]string{where}, inner...)
}
