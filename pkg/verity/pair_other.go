//go:build !amd64

package verity

import "crypto/sha256"

// pairs: only on amd64 are two blocks hashed at once.
const pairs = false

func sumPair(a, b []byte) (sumA, sumB [sha256.Size]byte) {
	return sha256.Sum256(a[:BlockSize]), sha256.Sum256(b[:BlockSize])
}
