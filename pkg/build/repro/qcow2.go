package repro

import (
	"fmt"

	"github.com/bee-os/bee/pkg/build/disk/qcow2"
)

// maxDisk bounds the disk in an image that is compared, bytes: what is left out
// reads as zeros, and a header can say any size.
const maxDisk = 64 << 30

func isQcow2(v view) bool { return string(v.bytes(0, 4)) == "QFI\xfb" }

// explainQcow2 names the header's field, and compares the disks inside.
func explainQcow2(x *explaining, a, b view, at int64) []string {
	where := "qcow2: " + qcow2Field(at)
	left, errLeft := qcow2.Open(a)
	right, errRight := qcow2.Open(b)
	if errLeft != nil || errRight != nil || left.Size() > maxDisk || right.Size() > maxDisk {
		return []string{where, plain(a, b, at)}
	}
	inner := x.inside(view{ReaderAt: left, size: left.Size()}, view{ReaderAt: right, size: right.Size()})
	if inner == nil {
		return []string{where, plain(a, b, at), "the disk inside is the same, the image is laid out in another way"}
	}
	return append([]string{where, "the disk inside"}, inner...)
}

// qcow2Field names what stands at a byte (QEMU: docs/interop/qcow2.rst).
func qcow2Field(at int64) string {
	fields := []struct {
		from int64
		name string
	}{
		{104, "extensions of the header"}, {96, "order of the reference counts"}, {72, "features"}, {60, "snapshots"}, {48, "place of the reference counts"},
		{36, "place of the first table"}, {32, "encryption"}, {24, "size of the disk"}, {20, "size of a cluster"}, {8, "backing file"}, {4, "version"},
	}
	if at >= 64<<10 {
		return "a table or a cluster"
	}
	for _, f := range fields {
		if at >= f.from {
			return "header, " + f.name
		}
	}
	return fmt.Sprintf("header, byte %d", at)
}
