// Package powerkey listens to the machine's power button: the one on its front,
// and the one that a BMC or a hypervisor presses for its operator (ipmitool
// chassis power soft, virsh shutdown). Each is an input device that sends
// KEY_POWER (kernel: Documentation/input/event-codes.rst); pressed, the machine
// is powered off in order.
package powerkey

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// Numbers of linux/input-event-codes.h.
const (
	evKey    = 1
	keyPower = 116
	pressed  = 1
)

// eventSize is that of struct input_event on 64-bit machines (linux/input.h):
// 16 bytes of time, type, code, value.
const eventSize = 24

// Buttons lists the input devices of root that have a power key, by the bitmap
// in sys/class/input/event*/device/capabilities/key (sysfs-class-input): words
// in hexadecimal, the highest first.
func Buttons(root fs.FS) ([]string, error) {
	files, err := fs.Glob(root, "sys/class/input/event*/device/capabilities/key")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, f := range files {
		text, err := fs.ReadFile(root, f)
		if err != nil {
			continue // gone meanwhile
		}
		if hasKey(string(text), keyPower) {
			found = append(found, strings.Split(f, "/")[3])
		}
	}
	return found, nil
}

// wordBits is how many keys a word of the bitmap has.
const wordBits = 64

func hasKey(bitmap string, key int) bool {
	words := strings.Fields(bitmap)
	i := len(words) - 1 - key/wordBits
	if i < 0 {
		return false
	}
	word, err := strconv.ParseUint(words[i], 16, wordBits)
	return err == nil && word&(1<<(key%wordBits)) != 0
}

// wait reads events until the power key goes down.
func wait(r io.Reader) error {
	var b [eventSize]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return err
		}
		kind, code, value := binary.NativeEndian.Uint16(b[16:]), binary.NativeEndian.Uint16(b[18:]), binary.NativeEndian.Uint32(b[20:])
		if kind == evKey && code == keyPower && value == pressed {
			return nil
		}
	}
}

// lookEvery is how often new buttons are looked for: their driver may be loaded
// late, a BMC's keyboard comes and goes.
const lookEvery = 5 * time.Second

// Service is the listener.
type Service struct {
	Root    fs.FS
	Open    func(ctx context.Context, device string) (io.ReadCloser, error) // dev/input/event3; a read ends with ctx
	Pressed func(device string) error
	Out     io.Writer
	Ready   func(text string)
}

// Run listens to every button there is and to those that come, until ctx ends.
// A press that could not be acted on is told, and the next one tries again.
func (s *Service) Run(ctx context.Context) error {
	listening := make(map[string]bool)
	ended := make(chan string)
	last := -1
	for {
		names, err := Buttons(s.Root)
		if err != nil {
			return fmt.Errorf("look for power buttons: %w", err)
		}
		for _, name := range names {
			if listening[name] {
				continue
			}
			listening[name] = true
			go func() {
				s.listen(ctx, name)
				select {
				case ended <- name:
				case <-ctx.Done():
				}
			}()
		}
		if len(listening) != last {
			last = len(listening)
			s.Ready(fmt.Sprintf("%d power buttons", last))
		}
		select {
		case <-ctx.Done():
			return nil
		case name := <-ended:
			delete(listening, name)
			// Whatever ended it does not do so again at once.
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(lookEvery):
			}
		case <-time.After(lookEvery):
		}
	}
}

func (s *Service) listen(ctx context.Context, name string) {
	device := path.Join("dev/input", name)
	f, err := s.Open(ctx, device)
	if err != nil {
		fmt.Fprintf(s.Out, "powerkey: listen to %s: %v\n", device, err)
		return
	}
	defer f.Close()
	for {
		err := wait(f)
		switch {
		case err == nil:
			fmt.Fprintf(s.Out, "powerkey: %s was pressed\n", device)
			if err := s.Pressed(device); err != nil {
				fmt.Fprintf(s.Out, "powerkey: power the machine off: %v\n", err)
			}
		case ctx.Err() != nil:
			return
		default:
			if !errors.Is(err, io.EOF) {
				fmt.Fprintf(s.Out, "powerkey: read %s: %v\n", device, err)
			}
			return
		}
	}
}
