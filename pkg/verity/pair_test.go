package verity

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"testing"
)

// Two blocks hashed at once have the digests that crypto/sha256 gives each, and
// wherever they lie.
func TestSumPair(t *testing.T) {
	t.Logf("this processor hashes two blocks at once: %v", pairs)
	buf := make([]byte, 2*BlockSize+64)
	random := rand.NewChaCha8([32]byte{7})
	for round := range 200 {
		if _, err := io.ReadFull(random, buf); err != nil {
			t.Fatal(err)
		}
		a, b := buf[round%64:][:BlockSize], buf[round%64+BlockSize:][:BlockSize]
		switch round {
		case 1:
			clear(a)
		case 2:
			copy(b, a)
		}
		gotA, gotB := sumPairOrNot(a, b)
		if gotA != sha256.Sum256(a) || gotB != sha256.Sum256(b) {
			t.Fatalf("round %d: %x and %x, want %x and %x", round, gotA, gotB, sha256.Sum256(a), sha256.Sum256(b))
		}
	}
}

// sumPairOrNot is sumPair where the processor can.
func sumPairOrNot(a, b []byte) (sumA, sumB [sha256.Size]byte) {
	if !pairs {
		return sha256.Sum256(a), sha256.Sum256(b)
	}
	return sumPair(a, b)
}

func FuzzSumPair(f *testing.F) {
	f.Add([]byte("a"), []byte("b"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		a, b = bytes.Repeat(append(a, 1), BlockSize)[:BlockSize], bytes.Repeat(append(b, 2), BlockSize)[:BlockSize]
		gotA, gotB := sumPairOrNot(a, b)
		if gotA != sha256.Sum256(a) || gotB != sha256.Sum256(b) {
			t.Errorf("%x and %x", gotA, gotB)
		}
	})
}
