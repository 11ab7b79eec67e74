package authenticode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// Sign writes a copy of the PE32+ image in, signed with the pair, to out, whole
// or not at all; out may be in. An image that is signed already is refused, as
// is a pair whose parts do not belong together. An image whose size is no
// multiple of 8 bytes is padded with zeros first, which are part of what is
// signed.
func Sign(in, out string, p Pair) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sign %s: %w", in, err)
		}
	}()
	s, err := p.load()
	if err != nil {
		return err
	}
	src, err := os.Open(in)
	if err != nil {
		return err
	}
	defer src.Close() // only read
	dst, err := renameio.NewPendingFile(out, renameio.WithTempDir(filepath.Dir(out)), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Cleanup()) }()
	size, err := io.Copy(dst, src)
	if err != nil {
		return err
	}
	if size, err = s.signFile(dst.File, size); err != nil {
		return err
	}
	if err := Verify(dst, size, s.cert); err != nil {
		return fmt.Errorf("check what was signed: %w", err)
	}
	return dst.CloseAtomicallyReplace()
}

// signFile signs the image of size bytes in f in place and returns its new
// size.
func (s *signer) signFile(f *os.File, size int64) (int64, error) {
	im, err := parse(f, size)
	if err != nil {
		return 0, err
	}
	if im.signed() {
		return 0, errors.New("the image carries a signature already; take the one without")
	}
	im.size = (size + certAlign - 1) / certAlign * certAlign
	im.certs = im.size
	if err := f.Truncate(im.size); err != nil {
		return 0, err
	}
	hash, err := im.hash()
	if err != nil {
		return 0, err
	}
	der, err := s.sign(hash)
	if err != nil {
		return 0, err
	}
	entry := make([]byte, (certHeader+len(der)+certAlign-1)/certAlign*certAlign)
	binary.LittleEndian.PutUint32(entry, uint32(certHeader+len(der)))
	binary.LittleEndian.PutUint16(entry[4:], certRevision)
	binary.LittleEndian.PutUint16(entry[6:], certSignedData)
	copy(entry[certHeader:], der)
	if im.certs+int64(len(entry)) > 1<<32-1 {
		return 0, fmt.Errorf("the image has %d bytes and a PE image must have less than 4 GiB", im.size)
	}
	dir := binary.LittleEndian.AppendUint32(nil, uint32(im.certs))
	dir = binary.LittleEndian.AppendUint32(dir, uint32(len(entry)))
	if _, err := f.WriteAt(entry, im.certs); err != nil {
		return 0, err
	}
	if _, err := f.WriteAt(dir, im.directory); err != nil {
		return 0, err
	}
	im.size += int64(len(entry))
	return im.size, im.writeChecksum(f)
}
