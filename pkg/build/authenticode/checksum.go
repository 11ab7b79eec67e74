package authenticode

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// Checksum writes the header's CheckSum of the PE32+ image of size bytes in f.
// Firmware does not look at it; tools do, and Windows' loader.
func Checksum(f *os.File, size int64) error {
	im, err := parse(f, size)
	if err != nil {
		return fmt.Errorf("compute the image's checksum: %w", err)
	}
	return im.writeChecksum(f)
}

func (im *image) writeChecksum(f *os.File) error {
	if _, err := f.WriteAt(make([]byte, 4), im.checksum); err != nil {
		return err
	}
	var s sum
	if _, err := io.CopyN(&s, io.NewSectionReader(f, 0, im.size), im.size); err != nil {
		return err
	}
	_, err := f.WriteAt(binary.LittleEndian.AppendUint32(nil, s.value(im.size)), im.checksum)
	return err
}

// sum is IMAGHELP's checksum: 16-bit words, little endian, added with the carry
// going round, and the size on top.
type sum struct {
	total uint64
	odd   bool // the next byte is the upper half of a word
}

func (s *sum) Write(p []byte) (int, error) {
	n := len(p)
	if s.odd && n > 0 {
		s.total += uint64(p[0]) << 8
		s.odd, p = false, p[1:]
	}
	for ; len(p) > 1; p = p[2:] {
		s.total += uint64(binary.LittleEndian.Uint16(p))
	}
	if len(p) == 1 {
		s.total += uint64(p[0])
		s.odd = true
	}
	return n, nil
}

func (s *sum) value(size int64) uint32 {
	t := s.total
	for t > 0xffff {
		t = t>>16 + t&0xffff
	}
	return uint32(t) + uint32(size)
}
