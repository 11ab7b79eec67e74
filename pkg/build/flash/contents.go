package flash

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/build/disk/gpt"
)

// kind is a file system, or what else may lie on a partition, by what it is
// known by.
type kind struct {
	name          string
	at            int64 // of magic, bytes from the beginning
	magic         string
	label, length int64 // where its label stands; 0 long: it has none
}

// kinds are tried in this order. The places are those of the formats' own
// documentation, as util-linux's libblkid has them too.
var kinds = []kind{
	{"LUKS", 0, "LUKS\xba\xbe", 24, 48},
	{"LVM", 536, "LVM2 001", 0, 0},
	{"LVM", 24, "LVM2 001", 0, 0},
	{"RAID", 4096, "\xfc\x4e\x2b\xa9", 4096 + 32, 32},
	{"ext4", 1080, "\x53\xef", 1024 + 120, 16},
	{"XFS", 0, "XFSB", 108, 12},
	{"btrfs", 65600, "_BHRfS_M", 65536 + 299, 256},
	{"swap", 4086, "SWAPSPACE2", 1024 + 28, 16},
	{"BitLocker", 3, "-FVE-FS-", 0, 0},
	{"NTFS", 3, "NTFS    ", 0, 0},
	{"exFAT", 3, "EXFAT   ", 0, 0},
	{"FAT32", 82, "FAT32   ", 71, 11},
	{"FAT", 54, "FAT1", 43, 11},
	{"squashfs", 0, "hsqs", 0, 0},
	{"erofs", 1024, "\xe2\xe1\xf5\xe0", 1024 + 64, 16},
	{"ISO 9660", 32769, "CD001", 32808, 32},
}

// recognise says what lies at the beginning of a device or partition, with its
// label; empty: nothing that is known.
func recognise(r io.ReaderAt, size int64) (string, error) {
	for _, k := range kinds {
		magic, err := piece(r, size, k.at, int64(len(k.magic)))
		if err != nil {
			return "", err
		}
		if string(magic) != k.magic {
			continue
		}
		label, err := piece(r, size, k.label, k.length)
		if err != nil {
			return "", err
		}
		label, _, _ = bytes.Cut(label, []byte{0})
		if l := strings.TrimSpace(string(label)); l != "" {
			return k.name + " " + strconv.Quote(l), nil // quoted: a label may hold anything
		}
		return k.name, nil
	}
	return "", nil
}

// piece reads bytes, and none where the device ends before.
func piece(r io.ReaderAt, size, at, n int64) ([]byte, error) {
	if at+n > size {
		return nil, nil
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("look at what lies at byte %d: %w", at, err)
	}
	return b, nil
}

// describe says what a disk is and what lies on it, a line each.
func describe(d disk, r io.ReaderAt) ([]string, error) {
	serial := ""
	if d.serial != "" {
		serial = ", serial " + strconv.Quote(d.serial)
	}
	model := strings.TrimSpace(d.vendor + " " + d.model)
	if model == "" {
		model = "model unknown"
	} else {
		model = strconv.Quote(model)
	}
	lines := []string{fmt.Sprintf("/dev/%s: %s%s, %s, %s", d.name, model, serial, bytesOf(d.size), d.transport())}
	whole, err := recognise(r, d.size)
	if err != nil {
		return nil, err
	}
	if whole != "" {
		lines = append(lines, "  the whole disk: "+whole)
	}
	partitions, labels := d.partitions, make(map[int64]string) // by start
	if table, err := gpt.Read(r, d.size); err == nil {
		for i, p := range table.Partitions {
			labels[p.Start] = p.Name
			if len(d.partitions) == 0 { // the kernel did not look
				partitions = append(partitions, partition{name: fmt.Sprintf("partition %d", i+1), start: p.Start, size: p.Size})
			}
		}
	}
	for _, p := range partitions {
		what, err := recognise(io.NewSectionReader(r, p.start, p.size), p.size)
		if err != nil {
			return nil, err
		}
		if what == "" {
			what = "nothing known"
		}
		name := ""
		if l := labels[p.start]; l != "" {
			name = " " + strconv.Quote(l)
		}
		lines = append(lines, fmt.Sprintf("  %s%s: %s, %s", p.name, name, bytesOf(p.size), what))
	}
	if whole == "" && len(partitions) == 0 {
		lines = append(lines, "  no partition and no file system that is known")
	}
	return lines, nil
}
