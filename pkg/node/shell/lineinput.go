package shell

import (
	"io"
	"os"
)

// lineInput reads a script from a stream that the script's commands read too:
// never past the end of the line that is needed (POSIX, sh, STDIN).
type lineInput struct {
	r    io.Reader
	line []byte // what is left of the line
	last byte   // given out
	end  bool
}

func newLineInput(f *os.File) *lineInput { return &lineInput{r: f, last: '\n'} }

// Read gives out at most to the end of a line, and an end of line at the end
// of input if it lacks.
func (l *lineInput) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for len(l.line) == 0 {
		if l.end {
			return 0, io.EOF
		}
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, l.line)
	l.line = l.line[n:]
	return n, nil
}

// fill reads one line byte by byte: a stream cannot be read back.
func (l *lineInput) fill() error {
	var b [1]byte
	for {
		n, err := l.r.Read(b[:])
		if n > 0 {
			l.line = append(l.line, b[0])
			l.last = b[0]
			if b[0] == '\n' {
				return nil
			}
		}
		if err == io.EOF {
			l.end = true
			if l.last != '\n' {
				l.line = append(l.line, '\n')
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
