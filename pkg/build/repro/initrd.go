package repro

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// An initrd is a row of archives, each as it is or compressed (kernel:
// Documentation/driver-api/early-userspace/buffer-format.rst). Zeros may stand
// between them.

const zstdMagic = "\x28\xb5\x2f\xfd"

func isInitrd(v view) bool {
	head := v.bytes(0, 6)
	return head != nil && (isNewc(head) || string(head[:4]) == zstdMagic)
}

// segment is one archive of an initrd.
type segment struct {
	kind       string // cpio, zstd, other
	start, end int64  // bytes
}

// segments cuts an initrd. What is not understood is one segment to the end.
func segments(v view) []segment {
	var list []segment
	for at := int64(0); at < v.size; {
		at = skipZeros(v, at)
		if at >= v.size {
			break
		}
		s := segment{"other", at, v.size}
		head := v.bytes(at, 6)
		switch {
		case head != nil && isNewc(head):
			if end, err := newcEnd(v, at); err == nil {
				s = segment{"cpio", at, end}
			} else {
				s.kind = "cpio"
			}
		case head != nil && string(head[:4]) == zstdMagic:
			s.kind = "zstd"
			if end, err := zstdEnd(v, at); err == nil {
				s.end = end
			}
		}
		list = append(list, s)
		at = s.end
	}
	return list
}

func skipZeros(v view, at int64) int64 {
	buf := make([]byte, 4096)
	for at < v.size {
		n, err := v.ReadAt(buf, at)
		for i := range n {
			if buf[i] != 0 {
				return at + int64(i)
			}
		}
		at += int64(n)
		if err != nil {
			return v.size
		}
	}
	return v.size
}

// explainInitrd finds the archive in which the byte lies. Everything before it
// is the same on both sides, so its beginning is.
func explainInitrd(x *explaining, a, b view, at int64) []string {
	left, right := segments(a), segments(b)
	i := 0
	for i < len(left)-1 && left[i].end <= at && left[i+1].start <= at {
		i++
	}
	if i >= len(right) || left[i].start != right[i].start || left[i].kind != right[i].kind {
		return []string{fmt.Sprintf("archive %d of %d begins elsewhere or is of another kind", i+1, len(left))}
	}
	l, r := left[i], right[i]
	name := "zstd stream"
	if len(left) > 1 || l.kind == "cpio" {
		name = fmt.Sprintf("archive %d of %d (%s, from byte %d)", i+1, len(left), l.kind, l.start)
	}
	pa, pb := a.part(l.start, l.end-l.start), b.part(r.start, r.end-r.start)
	var inner []string
	switch {
	case l.kind == "cpio":
		inner = explainNewc(x, pa, pb)
	case at >= l.end && at >= r.end:
		// Behind it: padding.
	case l.kind == "zstd":
		inner = explainZstd(x, pa, pb, at-l.start)
	}
	if inner == nil {
		inner = []string{"padding", plain(a, b, at)}
	}
	return append([]string{name}, inner...)
}

func explainZstd(x *explaining, a, b view, at int64) []string {
	left, err := zstd.NewReader(a.reader(), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil
	}
	defer left.Close()
	right, err := zstd.NewReader(b.reader(), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil
	}
	defer right.Close()
	return append([]string{zstdPlace(a, at)}, x.unpacked(left, right)...)
}

// zstdPlace says which part of a frame lies at a byte.
func zstdPlace(v view, at int64) string {
	blocks, _ := zstdBlocks(v, 0)
	for i, start := range blocks {
		if at < start {
			if i == 0 {
				return "frame header"
			}
			return fmt.Sprintf("block %d", i)
		}
	}
	return fmt.Sprintf("block %d or the checksum behind it", len(blocks))
}

// zstdEnd is where the frame that begins at a byte ends (RFC 8878, section 3.1).
func zstdEnd(v view, at int64) (int64, error) {
	blocks, err := zstdBlocks(v, at)
	if err != nil {
		return 0, err
	}
	last := blocks[len(blocks)-1]
	_, size, err := zstdBlock(v, last)
	end := last + 3 + size
	if v.bytes(at+4, 1)[0]&4 != 0 {
		end += 4 // content checksum
	}
	if end > v.size {
		return 0, io.ErrUnexpectedEOF
	}
	return end, err
}

// zstdBlocks are the beginnings of a frame's blocks, bytes.
func zstdBlocks(v view, at int64) ([]int64, error) {
	head := v.bytes(at, 5)
	if head == nil || string(head[:4]) != zstdMagic {
		return nil, errors.New("not a zstd frame")
	}
	d := head[4]
	size := int64(5)
	if d&0x20 == 0 {
		size++ // window descriptor
	}
	size += []int64{0, 1, 2, 4}[d&3] // dictionary
	content := []int64{0, 2, 4, 8}[d>>6]
	if content == 0 && d&0x20 != 0 {
		content = 1
	}
	next := at + size + content
	var blocks []int64
	for {
		last, n, err := zstdBlock(v, next)
		if err != nil {
			return blocks, err
		}
		blocks = append(blocks, next)
		if last {
			return blocks, nil
		}
		next += 3 + n
	}
}

// zstdBlock reads a block's header (section 3.1.1.2).
func zstdBlock(v view, at int64) (last bool, size int64, err error) {
	h := v.bytes(at, 3)
	if h == nil {
		return false, 0, io.ErrUnexpectedEOF
	}
	n := int64(h[0]) | int64(h[1])<<8 | int64(h[2])<<16
	size = n >> 3
	if n>>1&3 == 1 {
		size = 1 // one byte, repeated
	}
	return n&1 == 1, size, nil
}
