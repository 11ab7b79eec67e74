// Package kmsg reads the kernel's log from /dev/kmsg
// (Documentation/ABI/testing/dev-kmsg).
package kmsg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Path is the device.
const Path = "/dev/kmsg"

// Record is one record of the kernel's log.
type Record struct {
	Severity int           // 0 emergency … 7 debug, syslog(2)
	Facility int           // 0 kernel, 1 user, …; who wrote it
	Seq      uint64        // number of the record since boot
	Uptime   time.Duration // when, by the kernel's clock
	Text     string        // the message; escapes undone
	Fields   []Field       // SUBSYSTEM, DEVICE and the like
}

// Field is one line of a record's dictionary.
type Field struct{ Key, Value string }

// Parse reads one record as one read(2) of /dev/kmsg returns it:
//
//	6,339,5140900,-;NET: Registered protocol family 10
//	 SUBSYSTEM=net
func Parse(b []byte) (Record, error) {
	var r Record
	head, body, ok := bytes.Cut(b, []byte{';'})
	if !ok {
		return r, errors.New("parse kmsg record: no ';' after the prefix")
	}
	fields := strings.Split(string(head), ",") // later kernels may add some
	if len(fields) < 3 {
		return r, fmt.Errorf("parse kmsg record: prefix %q has fewer than three fields", head)
	}
	prio, err := strconv.ParseUint(fields[0], 10, 32)
	if err != nil {
		return r, fmt.Errorf("parse kmsg priority: %w", err)
	}
	if r.Seq, err = strconv.ParseUint(fields[1], 10, 64); err != nil {
		return r, fmt.Errorf("parse kmsg sequence number: %w", err)
	}
	usec, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil || usec < 0 || usec > int64(1<<63-1)/1000 {
		return r, fmt.Errorf("parse kmsg time stamp %q", fields[2])
	}
	r.Severity, r.Facility = int(prio&7), int(prio>>3)
	r.Uptime = time.Duration(usec) * time.Microsecond
	text, rest, _ := strings.Cut(string(body), "\n")
	r.Text = unescape(text)
	for _, line := range strings.Split(rest, "\n") {
		if kv, ok := strings.CutPrefix(line, " "); ok {
			key, value, _ := strings.Cut(kv, "=")
			r.Fields = append(r.Fields, Field{unescape(key), unescape(value)})
		}
	}
	return r, nil
}

// unescape undoes the kernel's \xHH for bytes that are not printable. What is
// still not printable then becomes '?'.
func unescape(s string) string {
	if strings.Contains(s, `\x`) {
		var b strings.Builder
		for i := 0; i < len(s); i++ {
			if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
				if v, err := strconv.ParseUint(s[i+2:i+4], 16, 8); err == nil {
					b.WriteByte(byte(v))
					i += 3
					continue
				}
			}
			b.WriteByte(s[i])
		}
		s = b.String()
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
}

// Reader reads records. It works on any descriptor of /dev/kmsg: each has a
// position of its own, at first the oldest record that is kept.
type Reader struct {
	r   io.Reader
	buf [8192]byte // CONSOLE_EXT_LOG_MAX of kernel/printk
}

// NewReader reads from r, of which each Read returns one record.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Open opens /dev/kmsg. Without follow the end of what is there is io.EOF,
// with it Next waits.
func Open(follow bool) (*Reader, io.Closer, error) {
	if follow {
		f, err := os.OpenFile(Path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // for the poller
		if err != nil {
			return nil, nil, fmt.Errorf("open the kernel's log: %w", err)
		}
		return NewReader(f), f, nil
	}
	fd, err := syscall.Open(Path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open the kernel's log: %w", err)
	}
	d := descriptor(fd)
	return NewReader(d), d, nil
}

// Next returns the next record. Records that were overwritten before they were
// read are passed over: Seq shows the gap. One that cannot be parsed is passed
// over too.
func (r *Reader) Next() (Record, error) {
	for {
		n, err := r.r.Read(r.buf[:])
		if errors.Is(err, syscall.EPIPE) { // overwritten: the next read goes on behind
			continue
		}
		if err != nil {
			return Record{}, err
		}
		if rec, err := Parse(r.buf[:n]); err == nil {
			return rec, nil
		}
	}
}

// descriptor reads without the poller, so that the end of the log shows.
type descriptor int

func (d descriptor) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(int(d), b)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return 0, io.EOF
		case err != nil:
			return 0, err
		default:
			return n, nil
		}
	}
}

func (d descriptor) Close() error { return syscall.Close(int(d)) }
