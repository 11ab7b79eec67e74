package verify

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// report is the table that a person reads.
type report struct {
	out      io.Writer
	err      error // the first of out
	failures int
	notes    int
	unsigned bool
	signer   string
}

func (r *report) ok(what, format string, args ...any) { r.line("ok", what, format, args...) }

func (r *report) fail(what, format string, args ...any) {
	r.failures++
	r.line("FAIL", what, format, args...)
}

func (r *report) note(what, format string, args ...any) {
	r.notes++
	r.line("note", what, format, args...)
}

func (r *report) line(state, what, format string, args ...any) {
	r.print("%-5s %-11s %s", state, what, fmt.Sprintf(format, args...))
}

// print writes one line. What the files say is shown without control
// characters: nobody may have vouched for it.
func (r *report) print(format string, args ...any) {
	text := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, fmt.Sprintf(format, args...))
	if r.err == nil {
		_, r.err = fmt.Fprintln(r.out, text)
	}
}

// verdict writes the last line.
func (r *report) verdict(dir string) error {
	switch {
	case r.failures > 0:
		r.print("verdict: BAD: %d checks failed. Do not flash this.", r.failures)
		return errors.Join(fmt.Errorf("verify %s: %w: %d checks failed", dir, ErrBad, r.failures), r.err)
	case r.unsigned:
		r.print("verdict: WHOLE, BUT NOBODY VOUCHES FOR IT: the files fit each other; no signature was checked.")
	case r.notes > 0:
		r.print("verdict: GOOD, signed by %s; read the %d notes above.", r.signer, r.notes)
	default:
		r.print("verdict: GOOD, signed by %s.", r.signer)
	}
	return r.err
}
