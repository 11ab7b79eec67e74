package sshserver

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/x/crypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/bcrypt"
)

// Letters and digits that are told apart in any font and lie on the same keys
// of QWERTY and QWERTZ boards, where a serial console's layout is anyone's guess.
const passwordAlphabet = "abcdefghjkmnpqrstuvwx23456789"

// Three groups of six out of 29: 87 bits.
const (
	passwordGroups = 3
	passwordGroup  = 6
)

// GeneratePassword makes the password of a boot: xxxxxx-xxxxxx-xxxxxx.
func GeneratePassword() string {
	var b strings.Builder
	for i := range passwordGroups * passwordGroup {
		if i > 0 && i%passwordGroup == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(passwordAlphabet[randomBelow(len(passwordAlphabet))])
	}
	return b.String()
}

// randomBelow is uniform in [0, n), n ≤ 256, by rejection.
func randomBelow(n int) int {
	limit := 256 - 256%n
	for {
		var b [1]byte
		rand.Read(b[:]) // never fails (crypto/rand, Go 1.24)
		if int(b[0]) < limit {
			return int(b[0]) % n
		}
	}
}

// HashPassword hashes a generated password as crypt(5) sha256crypt. Stretching
// adds nothing to 87 random bits, so the fewest rounds do: a slow machine is
// not made slower.
func HashPassword(password string) string {
	const saltChars = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	salt := make([]byte, 16)
	for i := range salt {
		salt[i] = saltChars[randomBelow(len(saltChars))]
	}
	key := crypt.KeySHACrypt(sha256.New, []byte(password), salt, minRounds)
	return fmt.Sprintf("$5$rounds=%d$%s$%s", minRounds, salt, key)
}

// Bounds on what a login may cost: each attempt, a wrong one too, pays it.
const (
	minRounds     = 1000       // crypt(5)
	defaultRounds = 5000       // crypt(5)
	maxRounds     = 10_000_000 // 10 s or so
	maxBcryptCost = 16
	maxYescryptN  = 16 // log2; with r = 32: 256 MiB
	maxPassword   = 1024
)

// A PasswordHash is a parsed crypt(5) hash.
type PasswordHash struct {
	text   string
	verify func(password []byte) bool
}

// ParsePasswordHash accepts sha512crypt ($6$), sha256crypt ($5$), yescrypt
// ($y$) and bcrypt ($2a$, $2b$, $2y$). The errors never show the hash.
func ParsePasswordHash(text string) (*PasswordHash, error) {
	p := &PasswordHash{text: text}
	scheme, rest, ok := cutScheme(text)
	if !ok {
		return nil, errors.New("parse password hash: no crypt(5) scheme; make one with: openssl passwd -6")
	}
	var err error
	switch scheme {
	case "5":
		p.verify, err = shaCrypt(sha256.New, 43, rest)
	case "6":
		p.verify, err = shaCrypt(sha512.New, 86, rest)
	case "y":
		p.verify, err = yesCrypt(text)
	case "2a", "2b", "2y":
		p.verify, err = bCrypt(text)
	default:
		err = fmt.Errorf("scheme $%s$ is not supported; make one with: openssl passwd -6", shorten(scheme, 8))
	}
	if err != nil {
		return nil, fmt.Errorf("parse password hash: %w", err)
	}
	return p, nil
}

// Verify reports whether password has this hash, in time that does not depend
// on where a wrong one differs.
func (p *PasswordHash) Verify(password []byte) bool {
	return len(password) <= maxPassword && p.verify(password)
}

func cutScheme(text string) (scheme, rest string, ok bool) {
	if !strings.HasPrefix(text, "$") || strings.ContainsAny(text, ": \t\r\n\x00") {
		return "", "", false
	}
	return strings.Cut(text[1:], "$")
}

func shaCrypt(newHash func() hash.Hash, digestLen int, rest string) (func([]byte) bool, error) {
	rounds := defaultRounds
	if r, after, ok := strings.Cut(rest, "$"); ok && strings.HasPrefix(r, "rounds=") {
		n, err := strconv.Atoi(strings.TrimPrefix(r, "rounds="))
		if err != nil || n < minRounds || n > maxRounds {
			return nil, fmt.Errorf("rounds are not %d…%d", minRounds, maxRounds)
		}
		rounds, rest = n, after
	}
	salt, want, ok := strings.Cut(rest, "$")
	if !ok || len(salt) > 16 || len(want) != digestLen || !isCrypt64(salt) || !isCrypt64(want) {
		return nil, fmt.Errorf("want salt (up to 16 characters) $ digest (%d characters)", digestLen)
	}
	return func(password []byte) bool {
		got := crypt.KeySHACrypt(newHash, password, []byte(salt), rounds)
		return subtle.ConstantTimeCompare(got, []byte(want)) == 1
	}, nil
}

func yesCrypt(text string) (func([]byte) bool, error) {
	parts := strings.Split(text, "$") // "", "y", parameters, salt, digest
	if len(parts) != 5 || len(parts[2]) != 3 || len(parts[4]) != 43 || !isCrypt64(parts[3]) || !isCrypt64(parts[4]) {
		return nil, errors.New("want $y$j..$salt$digest")
	}
	_, n, r, err := yescrypt.DecodeSetting([]byte(parts[2]))
	if err != nil || n < 10 || n > maxYescryptN || r < 1 || r > 32 || yescrypt.Decode64([]byte(parts[3])) == nil {
		return nil, fmt.Errorf("yescrypt cost or salt out of bounds (N up to 2^%d, r up to 32)", maxYescryptN)
	}
	return func(password []byte) bool {
		got, err := yescrypt.Hash(password, []byte(text))
		return err == nil && subtle.ConstantTimeCompare(got, []byte(text)) == 1
	}, nil
}

func bCrypt(text string) (func([]byte) bool, error) {
	cost, err := bcrypt.Cost([]byte(text))
	if err != nil || len(text) != 60 {
		return nil, errors.New("want $2b$cost$ and 53 characters")
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("bcrypt cost is above %d", maxBcryptCost)
	}
	return func(password []byte) bool {
		return bcrypt.CompareHashAndPassword([]byte(text), password) == nil
	}, nil
}

// isCrypt64 reports whether s is of crypt(5)'s base 64 alphabet.
func isCrypt64(s string) bool {
	for _, c := range []byte(s) {
		if (c < '.' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}
