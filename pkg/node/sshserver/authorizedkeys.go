package sshserver

import (
	"bufio"
	"bytes"
	"crypto/rsa"
	"fmt"
	"strings"

	gossh "golang.org/x/crypto/ssh"
)

// MinRSABits is the shortest RSA key that is let in (OpenSSH's own default is
// 1024; NIST SP 800-131A wants 2048).
const MinRSABits = 2048

// maxKeyLine bounds one line; an 16384 bit RSA key needs 2.8 KB.
const maxKeyLine = 16 << 10

// A Key is one public key that may log in.
type Key struct {
	Type        string
	Fingerprint string // SHA256:…, as ssh-keygen -l prints it
	Comment     string
	blob        []byte
}

// Line is the key as authorized_keys holds it.
func (k Key) Line() string {
	line := k.Type + " " + encodeBlob(k.blob)
	if k.Comment != "" {
		line += " " + k.Comment
	}
	return line
}

// A KeySet holds the keys that may log in, by their wire form (RFC 4253, 6.6).
type KeySet map[string]Key

// Find looks a client's key up.
func (s KeySet) Find(key gossh.PublicKey) (Key, bool) {
	k, ok := s[string(key.Marshal())]
	return k, ok
}

// ParseAuthorizedKeys reads sshd(8)'s AUTHORIZED_KEYS FILE FORMAT. A line that
// cannot be honoured to the letter is left out and named in a warning with
// source and line number: one with options too, since dropping a restriction
// would let more in than its writer meant.
func ParseAuthorizedKeys(source string, data []byte) (keys []Key, warnings []string) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(make([]byte, 0, 4096), maxKeyLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parseKey(line)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("ssh key ignored: %s line %d: %v", source, n, err))
			continue
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		warnings = append(warnings, fmt.Sprintf("ssh keys ignored: %s from line %d on: %v", source, n+1, err))
	}
	return keys, warnings
}

func parseKey(line string) (Key, error) {
	pub, comment, options, rest, err := gossh.ParseAuthorizedKey([]byte(line))
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("%q is no public key; want: type base64 comment", shorten(line, 40))
	case len(options) > 0:
		return Key{}, fmt.Errorf("option %q is not supported; remove it if the key may do everything", shorten(options[0], 40))
	case len(bytes.TrimSpace(rest)) > 0:
		return Key{}, fmt.Errorf("more than one key on the line")
	}
	switch pub.Type() {
	case gossh.KeyAlgoED25519, gossh.KeyAlgoSKED25519, gossh.KeyAlgoSKECDSA256,
		gossh.KeyAlgoECDSA256, gossh.KeyAlgoECDSA384, gossh.KeyAlgoECDSA521:
	case gossh.KeyAlgoRSA:
		bits, err := rsaBits(pub)
		if err != nil {
			return Key{}, err
		}
		if bits < MinRSABits {
			return Key{}, fmt.Errorf("RSA key has %d bits, at least %d are needed; make one with ssh-keygen -t ed25519", bits, MinRSABits)
		}
	default:
		return Key{}, fmt.Errorf("key type %s is not accepted; make one with ssh-keygen -t ed25519", shorten(pub.Type(), 40))
	}
	return Key{Type: pub.Type(), Fingerprint: gossh.FingerprintSHA256(pub), Comment: printable(comment), blob: pub.Marshal()}, nil
}

func rsaBits(pub gossh.PublicKey) (int, error) {
	if c, ok := pub.(gossh.CryptoPublicKey); ok {
		if k, ok := c.CryptoPublicKey().(*rsa.PublicKey); ok {
			return k.N.BitLen(), nil
		}
	}
	return 0, fmt.Errorf("RSA key of unknown form")
}

// NewKeySet joins lists of keys; of duplicates the first stays.
func NewKeySet(lists ...[]Key) KeySet {
	set := KeySet{}
	for _, list := range lists {
		for _, k := range list {
			if _, ok := set[string(k.blob)]; !ok {
				set[string(k.blob)] = k
			}
		}
	}
	return set
}

// shorten makes foreign text fit for a log line.
func shorten(s string, n int) string {
	s = printable(s)
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// printable drops control characters, which could fake log lines or drive the
// console's terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffd' {
			return -1
		}
		return r
	}, s)
}
