package sshserver

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"

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

// ensureHostKey returns the host key below root, which is made if there is none,
// and writes its fingerprint beside it.
func ensureHostKey(root *os.Root) (key gossh.Signer, made bool, err error) {
	pemBytes, err := fs.ReadFile(root.FS(), HostKeyPath)
	if made = errors.Is(err, fs.ErrNotExist); made {
		if pemBytes, err = newHostKey(); err != nil {
			return nil, false, err
		}
		if err := writeFile(root, HostKeyPath, pemBytes, 0o600); err != nil {
			return nil, false, fmt.Errorf("write host key %s: %w", HostKeyPath, err)
		}
	} else if err != nil {
		return nil, false, fmt.Errorf("read host key: %w", err)
	}
	if key, err = parseHostKey(pemBytes); err != nil {
		return nil, false, fmt.Errorf("%s: %w; delete it, and sshd makes another", HostKeyPath, err)
	}
	if err := writeFile(root, FingerprintPath, []byte(fingerprintOf(key)+"\n"), 0o644); err != nil {
		return nil, false, fmt.Errorf("write fingerprint: %w", err)
	}
	return key, made, nil
}

// encodeBlob is a key's wire form as text.
func encodeBlob(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// fingerprintOf is the SHA-256 fingerprint as ssh-keygen -l prints it.
func fingerprintOf(s gossh.Signer) string { return gossh.FingerprintSHA256(s.PublicKey()) }
