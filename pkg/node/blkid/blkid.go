// Package blkid tells what file system a block device holds and how it is
// labelled, from its superblocks alone: the node has no udev and mounts nothing
// to find out. It knows vfat, iso9660, ext2, ext3, ext4, btrfs, xfs and swap.
// Its answers are held against blkid(8) of util-linux.
package blkid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bee-os/bee/pkg/node/fat"
	"github.com/bee-os/bee/pkg/node/iso9660"
)

// Info is what a device holds.
type Info struct {
	Type  string // as mount(8) and blkid(8) name it: vfat, iso9660, ext2, ext3, ext4, btrfs, xfs, swap
	Label string // empty: none
}

// ErrNone says that none of the known file systems is there.
var ErrNone = errors.New("no known file system")

// probes are tried in this order, all of them.
var probes = []func(io.ReaderAt) (Info, error){vfat, iso, ext, btrfs, xfs, swap}

// Probe looks at a device or an image. Its error is ErrNone where nothing is
// known of it, and another where it could not be read, is broken, or has the
// superblocks of two file systems: then which one is meant cannot be known.
func Probe(r io.ReaderAt) (Info, error) {
	var found []Info
	for _, probe := range probes {
		info, err := probe(r)
		switch {
		case errors.Is(err, ErrNone):
		case err != nil:
			return Info{}, err
		default:
			found = append(found, info)
		}
	}
	switch len(found) {
	case 0:
		return Info{}, ErrNone
	case 1:
		return found[0], nil
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.Type
	}
	return Info{}, fmt.Errorf("superblocks of %s side by side: wipe the device (wipefs -a) before it is used again", strings.Join(names, " and "))
}

// at reads n bytes; a device that is too short has no superblock there.
func at(r io.ReaderAt, offset int64, n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := r.ReadAt(b, offset)
	switch {
	case got == n:
		return b, nil
	case errors.Is(err, io.EOF):
		return nil, ErrNone
	}
	return nil, fmt.Errorf("read superblock at byte %d: %w", offset, err)
}

// text is a label of fixed length that a zero byte may end.
func text(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func vfat(r io.ReaderAt) (Info, error) {
	v, err := fat.Open(r)
	if errors.Is(err, fat.ErrNone) {
		return Info{}, ErrNone
	}
	if err != nil {
		return Info{}, err
	}
	label, err := v.Label()
	return Info{"vfat", label}, err
}

func iso(r io.ReaderAt) (Info, error) {
	v, err := iso9660.Open(r)
	if errors.Is(err, iso9660.ErrNone) {
		return Info{}, ErrNone
	}
	if err != nil {
		return Info{}, err
	}
	label, err := v.Label()
	return Info{"iso9660", label}, err
}

// Features of ext superblocks by which the three are told apart, as e2fsprogs
// and libblkid do (lib/ext2fs/ext2_fs.h).
const (
	extHasJournal = 0x4
	extJournalDev = 0x8

	ext2Incompat = 0x2 | 0x10         // filetype, meta_bg
	ext3Incompat = ext2Incompat | 0x4 // recover
	extReadOnly  = 0x1 | 0x2 | 0x4    // sparse_super, large_file, btree_dir
	extMagic     = 0xef53             // at 0x38
	btrfsMagic   = "_BHRfS_M"         // btrfs-progs, kernel-shared/uapi/btrfs_tree.h
	xfsMagic     = "XFSB"             // fs/xfs/libxfs/xfs_format.h
	swapMagic    = "SWAPSPACE2"       // include/linux/swap.h
	btrfsAt      = 64 << 10           // bytes
)

// ext reads Documentation/filesystems/ext4/super.rst's superblock.
func ext(r io.ReaderAt) (Info, error) {
	b, err := at(r, 1024, 1024)
	if err != nil {
		return Info{}, err
	}
	le := binary.LittleEndian
	compat, incompat, readOnly := le.Uint32(b[0x5c:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
	if le.Uint16(b[0x38:]) != extMagic || incompat&extJournalDev != 0 {
		return Info{}, ErrNone
	}
	info := Info{"ext4", text(b[0x78:0x88])}
	switch {
	case readOnly&^extReadOnly != 0:
	case compat&extHasJournal == 0 && incompat&^ext2Incompat == 0:
		info.Type = "ext2"
	case compat&extHasJournal != 0 && incompat&^ext3Incompat == 0:
		info.Type = "ext3"
	}
	return info, nil
}

func btrfs(r io.ReaderAt) (Info, error) {
	b, err := at(r, btrfsAt, 4096)
	if err != nil || string(b[0x40:0x48]) != btrfsMagic {
		return Info{}, none(err)
	}
	return Info{"btrfs", text(b[0x12b : 0x12b+256])}, nil
}

func xfs(r io.ReaderAt) (Info, error) {
	b, err := at(r, 0, 512)
	if err != nil || string(b[:4]) != xfsMagic {
		return Info{}, none(err)
	}
	return Info{"xfs", text(b[108:120])}, nil
}

// swap looks at the end of the first page, whose size is the machine's that
// made it: 4 KiB, on arm64 also 16 or 64 KiB.
func swap(r io.ReaderAt) (Info, error) {
	for _, page := range []int64{4 << 10, 16 << 10, 64 << 10} {
		magic, err := at(r, page-10, 10)
		if err != nil {
			return Info{}, err
		}
		if string(magic) != swapMagic {
			continue
		}
		b, err := at(r, 1024, 64)
		if err != nil {
			return Info{}, err
		}
		return Info{"swap", text(b[28:44])}, nil
	}
	return Info{}, ErrNone
}

func none(err error) error {
	if err == nil {
		return ErrNone
	}
	return err
}
