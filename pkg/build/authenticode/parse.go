package authenticode

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
)

// What a WIN_CERTIFICATE says of itself (UEFI 2.10, 32.2.4).
const (
	certHeader     = 8
	certRevision   = 0x0200
	certSignedData = 0x0002 // WIN_CERT_TYPE_PKCS_SIGNED_DATA
)

// table parts a certificate table into the PKCS #7 texts of its entries. Text
// may be followed by padding.
func table(b []byte) ([][]byte, error) {
	var list [][]byte
	for len(b) > 0 {
		if len(b) < certHeader {
			return nil, errors.New("the certificate table is cut short")
		}
		n := int64(binary.LittleEndian.Uint32(b))
		if n < certHeader || n > int64(len(b)) {
			return nil, fmt.Errorf("an entry of the certificate table says %d bytes of %d", n, len(b))
		}
		if binary.LittleEndian.Uint16(b[4:]) != certRevision || binary.LittleEndian.Uint16(b[6:]) != certSignedData {
			return nil, fmt.Errorf("an entry of the certificate table is of revision %#x and type %#x", binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:]))
		}
		list = append(list, b[certHeader:n])
		b = b[min(int64(len(b)), (n+certAlign-1)/certAlign*certAlign):]
	}
	return list, nil
}

// signature is what a signature says.
type signature struct {
	hash   [sha256.Size]byte // of the image
	digest []byte            // of the content, as the signed attributes say it
	want   [sha256.Size]byte // of the content
	signed []byte            // what the key signed: the attributes as a SET
	bytes  []byte
	issuer []byte // of the signer's certificate, DER
	serial *big.Int
	certs  []*x509.Certificate
}

// errMalformed is said of DER that is not what Authenticode puts there.
var errMalformed = errors.New("the signature is malformed")

// parseSignature reads a PKCS #7 SignedData.
func parseSignature(der []byte) (*signature, error) {
	in := cryptobyte.String(der)
	var outer, explicit, data cryptobyte.String
	var kind asn1.ObjectIdentifier
	var version int
	var digests cryptobyte.String
	if !in.ReadASN1(&outer, tag.SEQUENCE) || !outer.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidSignedData) ||
		!outer.ReadASN1(&explicit, context(0)) || !explicit.ReadASN1(&data, tag.SEQUENCE) ||
		!data.ReadASN1Integer(&version) || !data.ReadASN1(&digests, tag.SET) {
		return nil, fmt.Errorf("%w: it is no PKCS #7 SignedData", errMalformed)
	}
	s := &signature{}
	if err := s.readContent(&data); err != nil {
		return nil, err
	}
	if err := s.readCertificates(&data); err != nil {
		return nil, err
	}
	var signers, signer cryptobyte.String
	if !data.SkipOptionalASN1(context(1)) || !data.ReadASN1(&signers, tag.SET) || !signers.ReadASN1(&signer, tag.SEQUENCE) || !signers.Empty() {
		return nil, fmt.Errorf("%w: one signer was expected", errMalformed)
	}
	return s, s.readSigner(&signer)
}

// readAlgorithm reads an AlgorithmIdentifier.
func readAlgorithm(in *cryptobyte.String) (asn1.ObjectIdentifier, bool) {
	var seq cryptobyte.String
	var oid asn1.ObjectIdentifier
	ok := in.ReadASN1(&seq, tag.SEQUENCE) && seq.ReadASN1ObjectIdentifier(&oid)
	return oid, ok
}

// readContent reads the SpcIndirectDataContent.
func (s *signature) readContent(in *cryptobyte.String) error {
	var info, explicit, content, data, digest, hash cryptobyte.String
	var kind, pe asn1.ObjectIdentifier
	if !in.ReadASN1(&info, tag.SEQUENCE) || !info.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidIndirectData) ||
		!info.ReadASN1(&explicit, context(0)) || !explicit.ReadASN1(&content, tag.SEQUENCE) || !explicit.Empty() {
		return fmt.Errorf("%w: its content is no SpcIndirectDataContent", errMalformed)
	}
	s.want = sha256.Sum256(content)
	if !content.ReadASN1(&data, tag.SEQUENCE) || !data.ReadASN1ObjectIdentifier(&pe) || !pe.Equal(oidPEImage) ||
		!content.ReadASN1(&digest, tag.SEQUENCE) || !content.Empty() {
		return fmt.Errorf("%w: it is not of a PE image", errMalformed)
	}
	oid, ok := readAlgorithm(&digest)
	if !ok || !digest.ReadASN1(&hash, tag.OCTET_STRING) {
		return fmt.Errorf("%w: it has no image hash", errMalformed)
	}
	if !oid.Equal(oidSHA256) || len(hash) != sha256.Size {
		return fmt.Errorf("the image hash is of algorithm %v and not SHA-256", oid)
	}
	copy(s.hash[:], hash)
	return nil
}

// readCertificates reads those that came along.
func (s *signature) readCertificates(in *cryptobyte.String) error {
	var list cryptobyte.String
	var there bool
	if !in.ReadOptionalASN1(&list, &there, context(0)) {
		return fmt.Errorf("%w: its certificates cannot be read", errMalformed)
	}
	for !list.Empty() {
		var der cryptobyte.String
		if !list.ReadASN1Element(&der, tag.SEQUENCE) {
			return fmt.Errorf("%w: its certificates cannot be read", errMalformed)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("read a certificate of the signature: %w", err)
		}
		s.certs = append(s.certs, c)
	}
	return nil
}

// readSigner reads the SignerInfo.
func (s *signature) readSigner(in *cryptobyte.String) error {
	var version int
	var id, issuer, attrs, value cryptobyte.String
	s.serial = new(big.Int)
	if !in.ReadASN1Integer(&version) || version != 1 || !in.ReadASN1(&id, tag.SEQUENCE) || !id.ReadASN1Element(&issuer, tag.SEQUENCE) || !id.ReadASN1Integer(s.serial) {
		return fmt.Errorf("%w: it names no certificate", errMalformed)
	}
	s.issuer = issuer
	digest, ok := readAlgorithm(in)
	if !ok || !digest.Equal(oidSHA256) {
		return fmt.Errorf("the signer's digest is of algorithm %v and not SHA-256", digest)
	}
	if !in.ReadASN1(&attrs, context(0)) {
		return fmt.Errorf("%w: it has no signed attributes", errMalformed)
	}
	oid, ok := readAlgorithm(in)
	if !ok || !in.ReadASN1(&value, tag.OCTET_STRING) {
		return fmt.Errorf("%w: it has no signature", errMalformed)
	}
	s.bytes = value
	if !oid.Equal(oidRSA) && !oid.Equal(oidRSASHA256) {
		return fmt.Errorf("the signature is of algorithm %v and not RSA, which firmware does not take", oid)
	}
	var err error
	if s.signed, err = attributeSet(attrs); err != nil {
		return err
	}
	return s.readAttributes(attrs)
}

// readAttributes wants the content's type and its digest, each once.
func (s *signature) readAttributes(in cryptobyte.String) error {
	var kinds int
	for !in.Empty() {
		var attr, values, v cryptobyte.String
		var oid, kind asn1.ObjectIdentifier
		if !in.ReadASN1(&attr, tag.SEQUENCE) || !attr.ReadASN1ObjectIdentifier(&oid) || !attr.ReadASN1(&values, tag.SET) {
			return fmt.Errorf("%w: its signed attributes cannot be read", errMalformed)
		}
		switch {
		case oid.Equal(oidContentType):
			if !values.ReadASN1ObjectIdentifier(&kind) || !values.Empty() || !kind.Equal(oidIndirectData) {
				return fmt.Errorf("%w: the signer signed another type of content", errMalformed)
			}
			kinds++
		case oid.Equal(oidMessageDigest):
			if !values.ReadASN1(&v, tag.OCTET_STRING) || !values.Empty() || s.digest != nil {
				return fmt.Errorf("%w: the digest of the content cannot be read", errMalformed)
			}
			s.digest = bytes.Clone(v)
		}
	}
	if kinds != 1 || s.digest == nil {
		return fmt.Errorf("%w: the signed attributes lack the content's type or digest", errMalformed)
	}
	return nil
}
