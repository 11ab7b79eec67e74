package flash

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"
)

// medium is a device in memory that can be broken.
type medium struct {
	text   []byte
	real   int64 // bytes that it really has; the rest is forgotten; 0: all
	fails  int64 // byte from which on a write fails; 0: none
	before func(at int64)
}

func (m *medium) WriteAt(p []byte, at int64) (int, error) {
	if m.before != nil {
		m.before(at)
	}
	if m.fails > 0 && at+int64(len(p)) > m.fails {
		return 0, syscall.EIO
	}
	if m.real > 0 && at >= m.real {
		return len(p), nil
	}
	return copy(m.text[at:], p), nil
}

func (m *medium) ReadAt(p []byte, at int64) (int, error) {
	return bytes.NewReader(m.text).ReadAt(p, at)
}

func (m *medium) settle() error { return nil }

func noise(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.NewChaCha8([32]byte{1}).Read(b); err != nil {
		panic(err)
	}
	return b
}

func still() *meter { return &meter{out: io.Discard, now: func() time.Time { return time.Time{} }} }

func TestWriteAndVerify(t *testing.T) {
	for _, size := range []int{sector, chunk, chunk + sector, 3*chunk - sector} {
		text := noise(size)
		m := &medium{text: bytes.Repeat([]byte("old!"), (size+chunk)/4)}
		p, err := newPlan(bytes.NewReader(text), int64(size), int64(len(m.text)))
		if err != nil {
			t.Fatal(err)
		}
		sums, err := write(t.Context(), p, sha256.Sum256(text), m, still())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.text[:size], text) {
			t.Errorf("%d bytes: the medium holds something else", size)
		}
		if end := m.text[len(m.text)-sector:]; bytes.Contains(end, []byte("old")) {
			t.Error("an old table's second copy may be there still")
		}
		if err := verify(t.Context(), p, sums, m, still()); err != nil {
			t.Error(err)
		}
		m.text[size-1] ^= 1
		if err := verify(t.Context(), p, sums, m, still()); err == nil || !strings.Contains(err.Error(), "SHA-256 differs") {
			t.Errorf("one bit: %v", err)
		}
	}
}

// What ends the writing early leaves a medium that does not start, and says how
// far it came.
func TestCutOff(t *testing.T) {
	text := noise(4 * chunk)
	p := plan{image: bytes.NewReader(text), size: int64(len(text)), disk: int64(len(text))}
	sum := sha256.Sum256(text)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted := errors.New("interrupted")
	for name, c := range map[string]struct {
		ctx  context.Context
		m    *medium
		sum  [32]byte
		says []string
	}{
		"broken":      {t.Context(), &medium{fails: 2*chunk + 1}, sum, []string{"stopped after 8.0 MiB (8388608 bytes) of 16.0 MiB", "pulled out", "not bootable"}},
		"interrupted": {ctx, &medium{before: func(at int64) { cancel2(at == chunk, cancel, interrupted) }}, sum, []string{"stopped after 8.0 MiB", "interrupted", "not bootable"}},
		"changed":     {t.Context(), &medium{}, [32]byte{1}, []string{"changed while it was written", "not bootable"}},
	} {
		c.m.text = bytes.Repeat([]byte{7}, len(text))
		_, err := write(c.ctx, p, c.sum, c.m, still())
		for _, want := range c.says {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
		if !bytes.Equal(c.m.text[:sector], make([]byte, sector)) {
			t.Errorf("%s: the first sector is not empty", name)
		}
	}
}

func cancel2(now bool, cancel context.CancelCauseFunc, err error) {
	if now {
		cancel(err)
	}
}

// A stick that claims more than it has takes every write and keeps none of it.
func TestFalseSize(t *testing.T) {
	text := noise(4 * chunk)
	p := plan{image: bytes.NewReader(text), size: int64(len(text)), disk: int64(len(text))}
	m := &medium{text: make([]byte, len(text)), real: 3 * chunk}
	sums, err := write(t.Context(), p, sha256.Sum256(text), m, still())
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(t.Context(), p, sums, m, still()); err == nil || !strings.Contains(err.Error(), "between bytes 12582912 and 16777216") {
		t.Errorf("%v", err)
	}
}

func TestMeter(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	m := &meter{out: &out, now: func() time.Time { return now }}
	m.start("write", 300e6)
	now = now.Add(time.Second)
	m.add(100e6)
	m.add(1) // too soon for another line
	now = now.Add(2 * time.Second)
	m.add(200e6 - 1)
	m.done()
	want := []string{"write: 100 of 300 MB, 33 %, 100.0 MB/s, 2s left", "write: 300 of 300 MB, 100 %, 100.0 MB/s", "write: 300 of 300 MB, 100 %, 100.0 MB/s"}
	got := strings.Split(strings.TrimPrefix(strings.TrimSpace(out.String()), "\r"), "\r")
	for i, line := range got {
		if i >= len(want) || strings.TrimSpace(line) != want[i] {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines", len(got))
	}
}

func TestParseSums(t *testing.T) {
	// sha256sum < /dev/null
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	sums, err := parseSums(empty + "  bee.img\n" + empty + " *bee.iso\n\n")
	if err != nil || len(sums) != 2 || sums["bee.img"] != sha256.Sum256(nil) || sums["bee.iso"] != sha256.Sum256(nil) {
		t.Errorf("%v, %v", sums, err)
	}
	for text, says := range map[string]string{
		"hello\n": "line 1", empty + " bee.img": "line 1", empty[2:] + "  x": "line 1", empty + "  x\n" + empty + "  x": "a second time", empty + "  ": "line 1",
	} {
		if _, err := parseSums(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseSums(f *testing.F) {
	f.Add("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  bee.img\n")
	f.Fuzz(func(t *testing.T, text string) {
		sums, err := parseSums(text)
		for name := range sums {
			if err == nil && (name == "" && !strings.Contains(text, "./") || !strings.Contains(text, name)) {
				t.Errorf("%q: %q", text, name)
			}
		}
	})
}

func FuzzRecognise(f *testing.F) {
	f.Add(make([]byte, 2048))
	f.Fuzz(func(t *testing.T, text []byte) {
		what, err := recognise(bytes.NewReader(text), int64(len(text)))
		if err != nil || strings.ContainsAny(what, "\n\x1b\x00") {
			t.Errorf("%q, %v", what, err)
		}
	})
}
