package sshserver

import gossh "golang.org/x/crypto/ssh"

// What is offered, best first; Debian's ssh-audit has nothing to fail in it.
// Left out: NIST curves and finite-field groups for key exchange, SHA-1, CBC
// and CTR ciphers, MACs that are not encrypt-then-MAC. Strict key exchange
// (CVE-2023-48795) is always on in x/crypto/ssh.
func algorithms() gossh.Config {
	return gossh.Config{
		KeyExchanges: []string{
			gossh.KeyExchangeMLKEM768X25519, // draft-ietf-sshm-mlkem-hybrid-kex
			gossh.KeyExchangeCurve25519,     // RFC 8731; brings its libssh.org alias
		},
		Ciphers: []string{
			gossh.CipherChaCha20Poly1305,
			gossh.CipherAES256GCM,
			gossh.CipherAES128GCM,
		},
		MACs: []string{gossh.HMACSHA256ETM, gossh.HMACSHA512ETM},
	}
}

// publicKeyAlgorithms are the signatures that clients may log in with. RSA
// only with SHA-2 (RFC 8332); KeySet refuses short RSA keys.
func publicKeyAlgorithms() []string {
	return []string{
		gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoSKECDSA256,
		gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521,
		gossh.KeyAlgoRSASHA256, gossh.KeyAlgoRSASHA512,
	}
}
