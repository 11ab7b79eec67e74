package excerpt

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

// pollEvery is how often a followed file is looked at.
const pollEvery = 250 * time.Millisecond

// blockSize is read at a time on the way back from a file's end.
const blockSize = 64 << 10

// Tail is the command tail. It returns the exit status: 1 where a file could
// not be read or the command line is wrong. With -f it ends when the process is
// ended, or when nothing is left to follow.
func Tail(args []string, stdin *os.File, stdout, stderr io.Writer) int {
	o, err := parse(args, true)
	if err != nil {
		fmt.Fprintf(stderr, "tail: %v: tail [-N | -n [+]LINES | -c [+]BYTES] [-f] [-q | -v] [FILE…]\n", err)
		return 1
	}
	c := &command{options: o, name: "tail", stdin: stdin, stdout: stdout, stderr: stderr}
	var followed []*growing
	c.each(func(name string, f *os.File) error {
		regular, at, err := c.last(f)
		if regular && c.follow && err == nil {
			followed = append(followed, &growing{name, f, at})
		}
		return err
	})
	for len(followed) > 0 && c.follow {
		time.Sleep(pollEvery)
		followed = c.more(followed)
	}
	return c.status
}

// last copies the end of a file; of a regular one it says where that ends.
func (c *command) last(f *os.File) (regular bool, end int64, err error) {
	st, err := f.Stat()
	if err != nil {
		return false, 0, err
	}
	at, serr := f.Seek(0, io.SeekCurrent) // standard input may be read in part already
	if regular = st.Mode().IsRegular() && serr == nil && st.Size() > 0; !regular {
		// Files of /proc say that they have no size.
		return st.Mode().IsRegular(), st.Size(), c.lastOfStream(f)
	}
	switch {
	case c.from && c.bytes:
		at += max(c.count-1, 0)
	case c.from:
		return true, st.Size(), c.lastOfStream(f)
	case c.bytes:
		at = max(at, st.Size()-c.count)
	default:
		if at, err = lineStart(f, at, st.Size(), c.count); err != nil {
			return true, 0, err
		}
	}
	n, err := io.Copy(c.stdout, io.NewSectionReader(f, at, max(st.Size()-at, 0)))
	return true, at + n, err
}

// lineStart finds where the last n lines between two offsets begin.
func lineStart(r io.ReaderAt, from, end, n int64) (int64, error) {
	if n == 0 {
		return end, nil
	}
	block := make([]byte, blockSize)
	for at := end; at > from; {
		size := min(blockSize, at-from)
		at -= size
		b := block[:size]
		if got, err := r.ReadAt(b, at); got < len(b) {
			return 0, err
		}
		if at+size == end { // the end of the last line begins none
			b = bytes.TrimSuffix(b, []byte("\n"))
		}
		for {
			i := bytes.LastIndexByte(b, '\n')
			if i < 0 {
				break
			}
			if n--; n == 0 {
				return at + int64(i) + 1, nil
			}
			b = b[:i]
		}
	}
	return from, nil
}

// lastOfStream reads what cannot be read from its end.
func (c *command) lastOfStream(r io.Reader) error {
	in := bufio.NewReaderSize(r, blockSize)
	switch {
	case c.from && c.bytes:
		if _, err := io.CopyN(io.Discard, in, max(c.count-1, 0)); err != nil {
			return noEOF(err)
		}
	case c.from:
		if err := first(io.Discard, in, max(c.count-1, 0), false); err != nil {
			return err
		}
	default:
		return c.keep(in)
	}
	_, err := io.Copy(c.stdout, in)
	return err
}

// keep holds the last lines or bytes and drops what goes before them.
func (c *command) keep(in *bufio.Reader) error {
	var kept [][]byte // lines; or pieces
	var size int64
	for {
		piece, err := c.piece(in)
		if len(piece) > 0 {
			kept = append(kept, piece)
			size += int64(len(piece))
		}
		for len(kept) > 0 && (c.bytes && size-int64(len(kept[0])) >= c.count || !c.bytes && int64(len(kept)) > c.count) {
			size -= int64(len(kept[0]))
			kept = kept[1:]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	out := bytes.Join(kept, nil)
	if c.bytes {
		out = out[max(int64(len(out))-c.count, 0):]
	}
	_, err := c.stdout.Write(out)
	return err
}

// piece is a line; a block where bytes count, for a line may have no end.
func (c *command) piece(in *bufio.Reader) ([]byte, error) {
	if !c.bytes {
		return in.ReadBytes('\n')
	}
	b := make([]byte, blockSize)
	n, err := in.Read(b)
	return b[:n], err
}

// growing is a file that is followed.
type growing struct {
	name string
	file *os.File
	at   int64 // what was shown
}

// more shows what was added and returns those that can be followed further.
func (c *command) more(list []*growing) []*growing {
	var left []*growing
	for _, g := range list {
		if err := c.grown(g); err != nil {
			c.fail(g.name, err)
			continue
		}
		left = append(left, g)
	}
	return left
}

func (c *command) grown(g *growing) error {
	st, err := g.file.Stat()
	if err != nil {
		return err
	}
	if st.Size() < g.at {
		fmt.Fprintf(c.stderr, "tail: %s: file truncated\n", g.name)
		g.at = 0
	}
	if st.Size() == g.at {
		return nil
	}
	if c.headers() && c.shown != g.name {
		if err := c.header(g.name); err != nil {
			return err
		}
	}
	n, err := io.Copy(c.stdout, io.NewSectionReader(g.file, g.at, st.Size()-g.at))
	g.at += n
	return err
}
