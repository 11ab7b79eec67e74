package bringup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// TimerSlack lets the timers of threads be late by so much; whatever a thread
// starts inherits it (PR_SET_TIMERSLACK(2const)). As a Row it is for all threads
// of PID 1 (proc(5), /proc/pid/timerslack_ns). It holds until End.
type TimerSlack time.Duration

// BootSlack is that of a boot. Every Go program has a thread that sleeps for 20
// microseconds, again and again, while the program has work; a boot is several of
// them at once, and on a small machine a tenth of it was theirs. With a slack of
// more than the kernel's tick they wake with that.
const BootSlack = TimerSlack(5 * time.Millisecond)

// kernelSlack is what the kernel gives its first process (init_task).
const kernelSlack = TimerSlack(50 * time.Microsecond)

func (s TimerSlack) String() string { return "set timer slack" }

// Given reports whether the calling thread has this slack, and so all that it
// started.
func (s TimerSlack) Given() bool {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return err == nil && ns == int(s)
}

func (s TimerSlack) do(root string) error {
	threads, err := os.ReadDir(root + "/proc/self/task")
	if err != nil {
		return err
	}
	var errs []error
	for _, t := range threads {
		errs = append(errs, s.give(root, t.Name()))
	}
	return errors.Join(errs...)
}

// End gives every thread of the machine that has this slack the kernel's own
// again: those of services, and of what people started meanwhile. Who chose
// another one keeps it.
func (s TimerSlack) End() error { return s.end("") }

func (s TimerSlack) end(root string) error {
	// Who has it still may start a thread behind our back: again, until there is
	// none.
	for range 10 {
		left, err := s.pass(root)
		if err != nil {
			return fmt.Errorf("reset timer slack: %w", err)
		}
		if left == 0 {
			return nil
		}
	}
	return errors.New("reset timer slack: new threads keep coming that have that of the boot; their timers may be late")
}

// pass resets those that are there, and returns how many had it.
func (s TimerSlack) pass(root string) (had int, err error) {
	threads, err := filepath.Glob(root + "/proc/[0-9]*/task/[0-9]*")
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, t := range threads {
		id := filepath.Base(t)
		text, err := os.ReadFile(slackFile(root, id))
		if err == nil && strings.TrimSpace(string(text)) == s.nanoseconds() {
			had++
			err = kernelSlack.give(root, id)
		}
		if !gone(err) {
			errs = append(errs, err)
		}
	}
	return had, errors.Join(errs...)
}

// give sets the slack of a thread, if it is still there.
func (s TimerSlack) give(root, thread string) error {
	f, err := os.OpenFile(slackFile(root, thread), os.O_WRONLY|os.O_TRUNC, 0)
	if err == nil {
		_, err = f.WriteString(s.nanoseconds())
		err = errors.Join(err, f.Close())
	}
	if gone(err) {
		return nil
	}
	return err
}

// slackFile is that of one thread. The kernel has it not below task/, but answers
// to the number of a thread below /proc too, where no list shows it.
func slackFile(root, thread string) string { return root + "/proc/" + thread + "/timerslack_ns" }

func (s TimerSlack) nanoseconds() string { return strconv.FormatInt(int64(s), 10) }

// gone reports that a thread ended after it was listed.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}
