package qcow2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/klauspost/compress/flate"
)

// batch is how many clusters are read, packed and written at once.
const batch = 64

// Options of an image.
type Options struct {
	Compress bool // deflate each cluster that gets smaller by it
}

// Write makes an image of the first size bytes of raw, a multiple of 512, at
// the beginning of w, which must be empty, and returns the image's size in
// bytes. Clusters of zeros are left out. Where raw is an *os.File, its holes
// are not even read, and its offset is moved.
func Write(ctx context.Context, w io.WriterAt, raw io.ReaderAt, size int64, o Options) (int64, error) {
	if size <= 0 || size%sectorSize != 0 || (size-1)/clusterSize/perTable >= maxTable {
		return 0, fmt.Errorf("write qcow2 image: %d bytes are not a multiple of %d, or too many", size, sectorSize)
	}
	m := &maker{w: w, raw: raw, size: size, next: clusterSize, tables: map[int64][]uint64{}, refs: []uint16{1}}
	if err := m.packers(o); err != nil {
		return 0, fmt.Errorf("write qcow2 image: %w", err)
	}
	if err := m.data(ctx); err != nil {
		return 0, fmt.Errorf("write qcow2 image: %w", err)
	}
	if err := m.metadata(); err != nil {
		return 0, fmt.Errorf("write qcow2 image: %w", err)
	}
	return m.next, nil
}

// maker is an image being written: the header's place, then data in the order
// of the raw image, then tables.
type maker struct {
	w       io.WriterAt
	raw     io.ReaderAt
	size    int64              // of raw
	next    int64              // first byte of the image that nothing is in
	tables  map[int64][]uint64 // second level, by number
	refs    []uint16           // of the image's clusters
	workers []*packer
	out     []byte // of a batch
}

// packer packs clusters for one goroutine.
type packer struct {
	flate *flate.Writer // nil: clusters stay as they are
	buf   bytes.Buffer
}

// packed is a cluster of the raw image and what becomes of it.
type packed struct {
	data       []byte // nil: zeros
	compressed bool
}

func (m *maker) packers(o Options) error {
	for range min(batch, runtime.GOMAXPROCS(0)) {
		p := &packer{}
		if o.Compress {
			var err error
			if p.flate, err = flate.NewWriterWindow(io.Discard, window); err != nil {
				return err
			}
		}
		m.workers = append(m.workers, p)
	}
	return nil
}

// data writes the clusters of the raw image that are not zeros.
func (m *maker) data(ctx context.Context) error {
	buf := make([]byte, batch*clusterSize)
	for at := int64(0); at < m.size; at += int64(len(buf)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		next, err := skipHole(m.raw, at)
		if err != nil {
			return err
		}
		if at = max(at, next/clusterSize*clusterSize); at >= m.size {
			break
		}
		n := min(int64(len(buf)), m.size-at)
		if err := readFull(m.raw, buf[:n], at); err != nil {
			return fmt.Errorf("read raw image: %w", err)
		}
		whole := (n + clusterSize - 1) / clusterSize * clusterSize
		clear(buf[n:whole])
		list, err := m.pack(buf[:whole])
		if err != nil {
			return err
		}
		if err := m.place(at/clusterSize, list); err != nil {
			return err
		}
	}
	return nil
}

// skipHole gives the next place at or after at where raw has data, or its end.
func skipHole(raw io.ReaderAt, at int64) (int64, error) {
	f, ok := raw.(*os.File)
	if !ok {
		return at, nil
	}
	const seekData = 3 // lseek(2), SEEK_DATA
	next, err := f.Seek(at, seekData)
	switch {
	case errors.Is(err, syscall.ENXIO): // a hole up to the end
		return f.Seek(0, io.SeekEnd)
	case errors.Is(err, syscall.EINVAL): // a file system or device that does not tell
		return at, nil
	}
	return next, err
}

// pack looks at each cluster for zeros and compresses it where that was asked
// for, on every processor.
func (m *maker) pack(data []byte) ([]packed, error) {
	list := make([]packed, len(data)/clusterSize)
	errs := make([]error, len(m.workers))
	var wg sync.WaitGroup
	for i, p := range m.workers {
		wg.Go(func() {
			for c := i; c < len(list) && errs[i] == nil; c += len(m.workers) {
				list[c], errs[i] = p.pack(data[c*clusterSize:][:clusterSize])
			}
		})
	}
	wg.Wait()
	return list, errors.Join(errs...)
}

var zeros [clusterSize]byte

func (p *packer) pack(cluster []byte) (packed, error) {
	if bytes.Equal(cluster, zeros[:]) {
		return packed{}, nil
	}
	if p.flate == nil {
		return packed{data: cluster}, nil
	}
	p.buf.Reset()
	p.flate.Reset(&p.buf)
	if _, err := p.flate.Write(cluster); err != nil {
		return packed{}, err
	}
	if err := p.flate.Close(); err != nil {
		return packed{}, err
	}
	if p.buf.Len() > clusterSize-sectorSize {
		return packed{data: cluster}, nil
	}
	return packed{bytes.Clone(p.buf.Bytes()), true}, nil
}

// place writes clusters one after another, from a cluster of the raw image on:
// compressed ones byte to byte, others on a multiple of the cluster size.
func (m *maker) place(cluster int64, list []packed) error {
	start := m.next
	m.out = m.out[:0]
	for i, p := range list {
		if p.data == nil {
			continue
		}
		entry := uint64(flagCompressed)
		if !p.compressed {
			m.out = append(m.out, zeros[:up(m.next, clusterSize)-m.next]...)
			m.next = up(m.next, clusterSize)
			entry = uint64(m.next) | flagCopied
		} else {
			// The sectors touched beyond the first stand above the offset.
			const shift = 62 - (clusterBits - 8)
			last := m.next + int64(len(p.data)) - 1
			entry |= uint64(last/sectorSize-m.next/sectorSize)<<shift | uint64(m.next)
		}
		m.refer(m.next, m.next+int64(len(p.data)))
		m.out = append(m.out, p.data...)
		m.next += int64(len(p.data))
		m.set(cluster+int64(i), entry)
	}
	if len(m.out) == 0 {
		return nil
	}
	_, err := m.w.WriteAt(m.out, start)
	return err
}

// refer counts a reference to each cluster that the bytes touch. One cluster
// can hold no more compressed ones than 16 bits count: each has some bytes.
func (m *maker) refer(from, to int64) {
	for c := from / clusterSize; c < (to+clusterSize-1)/clusterSize; c++ {
		for int64(len(m.refs)) <= c {
			m.refs = append(m.refs, 0)
		}
		m.refs[c]++
	}
}

// set puts an entry into its table of the second level.
func (m *maker) set(cluster int64, entry uint64) {
	t := m.tables[cluster/perTable]
	if t == nil {
		t = make([]uint64, perTable)
		m.tables[cluster/perTable] = t
	}
	t[cluster%perTable] = entry
}

// metadata writes the tables behind the data, and the header last.
func (m *maker) metadata() error {
	m.next = up(m.next, clusterSize)
	h := header{bits: clusterBits, size: uint64(m.size), tableSize: uint32((m.size-1)/clusterSize/perTable + 1)}
	first := make([]uint64, h.tableSize)
	for i := range first {
		if t := m.tables[int64(i)]; t != nil {
			first[i] = uint64(m.next) | flagCopied
			if err := m.append(words(t)); err != nil {
				return err
			}
		}
	}
	h.table = uint64(m.next)
	if err := m.append(words(first)); err != nil {
		return err
	}
	if err := m.counts(&h); err != nil {
		return err
	}
	_, err := m.w.WriteAt(h.encode(), 0)
	return err
}

// counts writes the reference counts, which count themselves.
func (m *maker) counts(h *header) error {
	clusters := m.next / clusterSize
	var blocks, table int64
	for {
		all := clusters + blocks + table
		b := (all + perRefBlock - 1) / perRefBlock
		t := (b*8 + clusterSize - 1) / clusterSize
		if b == blocks && t == table {
			break
		}
		blocks, table = b, t
	}
	m.refer(m.next, m.next+(blocks+table)*clusterSize)
	places := make([]uint64, blocks)
	for i := range places {
		places[i] = uint64(m.next)
		block := make([]byte, 0, clusterSize)
		for _, n := range m.refs[int64(i)*perRefBlock : min(int64(len(m.refs)), int64(i+1)*perRefBlock)] {
			block = binary.BigEndian.AppendUint16(block, n)
		}
		if err := m.write(block[:clusterSize]); err != nil {
			return err
		}
	}
	h.refTable, h.refCluster = uint64(m.next), uint32(table)
	return m.write(words(places))
}

// append is write of something that was not counted yet.
func (m *maker) append(b []byte) error {
	m.refer(m.next, m.next+int64(len(b)))
	return m.write(b)
}

// write writes whole clusters at the end.
func (m *maker) write(b []byte) error {
	if over := len(b) % clusterSize; over > 0 {
		b = append(b, zeros[over:]...)
	}
	if _, err := m.w.WriteAt(b, m.next); err != nil {
		return err
	}
	m.next += int64(len(b))
	return nil
}

// words encodes a table.
func words(list []uint64) []byte {
	b := make([]byte, 0, up(int64(len(list))*8, clusterSize))
	for _, n := range list {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

// up rounds n up to a multiple of m.
func up(n, m int64) int64 { return (n + m - 1) / m * m }

// readFull reads all of p, and takes a short image for damage.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%d bytes at %d: %w", len(p), off, err)
}
