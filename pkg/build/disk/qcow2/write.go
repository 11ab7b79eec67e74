package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Map notes which clusters of a raw image hold anything but zeros. What writes
// the image writes twice: into the Map, then into its Writer, which knows where
// everything goes and so can write from the beginning to the end.
type Map struct {
	size int64  // of the raw image, bytes
	used []bool // by cluster
}

// NewMap is for a raw image of size bytes, a multiple of 512.
func NewMap(size int64) (*Map, error) {
	if size <= 0 || size%sectorSize != 0 || (size-1)/clusterSize/perTable >= maxTable {
		return nil, fmt.Errorf("make qcow2 image: %d bytes are not a multiple of %d, or too many", size, sectorSize)
	}
	return &Map{size, make([]bool, (size+clusterSize-1)/clusterSize)}, nil
}

// WriteAt notes what the bytes fill.
func (m *Map) WriteAt(p []byte, off int64) (int, error) {
	return m.each(p, off, func(cluster int64, part []byte, _ int64) error {
		m.used[cluster] = m.used[cluster] || !bytes.Equal(part, zeros[:len(part)])
		return nil
	})
}

var zeros [clusterSize]byte

// each cuts bytes of the raw image into clusters.
func (m *Map) each(p []byte, off int64, do func(cluster int64, part []byte, in int64) error) (int, error) {
	if off < 0 || int64(len(p)) > m.size-off {
		return 0, fmt.Errorf("make qcow2 image: bytes %d to %d are outside of the disk of %d", off, off+int64(len(p)), m.size)
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		part := p[done:min(len(p), done+int(clusterSize-at%clusterSize))]
		if err := do(at/clusterSize, part, at%clusterSize); err != nil {
			return done, err
		}
		done += len(part)
	}
	return done, nil
}

// plan is where things lie in the image, in clusters: the header, then reference
// counts, then the tables of both levels, then data in the order of the disk.
type plan struct {
	refTable, refBlocks int64   // how many
	first               int64   // of the first level
	second              []int64 // numbers of the tables of the second level that there are
	data                int64   // clusters of data
}

func (p plan) tables() int64    { return 1 + p.refTable + p.refBlocks } // where the first level begins
func (p plan) dataStart() int64 { return p.tables() + p.first + int64(len(p.second)) }
func (p plan) clusters() int64  { return p.dataStart() + p.data }

func (m *Map) plan() plan {
	p := plan{first: up(m.levels()*8, clusterSize) / clusterSize}
	for i, used := range m.used {
		if !used {
			continue
		}
		p.data++
		if table := int64(i) / perTable; len(p.second) == 0 || p.second[len(p.second)-1] != table {
			p.second = append(p.second, table)
		}
	}
	for { // reference counts count themselves
		blocks := (p.clusters() + perRefBlock - 1) / perRefBlock
		table := up(blocks*8, clusterSize) / clusterSize
		if blocks == p.refBlocks && table == p.refTable {
			return p
		}
		p.refBlocks, p.refTable = blocks, table
	}
}

// levels is the number of entries of the first level.
func (m *Map) levels() int64 { return (m.size-1)/clusterSize/perTable + 1 }

// Size is the image's, in bytes.
func (m *Map) Size() int64 { return m.plan().clusters() * clusterSize }

// Writer writes the clusters that a Map has noted.
type Writer struct {
	m  *Map
	w  io.WriterAt
	at []int64 // of each cluster of the disk in the image, bytes; 0: nowhere
}

// Writer writes the header and all tables to w, and gives what writes the disk's
// bytes behind them: in rising order where they come so. w must read as zeros
// where nothing was written, up to Size.
func (m *Map) Writer(w io.WriterAt) (*Writer, error) {
	p := m.plan()
	out := &Writer{m: m, w: w, at: make([]int64, len(m.used))}
	next := p.dataStart() * clusterSize
	for i, used := range m.used {
		if used {
			out.at[i] = next
			next += clusterSize
		}
	}
	if _, err := w.WriteAt(out.tables(p), 0); err != nil {
		return nil, fmt.Errorf("make qcow2 image: %w", err)
	}
	return out, nil
}

// tables are everything before the data.
func (w *Writer) tables(p plan) []byte {
	h := header{bits: clusterBits, size: uint64(w.m.size), tableSize: uint32(w.m.levels()), table: uint64(p.tables() * clusterSize),
		refTable: clusterSize, refCluster: uint32(p.refTable)}
	b := h.encode()
	list := make([]uint64, p.refBlocks)
	for i := range list {
		list[i] = uint64((1 + p.refTable + int64(i)) * clusterSize)
	}
	b = append(b, words(list)...)
	counts := make([]byte, p.refBlocks*clusterSize)
	for i := range p.clusters() {
		binary.BigEndian.PutUint16(counts[2*i:], 1) // nothing is shared
	}
	b = append(b, counts...)
	list = make([]uint64, w.m.levels())
	for i, table := range p.second {
		list[table] = uint64((p.tables()+p.first+int64(i))*clusterSize) | flagCopied
	}
	b = append(b, words(list)...)
	for _, table := range p.second {
		list = make([]uint64, perTable)
		for i := range list {
			if c := table*perTable + int64(i); c < int64(len(w.at)) && w.at[c] != 0 {
				list[i] = uint64(w.at[c]) | flagCopied
			}
		}
		b = append(b, words(list)...)
	}
	return b
}

// WriteAt writes bytes of the disk. Where the Map has nothing, all must be zeros.
func (w *Writer) WriteAt(p []byte, off int64) (int, error) {
	// Clusters that lie one behind the other on the disk do so in the image, and go
	// in one piece.
	var from, to int // of p
	var at int64     // in the image
	flush := func() error {
		if from == to {
			return nil
		}
		_, err := w.w.WriteAt(p[from:to], at)
		return err
	}
	n, err := w.m.each(p, off, func(cluster int64, part []byte, in int64) error {
		here := w.at[cluster] + in
		begin := int(cluster*clusterSize + in - off)
		switch {
		case w.at[cluster] == 0:
			if !bytes.Equal(part, zeros[:len(part)]) {
				return errors.New("make qcow2 image: the disk has other bytes now than when it was mapped; did a file change?")
			}
		case from < to && begin == to:
			to += len(part)
		default:
			if err := flush(); err != nil {
				return err
			}
			from, to, at = begin, begin+len(part), here
		}
		return nil
	})
	return n, errors.Join(err, flush())
}

// words encodes a table, in whole clusters.
func words(list []uint64) []byte {
	b := make([]byte, up(int64(len(list))*8, clusterSize))
	for i, n := range list {
		binary.BigEndian.PutUint64(b[8*i:], n)
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
