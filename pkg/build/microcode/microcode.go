// Package microcode reads Intel's microcode updates: Intel 64 and IA-32
// Architectures Software Developer's Manual, volume 3, "Microcode Update
// Facilities", table "Microcode Update Field Definitions".
package microcode

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	headerSize  = 48   // bytes
	defaultData = 2000 // bytes of data where the header says 0
	extHeader   = 20   // bytes: number of signatures, checksum, three reserved words
	extEntry    = 12   // bytes: signature, processor flags, checksum
	unit        = 1024 // bytes; a total size is a multiple of it
)

// ErrDamaged is in every error of this package.
var ErrDamaged = errors.New("not microcode of Intel, or damaged")

// Set gathers updates, each of them once. Intel's files name the processors
// that they are for, and an update for several of them lies in several files:
// 6.5 of 21.3 MB of the release of November 2025.
//
// The zero Set is empty and ready.
type Set struct {
	Bytes    []byte // the updates, one after another, in the order in which they came
	Updates  int    // in Bytes
	Repeated int    // left out
	seen     map[[sha256.Size]byte]bool
}

// Add takes the updates of one file: a row of them with nothing between. An
// error says at which byte of the file something is wrong; the set is then as
// it was before.
func (s *Set) Add(file []byte) error {
	for at := 0; at < len(file); {
		size, err := check(file[at:])
		if err != nil {
			return fmt.Errorf("update at byte %d: %w", at, err)
		}
		at += size
	}
	if s.seen == nil {
		s.seen = map[[sha256.Size]byte]bool{}
	}
	for len(file) > 0 {
		size, _ := total(file) // checked above
		update := file[:size]
		file = file[size:]
		sum := sha256.Sum256(update)
		if s.seen[sum] {
			s.Repeated++
			continue
		}
		s.seen[sum] = true
		s.Updates++
		s.Bytes = append(s.Bytes, update...)
	}
	return nil
}

// total is the size of the update at the start of b, in bytes.
func total(b []byte) (int, error) {
	if len(b) < headerSize {
		return 0, fmt.Errorf("%w: %d bytes, a header has %d", ErrDamaged, len(b), headerSize)
	}
	data, size := uint64(binary.LittleEndian.Uint32(b[28:])), uint64(binary.LittleEndian.Uint32(b[32:]))
	if data == 0 { // as all updates were before the fields existed
		return defaultData + headerSize, nil
	}
	if data%4 != 0 || size%unit != 0 || size < data+headerSize {
		return 0, fmt.Errorf("%w: %d bytes of data in %d", ErrDamaged, data, size)
	}
	return int(size), nil
}

// check says how long the update at the start of b is, once its header and
// both its checksums are right, as the kernel's intel_microcode_sanity_check
// does (arch/x86/kernel/cpu/microcode/intel.c).
func check(b []byte) (int, error) {
	size, err := total(b)
	if err != nil {
		return 0, err
	}
	if size > len(b) {
		return 0, fmt.Errorf("%w: %d bytes of %d", ErrDamaged, len(b), size)
	}
	if version, loader := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[20:]); version != 1 || loader != 1 {
		return 0, fmt.Errorf("%w: header version %d, loader revision %d, known is 1", ErrDamaged, version, loader)
	}
	b = b[:size]
	data := int(binary.LittleEndian.Uint32(b[28:]))
	if data == 0 {
		data = defaultData
	}
	if sum(b[:headerSize+data]) != 0 {
		return 0, fmt.Errorf("%w: wrong checksum", ErrDamaged)
	}
	ext := b[headerSize+data:]
	if len(ext) == 0 {
		return size, nil
	}
	if len(ext) < extHeader {
		return 0, fmt.Errorf("%w: %d bytes of an extended signature table's header", ErrDamaged, len(ext))
	}
	if n := uint64(binary.LittleEndian.Uint32(ext)); extHeader+n*extEntry > uint64(len(ext)) {
		return 0, fmt.Errorf("%w: %d extended signatures in %d bytes", ErrDamaged, n, len(ext))
	} else if sum(ext[:extHeader+n*extEntry]) != 0 {
		return 0, fmt.Errorf("%w: wrong checksum of the extended signature table", ErrDamaged)
	}
	return size, nil
}

// sum adds up 32-bit words.
func sum(b []byte) (s uint32) {
	for ; len(b) >= 4; b = b[4:] {
		s += binary.LittleEndian.Uint32(b)
	}
	return s
}
