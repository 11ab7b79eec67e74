package excerpt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// Head is the command head. It returns the exit status: 1 where a file could
// not be read or the command line is wrong.
func Head(args []string, stdin *os.File, stdout, stderr io.Writer) int {
	o, err := parse(args, false)
	if err != nil {
		fmt.Fprintf(stderr, "head: %v: head [-N | -n LINES | -c BYTES] [-q | -v] [FILE…]\n", err)
		return 1
	}
	c := &command{options: o, name: "head", stdin: stdin, stdout: stdout, stderr: stderr}
	c.each(func(_ string, f *os.File) error { return first(c.stdout, f, c.count, c.bytes) })
	return c.status
}

// first copies the first n lines or bytes.
func first(w io.Writer, r io.Reader, n int64, bytes bool) error {
	if bytes {
		_, err := io.CopyN(w, r, n)
		return noEOF(err)
	}
	in := bufio.NewReaderSize(r, 64<<10)
	for n > 0 {
		part, err := in.ReadSlice('\n')
		if _, werr := w.Write(part); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull): // the line goes on
		case err != nil:
			return noEOF(err)
		default:
			n--
		}
	}
	return nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
