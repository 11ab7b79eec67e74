package sshserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"

	gossh "golang.org/x/crypto/ssh"
)

// newHostKey makes an Ed25519 key in OpenSSH's PEM form.
func newHostKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make host key: %w", err)
	}
	block, err := gossh.MarshalPrivateKey(key, "bee")
	if err != nil {
		return nil, fmt.Errorf("encode host key: %w", err)
	}
	return pem.EncodeToMemory(block), nil
}

// parseHostKey reads a private key and insists on Ed25519.
func parseHostKey(pemBytes []byte) (gossh.Signer, error) {
	signer, err := gossh.ParsePrivateKey(pemBytes)
	if err != nil {
		return nil, fmt.Errorf("parse host key: %w", err)
	}
	if t := signer.PublicKey().Type(); t != gossh.KeyAlgoED25519 {
		return nil, fmt.Errorf("parse host key: it is %s, want %s", t, gossh.KeyAlgoED25519)
	}
	return signer, nil
}

// encodeBlob is a key's wire form as text.
func encodeBlob(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// fingerprintOf is the SHA-256 fingerprint as ssh-keygen -l prints it.
func fingerprintOf(s gossh.Signer) string { return gossh.FingerprintSHA256(s.PublicKey()) }
