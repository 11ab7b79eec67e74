package powerkey

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

func input(names map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, keys := range names {
		root["sys/class/input/"+name+"/device/capabilities/key"] = &fstest.MapFile{Data: []byte(keys + "\n")}
	}
	return root
}

// The bitmaps are those of a power button, an AT keyboard (which has the key
// too), a mouse, and nonsense.
func TestButtons(t *testing.T) {
	root := input(map[string]string{
		"event0": "10000000000000 0",
		"event1": "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe",
		"event2": "70000 0 0 0 0",
		"event3": "0", "event4": "", "event5": "10000000000000", "event6": "z 0",
	})
	got, err := Buttons(root)
	if err != nil || !slices.Equal(got, []string{"event0", "event1"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// events are struct input_event.
func events(list ...[3]uint32) []byte {
	var b bytes.Buffer
	for _, e := range list {
		b.Write(make([]byte, 16))
		b.Write(binary.NativeEndian.AppendUint16(nil, uint16(e[0])))
		b.Write(binary.NativeEndian.AppendUint16(nil, uint16(e[1])))
		b.Write(binary.NativeEndian.AppendUint32(nil, e[2]))
	}
	return b.Bytes()
}

func TestWait(t *testing.T) {
	other := events([3]uint32{0, 0, 0}, [3]uint32{1, 30, 1}, [3]uint32{1, 116, 0}, [3]uint32{1, 116, 2}, [3]uint32{2, 116, 1})
	if err := wait(bytes.NewReader(other)); !errors.Is(err, io.EOF) {
		t.Errorf("no press: %v", err)
	}
	if err := wait(bytes.NewReader(append(other, events([3]uint32{1, 116, 1})...))); err != nil {
		t.Errorf("a press: %v", err)
	}
	if err := wait(bytes.NewReader(events([3]uint32{1, 116, 1})[:20])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half an event: %v", err)
	}
}

// lockedBuffer is written by the service and by each listener, as a process's
// standard error is.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A button that is there late is heard, one whose device fails is opened again,
// and a press that PID 1 would not take is told.
func TestService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		root := input(nil)
		opened := 0
		var said []string
		var out lockedBuffer
		presses := make(chan string, 10)
		s := Service{
			Root: locked{root, &mu}, Out: &out,
			Open: func(context.Context, string) (io.ReadCloser, error) {
				opened++
				if opened == 1 {
					return nil, fs.ErrPermission
				}
				return io.NopCloser(bytes.NewReader(events([3]uint32{1, 116, 1}))), nil
			},
			Pressed: func(device string) error { presses <- device; return errors.New("PID 1 is busy") },
			Ready:   func(text string) { said = append(said, text) },
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(time.Minute)
		mu.Lock()
		for name, file := range input(map[string]string{"event0": "10000000000000 0"}) {
			root[name] = file
		}
		mu.Unlock()
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(presses) == 0 || <-presses != "dev/input/event0" {
			t.Error("the press was not heard")
		}
		if !slices.Equal(said[:2], []string{"0 power buttons", "1 power buttons"}) {
			t.Errorf("%q", said)
		}
		for _, want := range []string{"listen to dev/input/event0: permission denied", "was pressed", "PID 1 is busy"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("it did not say %q:\n%s", want, out.String())
			}
		}
	})
}

// locked is a tree that changes while it is read.
type locked struct {
	fstest.MapFS
	mu *sync.Mutex
}

func (l locked) Glob(pattern string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.MapFS.Glob(pattern)
}

func (l locked) ReadFile(name string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.MapFS.ReadFile(name)
}

func FuzzHasKey(f *testing.F) {
	f.Add("10000000000000 0", 116)
	f.Fuzz(func(_ *testing.T, bitmap string, key int) { hasKey(bitmap, key&0x3ff) })
}
