// Package verity computes fs-verity digests without a kernel: of a file as it
// would be measured by FS_IOC_MEASURE_VERITY once verity is on (Linux,
// Documentation/filesystems/fsverity.rst), with SHA-256, blocks of 4096 bytes
// and no salt, the defaults of `fsverity digest`.
package verity

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
)

// BlockSize is the size in bytes of the blocks of data and of the Merkle tree.
const BlockSize = 4096

// fanOut is how many digests fill a block of the tree.
const fanOut = BlockSize / sha256.Size

// chunkSize is how much of the file a goroutine reads at once: few enough bytes
// to stay in a core's cache between being read and being hashed.
const chunkSize = 128 << 10

// Sum is an fs-verity digest.
type Sum [sha256.Size]byte

// prefix names the algorithm in the text form.
const prefix = "sha256:"

// String is the text form that `fsverity digest` prints: sha256:HEX.
func (s Sum) String() string { return prefix + hex.EncodeToString(s[:]) }

// Parse reads the text form.
func Parse(text string) (Sum, error) {
	var s Sum
	digits, ok := strings.CutPrefix(text, prefix)
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(s) || digits != strings.ToLower(digits) {
		return Sum{}, fmt.Errorf("parse fs-verity digest: %q is not %q and %d small hexadecimal digits", text, prefix, 2*len(s))
	}
	return Sum(b), nil
}

// Digest computes the digest of the first size bytes of r, reading them with a
// goroutine for each processor, and two at least. A file that ends before size
// is an error that wraps io.ErrUnexpectedEOF. The memory used is 130
// KiB a goroutine and 1/16384 of the file.
func Digest(r io.ReaderAt, size int64) (Sum, error) {
	if size < 0 {
		return Sum{}, fmt.Errorf("compute fs-verity digest: size %d", size)
	}
	root, err := rootHash(r, size)
	if err != nil {
		return Sum{}, fmt.Errorf("compute fs-verity digest: %w", err)
	}
	return descriptor(root, size), nil
}

// descriptor hashes struct fsverity_descriptor (include/uapi/linux/fsverity.h),
// which binds the root of the tree to the size of the file.
func descriptor(root [sha256.Size]byte, size int64) Sum {
	var d [256]byte
	d[0] = 1  // version
	d[1] = 1  // FS_VERITY_HASH_ALG_SHA256
	d[2] = 12 // log2 of BlockSize
	binary.LittleEndian.PutUint64(d[8:], uint64(size))
	copy(d[16:], root[:])
	return sha256.Sum256(d[:])
}

// rootHash computes the root of the Merkle tree: of an empty file zeros, of a
// file of one block that block's digest.
func rootHash(r io.ReaderAt, size int64) ([sha256.Size]byte, error) {
	if size == 0 {
		return [sha256.Size]byte{}, nil
	}
	if size <= BlockSize {
		buf := make([]byte, BlockSize)
		if err := readFull(r, buf[:size], 0); err != nil {
			return [sha256.Size]byte{}, err
		}
		return sha256.Sum256(buf), nil
	}
	level, err := leaves(r, size)
	for err == nil && len(level) > sha256.Size {
		level = hashBlocks(nil, pad(level))
	}
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return [sha256.Size]byte(level), nil
}

// leaves computes the second level of the tree, the digests of blocks of
// digests.
func leaves(r io.ReaderAt, size int64) ([]byte, error) {
	const group = fanOut * BlockSize // of data below one digest of the second level
	groups := (size + group - 1) / group
	out := make([]byte, groups*sha256.Size)
	workers := int(min(groups, int64(max(2, runtime.GOMAXPROCS(0)))))
	errs := make([]error, workers)
	var next counter
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			buf := make([]byte, chunkSize)
			digests := make([]byte, 0, BlockSize)
			for g := next.take(groups); g >= 0 && errs[w] == nil; g = next.take(groups) {
				from := g * group
				digests, errs[w] = hashGroup(digests[:0], buf, r, from, min(size, from+group))
				sum := sha256.Sum256(pad(digests))
				copy(out[g*sha256.Size:], sum[:])
			}
		})
	}
	wg.Wait()
	return out, errors.Join(errs...)
}

// hashGroup appends the digests of the blocks of a range of the file.
func hashGroup(digests, buf []byte, r io.ReaderAt, from, to int64) ([]byte, error) {
	for ; from < to; from += int64(len(buf)) {
		n := min(int64(len(buf)), to-from)
		if err := readFull(r, buf[:n], from); err != nil {
			return digests, err
		}
		whole := (n + BlockSize - 1) / BlockSize * BlockSize
		clear(buf[n:whole])
		digests = hashBlocks(digests, buf[:whole])
	}
	return digests, nil
}

// hashBlocks appends the digest of each block of data.
func hashBlocks(digests, data []byte) []byte {
	for ; pairs && len(data) >= 2*BlockSize; data = data[2*BlockSize:] {
		a, b := sumPair(data, data[BlockSize:])
		digests = append(append(digests, a[:]...), b[:]...)
	}
	for ; len(data) > 0; data = data[BlockSize:] {
		sum := sha256.Sum256(data[:BlockSize])
		digests = append(digests, sum[:]...)
	}
	return digests
}

// pad fills the last block with zeros.
func pad(b []byte) []byte {
	if over := len(b) % BlockSize; over > 0 {
		b = append(b, make([]byte, BlockSize-over)...)
	}
	return b
}

// counter gives out numbers from 0, each once.
type counter struct {
	mu sync.Mutex
	n  int64
}

// take gives the next number below limit, else -1.
func (c *counter) take(limit int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n >= limit {
		return -1
	}
	c.n++
	return c.n - 1
}

// readFull reads all of p, and takes a file that is too short for damage.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = fmt.Errorf("it ends at byte %d: %w", off+int64(n), io.ErrUnexpectedEOF)
	}
	return err
}
