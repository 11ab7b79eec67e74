package driver

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
)

// magic ends a signed module (kernel: include/linux/module_signature.h).
const magic = "~Module signature appended~\n"

// trailer is struct module_signature, in front of the magic. Numbers are big
// endian; id_type 2 is PKCS#7 and the only one that a kernel takes.
type trailer struct {
	Algo, Hash, IDType, SignerLen, KeyIDLen uint8
	_                                       [3]uint8
	SigLen                                  uint32
}

// ErrNotSigned says that a module carries no signature.
var ErrNotSigned = errors.New("the module carries no signature")

// loadPair reads a key and its certificate and checks that they belong
// together.
func loadPair(p Pair) (*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, fmt.Errorf("load the module key %s and its certificate %s: %w; both must be PEM and belong together", p.Key, p.Cert, err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", p.Cert, err)
	}
	return cert, nil
}

// signedData is what of a CMS SignedData (RFC 5652, section 5) matters here:
// there are no signed attributes, so the signature is over the module itself.
type signedData struct {
	Version    int
	Algorithms asn1.RawValue
	Content    asn1.RawValue
	Signers    []signerInfo `asn1:"set"`
}

type signerInfo struct {
	Version   int
	ID        asn1.RawValue
	Digest    algorithm
	Algorithm algorithm
	Signature []byte
}

type algorithm struct {
	OID        asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// VerifyModule checks that a module ends in a signature that cert's key made
// over all that is in front of it. Its error wraps ErrNotSigned where there is
// none.
func VerifyModule(module []byte, cert *x509.Certificate) error {
	body, ok := bytes.CutSuffix(module, []byte(magic))
	if !ok {
		return ErrNotSigned
	}
	var t trailer
	n := binary.Size(t)
	if len(body) < n {
		return errors.New("the signature's trailer is cut short")
	}
	if err := binary.Read(bytes.NewReader(body[len(body)-n:]), binary.BigEndian, &t); err != nil {
		return err
	}
	body = body[:len(body)-n]
	if t.IDType != 2 || uint64(t.SigLen) > uint64(len(body)) {
		return fmt.Errorf("the signature is of type %d and %d bytes long", t.IDType, t.SigLen)
	}
	body, sig := body[:len(body)-int(t.SigLen)], body[len(body)-int(t.SigLen):]
	var outer struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	if _, err := asn1.Unmarshal(sig, &outer); err != nil {
		return fmt.Errorf("parse the signature: %w", err)
	}
	var data signedData
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &data); err != nil {
		return fmt.Errorf("parse the signature: %w", err)
	}
	if len(data.Signers) != 1 {
		return fmt.Errorf("the signature has %d signers where one was expected", len(data.Signers))
	}
	algo := x509.SHA256WithRSA
	if cert.PublicKeyAlgorithm == x509.ECDSA {
		algo = x509.ECDSAWithSHA256
	}
	if err := cert.CheckSignature(algo, body, data.Signers[0].Signature); err != nil {
		return fmt.Errorf("%s did not sign this module: %w", cert.Subject, err)
	}
	return nil
}
