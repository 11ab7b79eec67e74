// Package authenticode signs and checks EFI programs as firmware does under
// Secure Boot: Microsoft's "Windows Authenticode Portable Executable Signature
// Format" (2008) on PE32+ images, with the restrictions of UEFI 2.10, 32.2.4 and
// 32.5.3. Only SHA-256 is known.
//
// A signature made here depends on the image, the key and the certificate
// alone: it carries no time, and RSA is PKCS #1 v1.5. The same inputs give the
// same bytes. Other keys than RSA are refused: OVMF was seen not to start what
// an ECDSA key signed ("Access Denied"), with the certificate in its db.
package authenticode

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Offsets in a PE32+ file, from its PE signature on (Microsoft's "PE Format",
// Optional Header).
const (
	checksumOffset  = 4 + 20 + 64
	directoryOffset = 4 + 20 + 112 + 8*pe.IMAGE_DIRECTORY_ENTRY_SECURITY
	sectionHeader   = 40
)

// certAlign is what a certificate table, and each entry of it, begins at a
// multiple of.
const certAlign = 8

// image is a PE32+ file and where in it lies what the hash treats apart.
type image struct {
	r         io.ReaderAt
	size      int64
	checksum  int64 // offset of the header's CheckSum
	directory int64 // offset of the certificate table's place and size
	certs     int64 // offset of the certificate table, which ends the file; size where there is none
}

// parse finds these places. Images with bytes that no section covers in front of
// the last one, or sections that overlap, are refused: the programs that hash
// such an image do not agree on its hash.
func parse(r io.ReaderAt, size int64) (*image, error) {
	var dos [64]byte
	if _, err := r.ReadAt(dos[:], 0); err != nil || !bytes.HasPrefix(dos[:], []byte("MZ")) {
		return nil, errors.Join(errors.New("it is no PE image: the DOS header is missing"), notEOF(err))
	}
	start := int64(binary.LittleEndian.Uint32(dos[60:]))
	f, err := pe.NewFile(io.NewSectionReader(r, 0, size))
	if err != nil {
		return nil, fmt.Errorf("it is no PE image: %w", err)
	}
	h, ok := f.OptionalHeader.(*pe.OptionalHeader64)
	if !ok || h.NumberOfRvaAndSizes <= pe.IMAGE_DIRECTORY_ENTRY_SECURITY || int(f.SizeOfOptionalHeader) < directoryOffset+8-24 {
		return nil, errors.New("it is no PE32+ image with a place for signatures")
	}
	headers := start + 4 + 20 + int64(f.SizeOfOptionalHeader) + sectionHeader*int64(len(f.Sections))
	end, err := sectionsEnd(f, headers, int64(h.SizeOfHeaders))
	if err != nil {
		return nil, err
	}
	im := &image{r: r, size: size, checksum: start + checksumOffset, directory: start + directoryOffset, certs: size}
	d := h.DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_SECURITY]
	if d.VirtualAddress != 0 || d.Size != 0 { // here the address is an offset in the file
		im.certs = int64(d.VirtualAddress)
		if im.certs%certAlign != 0 || im.certs+int64(d.Size) != size || im.certs == size {
			return nil, fmt.Errorf("its certificate table (%#x, %#x bytes) is not the end of the file", d.VirtualAddress, d.Size)
		}
	}
	if end > im.certs {
		return nil, fmt.Errorf("its sections end at %#x, behind the %#x bytes that there are", end, im.certs)
	}
	return im, nil
}

// sectionsEnd checks that headers and sections follow each other without a gap
// and returns where the last one ends.
func sectionsEnd(f *pe.File, headers, end int64) (int64, error) {
	if headers > end {
		return 0, fmt.Errorf("its headers take %#x bytes and say %#x", headers, end)
	}
	sections := slices.Clone(f.Sections)
	slices.SortStableFunc(sections, func(a, b *pe.Section) int { return cmp.Compare(a.Offset, b.Offset) })
	for _, s := range sections {
		if s.Size == 0 {
			continue
		}
		if int64(s.Offset) != end {
			return 0, fmt.Errorf("its section %q begins at %#x where %#x was expected", s.Name, s.Offset, end)
		}
		end += int64(s.Size)
	}
	return end, nil
}

// notEOF leaves out what only says that a file is too short.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// signed says whether there is a certificate table.
func (im *image) signed() bool { return im.certs < im.size }

// hash is everything but the checksum, the certificate table and where that
// lies ("Calculating the PE Image Hash"). The sections have no gaps, so that
// they are hashed in the order of the file.
func (im *image) hash() (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	from := int64(0)
	for _, skip := range [][2]int64{{im.checksum, 4}, {im.directory, 8}, {im.certs, 0}} {
		n := skip[0] - from
		if _, err := io.CopyN(h, io.NewSectionReader(im.r, from, n), n); err != nil {
			return sum, fmt.Errorf("read the image: %w", err)
		}
		from = skip[0] + skip[1]
	}
	h.Sum(sum[:0])
	return sum, nil
}

// Hash is the Authenticode hash (SHA-256) of a PE32+ image of size bytes: what
// its signature is made over, and what firmware extends PCR 4 with when it
// starts the image. It does not change when Sign signs an image whose size is a
// multiple of 8.
func Hash(r io.ReaderAt, size int64) ([sha256.Size]byte, error) {
	im, err := parse(r, size)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("hash the image: %w", err)
	}
	return im.hash()
}
