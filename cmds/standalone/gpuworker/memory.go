package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/bee-os/bee/cmds/standalone/gpuworker/kernels"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// patterns are what one round of the memory test writes, one after the other.
// Each is written, held against what was read while its inverse is written
// over it, the same back, and read once more (moving inversions).
func patterns(round int64) []struct{ kind, arg uint64 } {
	r := uint64(round)
	return []struct{ kind, arg uint64 }{
		{kernels.Address, 0},
		{kernels.Constant, 0},
		{kernels.Constant, 0x55555555},
		{kernels.Walking, r & 31},
		{kernels.Random, r*2654435761 + 1},
	}
}

// memory tests nearly all of the device's memory that is free.
func memory(s *session, p phase, until time.Time) (results []gpuline.Result, err error) {
	at, size, err := s.most()
	if err != nil {
		return nil, err
	}
	defer s.gpu.Release(at)
	r := gpuline.Result{Test: p.name, Unit: gpuline.Bytes, Tested: size}
	defer func() {
		if err != nil {
			results = counted(r)
		}
	}()
	copied, err := s.copyRate(at, size)
	if err != nil {
		return nil, err
	}
	m := &march{session: s, r: &r, at: at, units: size / 16}
	if err := m.proves(); err != nil {
		return nil, err
	}
	if err := s.log.clear(); err != nil {
		return nil, err
	}
	m.moved, m.took = 0, 0
	for whole := false; !whole || time.Now().Before(until); r.Iterations++ {
		for _, pattern := range patterns(r.Iterations) {
			if err := m.pattern(pattern.kind, pattern.arg); err != nil {
				return nil, err
			}
			if s.due(until) {
				if err := s.fetch(&r); err != nil {
					return nil, err
				}
			}
		}
		whole = true
	}
	if err := s.fetch(&r); err != nil {
		return nil, err
	}
	r.Against = r.Rate / max(copied, 1)
	return []gpuline.Result{r, {Test: "copy", Unit: gpuline.Bytes, Rate: copied, Iterations: copies}}, nil
}

// most takes as much memory as --memory allows.
func (s *session) most() (at, size uint64, err error) {
	free, err := s.gpu.Free()
	if err != nil {
		return 0, 0, err
	}
	for percent := s.o.memory; percent > 0; percent -= 2 { // free memory may lie in pieces
		size = free / 100 * uint64(percent) / 4096 * 4096
		at, err = s.gpu.Alloc(size)
		var c *callError
		if !errors.As(err, &c) || c.code != outOfMemory {
			return at, size, err
		}
	}
	return 0, 0, err
}

// march walks through memory.
type march struct {
	*session
	r         *gpuline.Result
	at, units uint64
	moved     float64 // bytes read and written
	took      time.Duration
}

// ones is the mask that inverts a pattern.
const ones = 0xffffffff

// step is one walk: expect and put are masks over the pattern.
func (m *march) step(kind, arg, expect, put, what uint64) error {
	d, err := m.gpu.Time(func() error {
		return m.gpu.Launch("memory", m.spread(), m.at, m.units, kind, arg, expect, put, what, m.log.at)
	})
	m.moved += float64(m.units) * 16
	if what == kernels.CheckWrite {
		m.moved += float64(m.units) * 16
	}
	m.took += d
	m.r.Rate = perSecond(m.moved, m.took)
	return err
}

func (m *march) pattern(kind, arg uint64) error {
	for _, s := range []struct{ expect, put, what uint64 }{
		{0, 0, kernels.Write}, {0, ones, kernels.CheckWrite}, {ones, 0, kernels.CheckWrite}, {0, 0, kernels.Check},
	} {
		if err := m.step(kind, arg, s.expect, s.put, s.what); err != nil {
			return err
		}
	}
	return nil
}

// proves flips one bit behind the test's back and wants it found, so that no
// test passes by looking away.
func (m *march) proves() error {
	offset := m.units * 16 / 3 / 4 * 4
	var r gpuline.Result
	if err := inTurn(
		m.log.clear,
		func() error { return m.step(kernels.Random, 1, 0, 0, kernels.Write) },
		func() error { return flip(m.gpu, m.at+offset) },
		func() error { return m.step(kernels.Random, 1, 0, 0, kernels.Check) },
		func() error { return m.log.read(&r, 0) },
	); err != nil {
		return err
	}
	for _, w := range r.First {
		if w.Offset == offset && w.Got^w.Want == 1 {
			return nil // further errors are the GPU's own, and will be found again
		}
	}
	if r.Errors > kernels.LogKept {
		return nil // errors of the GPU's own filled the log; they too will be found again
	}
	m.r.Errors += r.Errors
	m.r.First = append(m.r.First, r.First...)
	return fmt.Errorf("test memory: a bit flipped on purpose at byte %d was not found: %d errors", offset, r.Errors)
}

// flip changes the lowest bit of the word at an address.
func flip(g gpu, at uint64) error {
	b := make([]byte, 4)
	if err := g.Get(b, at); err != nil {
		return err
	}
	b[0] ^= 1
	return g.Put(at, b)
}

// copies is how often a copy is repeated to learn its rate.
const copies = 5

// copyRate is what the driver's own copy moves within the device: bytes read and
// written, a second.
func (s *session) copyRate(at, size uint64) (float64, error) {
	half := min(size/2, 8<<30) / 16 * 16
	if err := s.gpu.Copy(at+half, at, half); err != nil { // warm
		return 0, err
	}
	d, err := s.gpu.Time(func() error {
		for range copies {
			if err := s.gpu.Copy(at+half, at, half); err != nil {
				return err
			}
		}
		return nil
	})
	return perSecond(2*copies*float64(half), d), err
}

// pcie copies between host and device, and holds what went out and came back
// against what was sent.
func pcie(s *session, _ phase, until time.Time) (results []gpuline.Result, err error) {
	free, err := s.gpu.Free()
	if err != nil {
		return nil, err
	}
	size := min(free/8, 256<<20) / 4096 * 4096
	a, err := s.gpu.Alloc(size)
	if err != nil {
		return nil, err
	}
	defer s.gpu.Release(a)
	b, err := s.gpu.Alloc(size)
	if err != nil {
		return nil, err
	}
	defer s.gpu.Release(b)
	h, err := s.gpu.HostAlloc(size)
	if err != nil {
		return nil, err
	}
	defer h.Release()
	if err := inTurn(s.log.clear, func() error { return s.gpu.Launch("fill", s.spread(), a, size/16, kernels.F32, 11) }); err != nil {
		return nil, err
	}
	down, up := gpuline.Result{Test: "pcie-from-gpu", Unit: gpuline.Bytes}, gpuline.Result{Test: "pcie-to-gpu", Unit: gpuline.Bytes}
	defer func() {
		if err != nil {
			results = counted(up)
		}
	}()
	var downTook, upTook time.Duration
	for once := false; !once || time.Now().Before(until); once = true {
		d, err := s.gpu.Time(func() error { return s.gpu.FromDevice(h, a, size) })
		if err != nil {
			return nil, err
		}
		downTook += d
		down.Iterations++
		if d, err = s.gpu.Time(func() error { return s.gpu.ToDevice(b, h, size) }); err != nil {
			return nil, err
		}
		upTook += d
		up.Iterations++
		if err := s.gpu.Launch("compare", s.spread(), b, a, size/16, 0, s.log.at); err != nil {
			return nil, err
		}
		down.Rate, up.Rate = perSecond(float64(size)*float64(down.Iterations), downTook), perSecond(float64(size)*float64(up.Iterations), upTook)
		if s.due(until) {
			if err := s.fetch(&up); err != nil {
				return nil, err
			}
		}
	}
	if err := s.fetch(&up); err != nil {
		return nil, err
	}
	return []gpuline.Result{down, up}, nil
}
