package artifact

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
)

// keyTypes are the public keys that the SSH server of the node takes
// (pkg/node/sshserver). Others would lock the operator out in silence.
var keyTypes = []string{
	"ssh-ed25519", "sk-ssh-ed25519@openssh.com",
	"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "sk-ecdsa-sha2-nistp256@openssh.com",
	"ssh-rsa",
}

// readKeys reads and checks a file of public keys in the format of sshd(8),
// AUTHORIZED_KEYS FILE FORMAT. A private key in its place is refused.
func readKeys(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read BEE_AUTHORIZED_KEYS: %w", err)
	}
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		return nil, fmt.Errorf("read BEE_AUTHORIZED_KEYS: %s is a private key and must never be in an image; name the file that ends in .pub", name)
	}
	keys, n := 0, 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if !isKey(line) {
			return nil, fmt.Errorf("read BEE_AUTHORIZED_KEYS: %s line %d is no public key that the node takes (%s)", name, n, strings.Join(keyTypes, ", "))
		}
		keys++
	}
	if keys == 0 {
		return nil, fmt.Errorf("read BEE_AUTHORIZED_KEYS: %s has no key in it; without the variable a password is made at boot", name)
	}
	return append(bytes.TrimRight(text, "\n"), '\n'), nil
}

// isKey says whether a line holds a key: its type, then base64 of a blob that
// begins with the same type (RFC 4253, 6.6). Options may stand before it.
func isKey(line string) bool {
	f := strings.Fields(line)
	for i := 0; i+1 < len(f); i++ {
		if !slices.Contains(keyTypes, f[i]) {
			continue
		}
		blob, err := base64.StdEncoding.DecodeString(f[i+1])
		if err != nil || len(blob) < 4 {
			return false
		}
		n := binary.BigEndian.Uint32(blob)
		return uint64(n) <= uint64(len(blob)-4) && string(blob[4:4+n]) == f[i] && len(blob) > int(4+n)
	}
	return false
}
