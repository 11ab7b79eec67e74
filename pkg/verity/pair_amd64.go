package verity

import (
	"crypto/sha256"
	"encoding/binary"
)

// compressPair feeds blocks of 64 bytes of two messages to two states, at once
// (FIPS 180-4, 6.2.2). The processor must have what pairs says.
//
//go:noescape
func compressPair(a, b *byte, blocks int, stateA, stateB *[8]uint32, constants *[64]uint32, order *[16]byte)

// cpuid asks the processor (Intel SDM, volume 2A, CPUID), with 0 as the
// sub-leaf.
func cpuid(leaf uint32) (eax, ebx, ecx uint32)

// pairs says whether two blocks are hashed at once: that takes the extensions
// SHA, SSSE3 and SSE4.1. crypto/sha256 uses them for one message, and then the
// processor waits half of its time: a block of a verity tree depends on no other.
var pairs = func() bool {
	const sha, ssse3, sse41 = 1 << 29, 1 << 9, 1 << 19
	last, _, _ := cpuid(0)
	if last < 7 {
		return false
	}
	_, _, features := cpuid(1)
	_, extended, _ := cpuid(7)
	return extended&sha != 0 && features&ssse3 != 0 && features&sse41 != 0
}()

// start is the state before the first block (FIPS 180-4, 5.3.3).
var start = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

// byteOrder turns each word of the message around (PSHUFB).
var byteOrder = [16]byte{3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12}

// ending is what stands behind a message of BlockSize bytes (FIPS 180-4, 5.1.1).
var ending = [64]byte{0: 0x80, 62: BlockSize * 8 >> 8 & 0xff, 63: BlockSize * 8 & 0xff}

// sumPair is the SHA-256 of each of two blocks of BlockSize bytes.
func sumPair(a, b []byte) (sumA, sumB [sha256.Size]byte) {
	stateA, stateB := start, start
	_, _ = a[BlockSize-1], b[BlockSize-1]
	compressPair(&a[0], &b[0], BlockSize/64, &stateA, &stateB, &constants, &byteOrder)
	compressPair(&ending[0], &ending[0], 1, &stateA, &stateB, &constants, &byteOrder)
	for i := range stateA {
		binary.BigEndian.PutUint32(sumA[4*i:], stateA[i])
		binary.BigEndian.PutUint32(sumB[4*i:], stateB[i])
	}
	return sumA, sumB
}

// constants are those of the rounds (FIPS 180-4, 4.2.2).
var constants = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}
