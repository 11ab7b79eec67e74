package sign

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/scrypt"
)

// maxPEM bounds a key file, in bytes. An RSA key of 16384 bits has 13 KB.
const maxPEM = 64 << 10

// maxScrypt bounds the memory that a key file can make scrypt take, in bytes.
// cosign's own parameters take 64 MiB.
const maxScrypt = 256 << 20

// encryptedKey is the JSON inside cosign's PEM block. It comes from The Update
// Framework (go-tuf, encrypted/encrypted.go); the plain text is PKCS #8.
type encryptedKey struct {
	KDF struct {
		Name   string `json:"name"`
		Params struct {
			N int `json:"N"`
			R int `json:"r"`
			P int `json:"p"`
		} `json:"params"`
		Salt []byte `json:"salt"`
	} `json:"kdf"`
	Cipher struct {
		Name  string `json:"name"`
		Nonce []byte `json:"nonce"`
	} `json:"cipher"`
	Ciphertext []byte `json:"ciphertext"`
}

// parseKey reads exactly one PEM block with a private key.
func parseKey(text []byte, password func() ([]byte, error)) (*Key, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	var key any
	switch block.Type {
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		der, e := decrypt(block.Bytes, password)
		if e != nil {
			return nil, e
		}
		key, err = x509.ParsePKCS8PrivateKey(der)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("encrypted PKCS #8 is not read; import it with `cosign import-key-pair`, or give it unencrypted")
	default:
		return nil, fmt.Errorf("a PEM block %q is no private key of a kind that is read (PRIVATE KEY, EC PRIVATE KEY, ENCRYPTED SIGSTORE PRIVATE KEY)", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", block.Type, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of the kind %T cannot sign", key)
	}
	return New(signer)
}

func onlyBlock(text []byte) (*pem.Block, error) {
	block, rest := pem.Decode(text)
	if block == nil {
		return nil, errors.New("there is no PEM block in it")
	}
	if again, _ := pem.Decode(rest); again != nil {
		return nil, errors.New("it holds several PEM blocks; give one key alone")
	}
	return block, nil
}

// decrypt opens the box of a cosign key.
func decrypt(text []byte, password func() ([]byte, error)) ([]byte, error) {
	var e encryptedKey
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("parse encrypted key: %w", err)
	}
	if e.KDF.Name != "scrypt" || e.Cipher.Name != "nacl/secretbox" {
		return nil, fmt.Errorf("parse encrypted key: %q with %q is not known, only scrypt with nacl/secretbox", e.KDF.Name, e.Cipher.Name)
	}
	p := e.KDF.Params
	if p.N < 2 || p.R < 1 || p.P < 1 || p.P > 16 || p.R > 64 || int64(p.N) > maxScrypt/128 || 128*int64(p.N)*int64(p.R) > maxScrypt {
		return nil, fmt.Errorf("parse encrypted key: scrypt with N=%d r=%d p=%d is out of bounds", p.N, p.R, p.P)
	}
	var nonce [24]byte
	if len(e.Cipher.Nonce) != len(nonce) {
		return nil, errors.New("parse encrypted key: the nonce is not 24 bytes long")
	}
	copy(nonce[:], e.Cipher.Nonce)
	if password == nil {
		return nil, errors.New("the key is encrypted and no password is given")
	}
	secret, err := password()
	if err != nil {
		return nil, err
	}
	derived, err := scrypt.Key(secret, e.KDF.Salt, p.N, p.R, p.P, 32)
	if err != nil {
		return nil, fmt.Errorf("decrypt key: %w", err)
	}
	plain, ok := secretbox.Open(nil, e.Ciphertext, &nonce, (*[32]byte)(derived))
	if !ok {
		return nil, errors.New("decrypt key: the password is wrong, or the file is damaged")
	}
	return plain, nil
}

// LoadPublic reads a public key from a PEM file, as cosign.pub is one. The
// kinds are those of Load.
func LoadPublic(path string) (crypto.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	pub, err := ParsePublic(text)
	if err != nil {
		return nil, fmt.Errorf("read public key %s: %w", path, err)
	}
	return pub, nil
}

// ParsePublic is LoadPublic for text that is in memory.
func ParsePublic(text []byte) (crypto.PublicKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	if block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("a PEM block %q is no public key (PUBLIC KEY)", block.Type)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse public key: %w", err)
	}
	return pub, checkPublic(pub)
}
