package authenticode

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// minRSA is the shortest RSA key that is taken, in bits: the one that UEFI names
// in its signature lists (UEFI 2.10, 32.4.1: EFI_CERT_RSA2048_GUID).
const minRSA = 2048

// Pair is a key and its certificate: PEM files. The zero Pair signs nothing.
type Pair struct{ Key, Cert string }

// Set says whether there is one. Half of one is an error.
func (p Pair) Set() (bool, error) {
	switch {
	case p.Key == "" && p.Cert == "":
		return false, nil
	case p.Key == "":
		return false, errors.New("sign for Secure Boot: a certificate is named and no key; name both or none")
	case p.Cert == "":
		return false, errors.New("sign for Secure Boot: a key is named and no certificate; name both or none")
	}
	return true, nil
}

// Certificate reads the pair's certificate, after a check that key and
// certificate are of a kind that can sign and belong together.
func (p Pair) Certificate() (*x509.Certificate, error) {
	s, err := p.load()
	if err != nil {
		return nil, err
	}
	return s.cert, nil
}

// signer is a pair that was read.
type signer struct {
	key  *rsa.PrivateKey
	cert *x509.Certificate
}

func (p Pair) load() (*signer, error) {
	pair, err := tls.LoadX509KeyPair(p.Cert, p.Key)
	if err != nil {
		return nil, fmt.Errorf("load the Secure Boot key %s and its certificate %s: %w; both must be PEM and belong together", p.Key, p.Cert, err)
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("use the Secure Boot key %s: it is no RSA key, and firmware takes no other; make one of %d bits", p.Key, minRSA)
	}
	if key.N.BitLen() < minRSA {
		return nil, fmt.Errorf("use the Secure Boot key %s: it has %d bits, firmware wants %d or more; make a longer one", p.Key, key.N.BitLen(), minRSA)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", p.Cert, err)
	}
	return &signer{key, cert}, nil
}
