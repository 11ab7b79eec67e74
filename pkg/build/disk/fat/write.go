package fat

import (
	"context"
	"fmt"
	"io"

	"github.com/bee-os/bee/pkg/build/disk"
)

// Write writes the volume to the beginning of w, in rising order and each byte
// at most once. What is free is left out: w must read as zeros where nothing
// was written, as a fresh file does that was truncated to its size, and
// io.NewOffsetWriter puts the volume into a partition. Nothing is written where
// the files do not fit. A file that is shorter or longer than its Size is an
// error, after which what was written is of no use.
func (v Volume) Write(ctx context.Context, w io.WriterAt) (Layout, error) {
	p, err := v.plan()
	if err != nil {
		return Layout{}, err
	}
	s := disk.NewSink(ctx, w, 0)
	if err := p.write(s); err != nil {
		return Layout{}, fmt.Errorf("write FAT volume: %w", err)
	}
	return p.layout(), nil
}

func (p *plan) write(s *disk.Sink) error {
	table := p.table()
	first := p.g.reserved * sectorSize
	second := first + p.g.fat*sectorSize
	for _, part := range []struct {
		at   int64
		data []byte
	}{{0, p.reservedArea()}, {first, table}, {second, table}} {
		if err := s.Put(part.at, part.data); err != nil {
			return err
		}
	}
	for n := range p.root.folders() {
		at := second + p.g.fat*sectorSize // FAT16's root
		if n.count > 0 {
			at = p.g.offset(n.first)
		}
		if err := s.Put(at, p.folder(n)); err != nil {
			return err
		}
	}
	for n := range p.root.files() {
		if n.count == 0 {
			continue
		}
		if err := s.Copy(p.g.offset(n.first), n.file); err != nil {
			return err
		}
	}
	return s.Flush()
}
