package burn

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/bits"
)

// computation is something that a processor computes, and what comes out. One
// takes some milliseconds, and gives the same on every processor: products that
// Go could fuse with a sum are converted, which forbids it.
type computation struct {
	name string
	run  func(*scratch) uint64
	want uint64
}

// computations lists them. They use the integer, floating-point and vector
// units, and the instructions for AES, SHA and CRC where a processor has them.
func computations() []computation {
	return []computation{
		{"integers", integers, 0xbf94f1153fe1a0ff},
		{"floats", floats, 0x9549983a378e30fc},
		{"matrix", matrix, 0xdf2ffadef9cfd033},
		{"sha256", sha256s, 0xeb5243def2862d9d},
		{"sha512", sha512s, 0x42ff2800fd1f95d4},
		{"aes", aesGCM, 0x648affbc248515de},
		{"crc", crc, 0x3ab0ea1fe976ca45},
	}
}

// scratch is what a core computes with, its own, so that nothing is made anew
// each round.
type scratch struct {
	bytes   []byte
	sealed  []byte
	a, b, c []float64
}

// side of the matrices: three of them fit a core's second cache.
const side = 160

func newScratch() *scratch {
	const n = side * side
	return &scratch{make([]byte, blockBytes), make([]byte, 0, blockBytes+64), make([]float64, n), make([]float64, n), make([]float64, n)}
}

// noise is the next number of xorshift64 (Marsaglia, 2003).
func noise(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x ^ x<<17
}

// noise fills the bytes anew.
func (s *scratch) noise() []byte {
	b, x := s.bytes, uint64(88172645463325252)
	for i := 0; i+8 <= len(b); i += 8 {
		x = noise(x)
		binary.LittleEndian.PutUint64(b[i:], x)
	}
	return b
}

func integers(*scratch) uint64 {
	x, sum := uint64(88172645463325252), uint64(0)
	for range 1 << 20 {
		x = noise(x)
		high, low := bits.Mul64(x, sum|1)
		sum = bits.RotateLeft64(sum^high, int(x&63)) + low
		sum += x / (low | 1<<40) // division is a unit of its own
		sum ^= uint64(bits.OnesCount64(x)) << uint(bits.LeadingZeros64(low|1))
	}
	return sum
}

func floats(*scratch) uint64 {
	x, sum, y := uint64(88172645463325252), uint64(0), 1.0
	for range 1 << 19 {
		x = noise(x)
		f := math.Float64frombits(x>>12 | 1023<<52) // from 1 to 2
		y = math.Sqrt(float64(y*f)) + 1/f
		y = math.FMA(y, f, -float64(f*0.5))
		sum = bits.RotateLeft64(sum, 7) ^ math.Float64bits(y)
	}
	return sum
}

// matrix multiplies two matrices.
func matrix(s *scratch) uint64 {
	const n = side
	a, b, c := s.a, s.b, s.c
	clear(c)
	x := uint64(88172645463325252)
	for i := range a {
		x = noise(x)
		a[i] = float64(int64(x)) / (1 << 63)
		x = noise(x)
		b[i] = float64(int64(x)) / (1 << 63)
	}
	for i := range n {
		row := c[i*n : i*n+n]
		for k := range n {
			f, other := a[i*n+k], b[k*n:k*n+n]
			for j := range row {
				row[j] += float64(f * other[j])
			}
		}
	}
	sum := uint64(0)
	for _, v := range c {
		sum = bits.RotateLeft64(sum, 7) ^ math.Float64bits(v)
	}
	return sum
}

const blockBytes = 4 << 20

func sha256s(s *scratch) uint64 {
	d := sha256.Sum256(s.noise())
	return binary.BigEndian.Uint64(d[:])
}

func sha512s(s *scratch) uint64 {
	d := sha512.Sum512(s.noise())
	return binary.BigEndian.Uint64(d[:])
}

func aesGCM(s *scratch) uint64 {
	b := s.noise()
	block, err := aes.NewCipher(b[:32])
	if err != nil {
		return 0
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return 0
	}
	sealed := gcm.Seal(s.sealed, b[:gcm.NonceSize()], b, nil)
	return binary.BigEndian.Uint64(sealed[len(sealed)-8:]) ^ binary.BigEndian.Uint64(sealed[len(sealed)/2:])
}

func crc(s *scratch) uint64 {
	b := s.noise()
	return uint64(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))<<32 | uint64(crc32.ChecksumIEEE(b))
}
