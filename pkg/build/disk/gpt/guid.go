package gpt

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// GUID is a globally unique identifier in the order in which it is read aloud
// (RFC 9562, section 4). On disk its first three fields are little-endian (UEFI
// 2.10, appendix A).
type GUID [16]byte

// Types of partitions.
var (
	ESP       = GUID{0xc1, 0x2a, 0x73, 0x28, 0xf8, 0x1f, 0x11, 0xd2, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b} // UEFI 2.10, table 5.7
	BIOSBoot  = GUID{0x21, 0x68, 0x61, 0x48, 0x64, 0x49, 0x6e, 0x6f, 0x74, 0x4e, 0x65, 0x65, 0x64, 0x45, 0x46, 0x49} // GRUB manual, BIOS installation: "Hah!IdontNeedEFI" on disk
	BasicData = GUID{0xeb, 0xd0, 0xa0, 0xa2, 0xb9, 0xe5, 0x44, 0x33, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99, 0xc7} // Microsoft, PARTITION_INFORMATION_GPT; what hybrid ISO images have for their volume
	LinuxData = GUID{0x0f, 0xc6, 0x3d, 0xaf, 0x84, 0x83, 0x47, 0x72, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4} // UAPI group, Discoverable Partitions Specification
)

// Derive makes the GUID of one thing, by its name, from a digest of all that
// the image is made of: the same inputs, the same GUID. It is of version 8 (RFC
// 9562, section 5.8), which says that the bits are the maker's own.
func Derive(inputs []byte, name string) GUID {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(inputs)))) // so that no two pairs run into one text
	h.Write(inputs)
	h.Write([]byte(name))
	g := GUID(h.Sum(nil)[:16])
	g[6] = g[6]&0x0f | 0x80 // version
	g[8] = g[8]&0x3f | 0x80 // variant
	return g
}

// String gives the text form in capitals, as partitioning tools print it.
func (g GUID) String() string {
	s := strings.ToUpper(hex.EncodeToString(g[:]))
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// ParseGUID reads the text form, in capitals or not.
func ParseGUID(s string) (GUID, error) {
	var g GUID
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err == nil && len(b) == len(g) {
		copy(g[:], b)
	}
	if err != nil || len(b) != len(g) || g.String() != strings.ToUpper(s) {
		return GUID{}, fmt.Errorf("parse GUID: %q is not of the form 01234567-89AB-CDEF-0123-456789ABCDEF", s)
	}
	return g, nil
}

// disk gives the bytes as they lie on a disk, or, given those, the GUID: the
// swap is its own inverse.
func (g GUID) disk() GUID {
	g[0], g[1], g[2], g[3] = g[3], g[2], g[1], g[0]
	g[4], g[5] = g[5], g[4]
	g[6], g[7] = g[7], g[6]
	return g
}
