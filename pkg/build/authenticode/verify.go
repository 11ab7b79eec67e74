package authenticode

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
)

// maxTable bounds a certificate table: Microsoft's largest are tens of KiB.
const maxTable = 1 << 20

// maxChain is how many certificates may stand between a signer and the
// certificate that is trusted.
const maxChain = 4

// ErrNotSigned says that an image carries no signature.
var ErrNotSigned = errors.New("the image carries no signature")

// Verify checks that a PE32+ image of size bytes carries a signature over
// itself that cert made, or a certificate below it, as firmware does with a
// certificate of db. Like firmware it does not look at the time, nor at dbx. Its
// error wraps ErrNotSigned where there is no signature at all.
func Verify(r io.ReaderAt, size int64, cert *x509.Certificate) error {
	im, err := parse(r, size)
	if err != nil {
		return fmt.Errorf("verify the image: %w", err)
	}
	list, err := im.signatures()
	if err != nil {
		return fmt.Errorf("verify the image: %w", err)
	}
	hash, err := im.hash()
	if err != nil {
		return err
	}
	var errs []error
	for i, der := range list {
		s, err := parseSignature(der)
		if err == nil {
			err = s.verify(hash, cert)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("signature %d of %d: %w", i+1, len(list), err))
	}
	return fmt.Errorf("verify the image: %w", errors.Join(errs...))
}

// signatures reads the certificate table; there is at least one where err is
// nil.
func (im *image) signatures() ([][]byte, error) {
	n := im.size - im.certs
	switch {
	case n == 0:
		return nil, ErrNotSigned
	case n > maxTable:
		return nil, fmt.Errorf("its certificate table has %d bytes, more than %d", n, maxTable)
	}
	b := make([]byte, n)
	if _, err := im.r.ReadAt(b, im.certs); err != nil && notEOF(err) != nil {
		return nil, fmt.Errorf("read the certificate table: %w", err)
	}
	return table(b)
}

// verify holds a signature against the image and the certificate.
func (s *signature) verify(hash [sha256.Size]byte, trusted *x509.Certificate) error {
	if s.hash != hash {
		return fmt.Errorf("the image is not the one that was signed: its hash is %x, the signature is of %x", hash, s.hash)
	}
	if !bytes.Equal(s.digest, s.want[:]) {
		return errors.New("the signed digest is not that of the signature's content")
	}
	signer := s.signer(trusted)
	if signer == nil {
		return fmt.Errorf("the signer's certificate (serial %x) is not there", s.serial)
	}
	if err := signer.CheckSignature(x509.SHA256WithRSA, s.signed, s.bytes); err != nil {
		return fmt.Errorf("%s did not sign this: %w", signer.Subject, err)
	}
	if !s.chains(signer, trusted, 0) {
		return fmt.Errorf("it was signed by %s, which does not come from %s", signer.Subject, trusted.Subject)
	}
	return nil
}

// signer finds the certificate that the signature names.
func (s *signature) signer(trusted *x509.Certificate) *x509.Certificate {
	for _, c := range append([]*x509.Certificate{trusted}, s.certs...) {
		if bytes.Equal(c.RawIssuer, s.issuer) && c.SerialNumber.Cmp(s.serial) == 0 {
			return c
		}
	}
	return nil
}

// chains says whether c is the trusted certificate or was issued below it.
func (s *signature) chains(c, trusted *x509.Certificate, depth int) bool {
	if c.Equal(trusted) {
		return true
	}
	if depth == maxChain {
		return false
	}
	if c.CheckSignatureFrom(trusted) == nil {
		return true
	}
	for _, up := range s.certs {
		if !up.Equal(c) && bytes.Equal(up.RawSubject, c.RawIssuer) && c.CheckSignatureFrom(up) == nil && s.chains(up, trusted, depth+1) {
			return true
		}
	}
	return false
}
