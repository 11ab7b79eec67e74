// Package sign makes and checks the signatures of what the builder ships:
// detached Sigstore bundles beside files, and the payloads that cosign keeps
// beside an image in a registry. It reads keys and computes; it asks no network,
// so that a key works offline and the same input gives the same signature
// (RFC 6979 for ECDSA; Ed25519 and RSA PKCS #1 v1.5 have no randomness).
package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// minRSA is the smallest RSA modulus taken, in bits (NIST SP 800-131A).
const minRSA = 2048

// ErrSignature is wrapped by every error that says that a signature is not the
// given key's over the given bytes.
var ErrSignature = errors.New("the signature does not fit the key and the bytes")

// Signer signs what is shipped: a Key, offline, or what package keyless makes.
type Signer interface {
	// File makes the detached bundle of a file from its name and SHA-256.
	File(ctx context.Context, name string, digest [32]byte) (bundle []byte, err error)
	// Statement makes a bundle of an in-toto statement.
	Statement(ctx context.Context, statement []byte) (bundle []byte, err error)
	// Image signs the image of this digest, "sha256:…", in a repository.
	Image(ctx context.Context, repository, digest string) (*ImageSignature, error)
}

var _ Signer = (*Key)(nil)

// Key is a private key that signs. It is safe for concurrent use.
type Key struct{ signer crypto.Signer }

// Load reads a private key from a PEM file: cosign's encrypted one, for which
// password is asked once, or plain PKCS #8 (RFC 5208) or SEC 1 (RFC 5915). Taken
// are ECDSA on P-256, Ed25519, and RSA of 2048 bits and more. A file that others
// than its owner can read is refused.
func Load(path string, password func() ([]byte, error)) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxPEM {
		return nil, fmt.Errorf("read signing key: %s is no PEM file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("read signing key: %s can be read or written by others (mode %04o); remedy: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	text := make([]byte, info.Size())
	if _, err := f.ReadAt(text, 0); err != nil {
		return nil, fmt.Errorf("read signing key: %w", err)
	}
	k, err := parseKey(text, password)
	if err != nil {
		return nil, fmt.Errorf("read signing key %s: %w", path, err)
	}
	return k, nil
}

// New makes a Key of one that was not read from a file. Its error names the
// kinds that are taken.
func New(signer crypto.Signer) (*Key, error) {
	if err := checkPublic(signer.Public()); err != nil {
		return nil, err
	}
	return &Key{signer}, nil
}

// PasswordFromEnv gives COSIGN_PASSWORD, as cosign takes it; an empty one is a
// password, a missing one is an error.
func PasswordFromEnv() ([]byte, error) {
	p, ok := os.LookupEnv("COSIGN_PASSWORD")
	if !ok {
		return nil, errors.New("the key is encrypted: put its password into COSIGN_PASSWORD")
	}
	return []byte(p), nil
}

// Public is the public half.
func (k *Key) Public() crypto.PublicKey { return k.signer.Public() }

// PublicPEM is the public half as cosign.pub has it (RFC 7468, section 13).
func (k *Key) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return nil, fmt.Errorf("write public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// Sign signs a message of any length: ECDSA in ASN.1 and RSA PKCS #1 v1.5 over
// its SHA-256, Ed25519 over itself. The same message gives the same signature.
func (k *Key) Sign(message []byte) ([]byte, error) {
	if _, ok := k.signer.(ed25519.PrivateKey); ok {
		return k.signer.Sign(nil, message, crypto.Hash(0))
	}
	sum := sha256.Sum256(message)
	sig, err := k.signer.Sign(nil, sum[:], crypto.SHA256) // no source of randomness: RFC 6979
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig, nil
}

// Verify checks a signature as Sign makes it. Its error wraps ErrSignature.
func Verify(pub crypto.PublicKey, message, signature []byte) error {
	if err := checkPublic(pub); err != nil {
		return err
	}
	sum := sha256.Sum256(message)
	var ok bool
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(p, sum[:], signature)
	case ed25519.PublicKey:
		ok = ed25519.Verify(p, message, signature)
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(p, crypto.SHA256, sum[:], signature) == nil
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

// checkPublic refuses what Sign and Verify do not know.
func checkPublic(pub crypto.PublicKey) error {
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P256() {
			return nil
		}
	case ed25519.PublicKey:
		if len(p) == ed25519.PublicKeySize {
			return nil
		}
	case *rsa.PublicKey:
		if p.N.BitLen() >= minRSA {
			return nil
		}
	}
	return fmt.Errorf("a key of this kind (%T) or size is not taken; make one with `cosign generate-key-pair` (ECDSA P-256), or Ed25519, or RSA of %d bits and more", pub, minRSA)
}

// hint names a public key in a bundle as cosign does: the SHA-256 of its DER.
func hint(pub crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", fmt.Errorf("name public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
