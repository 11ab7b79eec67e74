package debian

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	arMagic  = "!<arch>\n"
	arHeader = 60
)

// arReader reads the members of an ar(5) archive in order, as deb(5) uses it:
// the common format, short names only.
type arReader struct {
	r    io.Reader
	body *io.LimitedReader // of the current member
	pad  int64             // bytes after it
}

func newArReader(r io.Reader) (*arReader, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return nil, fmt.Errorf("read ar magic: %w", unexpected(err))
	}
	if string(magic) != arMagic {
		return nil, errors.New("read ar magic: this is not an ar archive")
	}
	return &arReader{r: r}, nil
}

// next skips to the next member and returns its name and size; io.EOF at the end.
func (a *arReader) next() (string, int64, error) {
	if a.body != nil {
		if n, err := io.Copy(io.Discard, a.body); err != nil {
			return "", 0, fmt.Errorf("skip ar member: %w", err)
		} else if a.body.N > 0 {
			return "", 0, fmt.Errorf("skip ar member: it ends after %d bytes: %w", n, io.ErrUnexpectedEOF)
		}
		// The last member's padding may be absent.
		if _, err := io.CopyN(io.Discard, a.r, a.pad); err != nil && !errors.Is(err, io.EOF) {
			return "", 0, fmt.Errorf("skip ar padding: %w", err)
		}
	}
	var head [arHeader]byte
	if _, err := io.ReadFull(a.r, head[:]); errors.Is(err, io.EOF) {
		return "", 0, io.EOF
	} else if err != nil {
		return "", 0, fmt.Errorf("read ar header: %w", err)
	}
	if string(head[58:]) != "`\n" {
		return "", 0, fmt.Errorf("read ar header: it ends in %q", head[58:])
	}
	name := strings.TrimSuffix(strings.TrimRight(string(head[:16]), " "), "/")
	size, err := strconv.ParseInt(strings.TrimRight(string(head[48:58]), " "), 10, 64)
	if err != nil || size < 0 {
		return "", 0, fmt.Errorf("read ar header of %q: size %q is not a number", name, head[48:58])
	}
	a.body = &io.LimitedReader{R: a.r, N: size}
	a.pad = size & 1
	return name, size, nil
}

// Read reads the current member.
func (a *arReader) Read(p []byte) (int, error) {
	if a.body == nil {
		return 0, io.EOF
	}
	n, err := a.body.Read(p)
	if errors.Is(err, io.EOF) && a.body.N > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// unexpected turns an end of input where there must be more into an error that
// no caller takes for a clean end.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
