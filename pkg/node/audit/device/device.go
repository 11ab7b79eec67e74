// Package device puts the questions to devices that no file answers: NVMe and
// SCSI commands, those passed through a MegaRAID controller, ethtool requests,
// IPMI messages, TPM commands, makers' programs. Only what reads is let through. A
// question is
// plain bytes and so is its answer, which is why both can be kept in an archive
// and played back where the device is not.
package device

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// Kind is the language of a question.
type Kind string

// The kinds. What Request and the answer hold is told at each kind's file.
const (
	NVMe    Kind = "nvme"
	SCSI    Kind = "scsi"
	Ethtool Kind = "ethtool"
	IPMI    Kind = "ipmi"
	TPM     Kind = "tpm"
)

// Question is what a device is asked.
type Question struct {
	Device  string // below the root, "dev/nvme0"; a network interface's name for Ethtool
	Kind    Kind
	Request []byte
	Reply   int // the most bytes that the answer may have
}

// longName is the number of request bytes from which on a digest stands in
// the file name.
const longName = 64

// File is the name under which an archive keeps the answer.
func (q Question) File() string {
	name := hex.EncodeToString(q.Request)
	if len(q.Request) > longName {
		d := sha256.Sum256(q.Request)
		name = "sha256-" + hex.EncodeToString(d[:16])
	}
	return fmt.Sprintf("%s/%s/%s-%d", q.Device, q.Kind, name, q.Reply)
}

// Asker answers questions. The error wraps fs.ErrNotExist where there is no
// such device, fs.ErrPermission where it may not be asked, ErrTimeout where it
// did not answer in time, ErrNotCaptured where nobody asked when the archive
// was made.
type Asker interface {
	Ask(context.Context, Question) ([]byte, error)
}

// The errors beside those of io/fs.
var (
	ErrTimeout     = errors.New("timed out")
	ErrNotCaptured = errors.New("not captured")
)

// Nothing is the Asker of a tree that holds files alone.
type Nothing struct{}

// Ask says that nobody asked.
func (Nothing) Ask(_ context.Context, q Question) ([]byte, error) {
	return nil, fmt.Errorf("ask %s: %w", q.Device, ErrNotCaptured)
}

// TimedOut is the error of a read or a question that got no answer.
func TimedOut(after time.Duration) error { return timedOut{after} }

type timedOut struct{ after time.Duration }

func (e timedOut) Error() string { return "timed out after " + e.after.String() }

func (e timedOut) Is(target error) bool {
	return target == ErrTimeout || target == context.DeadlineExceeded
}

// Live asks the devices of this machine. A device that let one question go
// unanswered is not asked again: each further one would cost its patience too.
type Live struct {
	patience time.Duration
	mu       sync.Mutex
	hung     map[string]error
	bmc      *bmc
}

// NewLive makes an Asker whose every question waits so long and no longer.
func NewLive(patience time.Duration) *Live {
	return &Live{patience: patience, hung: make(map[string]error), bmc: new(bmc)}
}

// bmcPatience is the least that a management controller is waited for.
const bmcPatience = 5 * time.Second

// vendorPatience is the least that a maker's program is waited for.
const vendorPatience = 4 * time.Second

// Ask puts a question to a device of this machine.
func (l *Live) Ask(ctx context.Context, q Question) ([]byte, error) {
	ask := map[Kind]func(Question, time.Duration) ([]byte, error){
		NVMe: askNVMe, SCSI: askSCSI, MegaRAID: askMegaRAID, Vendor: askVendor, NVML: askNVML, Ethtool: askEthtool, IPMI: l.bmc.ask, TPM: askTPM,
	}[q.Kind]
	if ask == nil {
		return nil, fmt.Errorf("ask %s: %q is no kind of question", q.Device, q.Kind)
	}
	return l.timed(ctx, q, ask)
}

func (l *Live) timed(ctx context.Context, q Question, ask func(Question, time.Duration) ([]byte, error)) ([]byte, error) {
	l.mu.Lock()
	err := l.hung[q.Device]
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	patience := l.patience
	if q.Kind == IPMI { // a controller that is busy with itself takes seconds
		patience = max(patience, bmcPatience)
	}
	if q.Kind == Vendor {
		patience = max(patience, vendorPatience)
	}
	if q.Kind == NVML {
		patience = max(patience, nvmlPatience)
	}
	type answer struct {
		b   []byte
		err error
	}
	done := make(chan answer, 1)
	go func() {
		b, err := ask(q, patience)
		done <- answer{b, err}
	}()
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case a := <-done:
		if a.err != nil {
			a.err = fmt.Errorf("ask %s (%s): %w", q.Device, q.Kind, a.err)
		}
		return a.b, a.err
	case <-ctx.Done():
		return nil, fmt.Errorf("ask %s (%s): %w", q.Device, q.Kind, ctx.Err())
	case <-t.C:
	}
	err = fmt.Errorf("ask %s (%s): %w", q.Device, q.Kind, TimedOut(patience))
	l.mu.Lock()
	l.hung[q.Device] = err
	l.mu.Unlock()
	return nil, err
}

// Failure is an error that went through an archive: its text, and what
// errors.Is may find in it.
type Failure struct {
	Class string `json:"class"` // a key of classes, or empty
	Text  string `json:"text"`
}

var classes = sync.OnceValue(func() map[string]error {
	return map[string]error{"not-exist": fs.ErrNotExist, "permission": fs.ErrPermission, "timeout": ErrTimeout, "not-captured": ErrNotCaptured}
})

// NewFailure keeps an error.
func NewFailure(err error) *Failure {
	for class, target := range classes() {
		if errors.Is(err, target) {
			return &Failure{class, err.Error()}
		}
	}
	return &Failure{"", err.Error()}
}

// Error implements error.
func (f *Failure) Error() string { return f.Text }

// Is implements errors.Is.
func (f *Failure) Is(target error) bool { return f.Class != "" && classes()[f.Class] == target }
