package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// MismatchError tells that a source served other bytes than the lock names.
type MismatchError struct {
	Name, Source      string
	Want, Got         string // SHA-256
	WantSize, GotSize int64
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("verify %s from %s: the bytes do not match the lock\n  want sha256 %s (%d bytes)\n  have sha256 %s (%d bytes)\n"+
		"the partial file is deleted; if the mirror is not at fault, check how that entry came into bee.lock",
		e.Name, e.Source, e.Want, e.WantSize, e.Got, e.GotSize)
}

// missingError tells that no source had a blob, and why each had not.
type missingError struct {
	name    string
	reasons []string
	gone    bool // a source that works said that it has no such file
}

func (e *missingError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fetch %s: no source has it", e.name)
	for _, r := range e.reasons {
		b.WriteString("\n  " + r)
	}
	b.WriteString("\nset BEE_MIRROR to a Debian mirror that this machine can reach (BEE_MIRROR=http://host/debian)")
	if e.gone {
		b.WriteString("; if the archive has moved on to a newer version, pin that with `go tool mage lock`")
	}
	return b.String()
}

// localError is a failure on this side: another source would not help.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// blob returns the verified path of b, downloading it if need be.
func (f *Fetcher) blob(ctx context.Context, b Blob, m *meter) (string, error) {
	final := f.blobPath(b.SHA256)
	for {
		if ok, err := f.verified(b, final, m); ok || err != nil {
			return final, err
		}
		part, err := f.openPart(ctx, b, m)
		if err != nil {
			return "", err
		}
		if part == nil {
			continue // another process has it now; hash what it left
		}
		err = f.download(ctx, b, part, m)
		part.Close()
		if err != nil {
			return "", err
		}
		return final, nil
	}
}

// download fills part from the first source that can and moves it into place.
func (f *Fetcher) download(ctx context.Context, b Blob, part *os.File, m *meter) error {
	sources, err := f.sources(b)
	if err != nil {
		return err
	}
	d := &transfer{f: f, b: b, part: part, sum: sha256.New(), meter: m.begin(b)}
	defer d.meter.end()
	missing := &missingError{name: b.Name}
	for _, src := range sources {
		err := d.from(ctx, src)
		var mismatch *MismatchError
		var local *localError
		switch {
		case err == nil:
			return d.finish(src)
		case errors.As(err, &mismatch):
			os.Remove(part.Name())
			return err
		case errors.As(err, &local):
			// Nothing half-written stays where there is no room for the rest.
			os.Remove(part.Name())
			return f.cacheError("write "+b.Name, local.err)
		case ctx.Err() != nil:
			return fmt.Errorf("fetch %s: %w", b.Name, context.Cause(ctx))
		}
		var status *statusError
		missing.gone = missing.gone || errors.As(err, &status) && status.code == http.StatusNotFound
		missing.reasons = append(missing.reasons, fmt.Sprintf("%s (%s): %v", src.base, src.what, err))
	}
	if d.have == 0 {
		os.Remove(part.Name())
	}
	return missing
}

// transfer is one blob on its way. Its bytes may come from several sources.
type transfer struct {
	f     *Fetcher
	b     Blob
	part  *os.File
	sum   hash.Hash // of the first have bytes of part
	have  int64
	ready bool // part was read once
	meter *task
}

// from tries one source until it has given everything, has said no, or has
// failed too often in a row.
func (d *transfer) from(ctx context.Context, src source) error {
	host := src.base
	if u, err := url.Parse(src.base); err == nil {
		host = u.Host
	}
	if why := d.f.deadHost(host); why != nil {
		return fmt.Errorf("not asked again: %w", why)
	}
	if err := d.rehash(); err != nil {
		return err
	}
	for try, before := 0, d.have; ; try++ {
		resumed := d.have > 0
		err := d.once(ctx, src)
		var mismatch *MismatchError
		if errors.As(err, &mismatch) && resumed {
			// The first part may be from a source that was at fault, or from a
			// disk that was: take all of it from this one before blaming it.
			if err := d.reset(); err != nil {
				return err
			}
			err = d.once(ctx, src)
		}
		if err == nil || !mayPass(err) || ctx.Err() != nil {
			return err
		}
		if d.have > before {
			try, before = 0, d.have // it moves: do not count
		}
		if try >= d.f.Retries {
			if unreachable(err) {
				d.f.setDead(host, err)
			}
			return err
		}
		d.meter.say("%s: %v; trying again", d.b.Name, err)
		if serr := d.f.Sleep(ctx, backoff(try)); serr != nil {
			return serr
		}
	}
}

// rehash reads what an earlier run left, once.
func (d *transfer) rehash() error {
	if d.ready {
		return nil
	}
	n, err := io.Copy(d.sum, io.LimitReader(d.part, d.b.Size+1))
	if err != nil {
		return &localError{fmt.Errorf("read partial file: %w", err)}
	}
	d.ready, d.have = true, n
	if n > d.b.Size {
		return d.reset()
	}
	d.meter.set(d.have)
	return nil
}

func (d *transfer) reset() error {
	d.sum.Reset()
	d.have = 0
	d.meter.set(0)
	if err := d.part.Truncate(0); err != nil {
		return &localError{err}
	}
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return &localError{err}
	}
	return nil
}

// once is one request.
func (d *transfer) once(ctx context.Context, src source) error {
	if d.have == d.b.Size {
		return d.compare(src)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := d.f.get(ctx, src.base+"/"+escapePath(d.b.Path), d.have)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent && d.have > 0 {
		if err := d.reset(); err != nil { // it does not know Range, or has other bytes
			return err
		}
	}
	if d.have > 0 && !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", d.have)) {
		if err := d.reset(); err != nil {
			return err
		}
		return &brokenError{fmt.Errorf("asked for a range, was given %q", resp.Header.Get("Content-Range"))}
	}
	if _, err := d.part.Seek(d.have, io.SeekStart); err != nil {
		return &localError{err}
	}
	// A body may be wrong and longer than it should be: read on so far that the
	// message can tell its digest, and no farther.
	body := &stallReader{r: io.LimitReader(resp.Body, 2*d.b.Size+1<<20-d.have), cancel: cancel, limit: d.f.Stall}
	body.start()
	defer body.stop()
	if err := d.copy(body); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		return err
	}
	return d.compare(src)
}

// copy appends the body to the partial file, hashing as it goes.
func (d *transfer) copy(body io.Reader) error {
	out := d.f.sink(d.part)
	buf := make([]byte, 128<<10)
	for {
		n, rerr := body.Read(buf)
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return &localError{err}
			}
			d.sum.Write(buf[:n])
			d.have += int64(n)
			d.meter.set(d.have)
		}
		switch {
		case errors.Is(rerr, io.EOF):
			return nil
		case rerr != nil:
			return &brokenError{fmt.Errorf("after %d of %d bytes: %w", d.have, d.b.Size, rerr)}
		}
	}
}

// compare holds what came against the lock. The transport said that it is whole.
func (d *transfer) compare(src source) error {
	got := hex.EncodeToString(d.sum.Sum(nil))
	if d.have == d.b.Size && got == d.b.SHA256 {
		return nil
	}
	return &MismatchError{
		Name: d.b.Name, Source: src.base + "/" + d.b.Path,
		Want: d.b.SHA256, Got: got, WantSize: d.b.Size, GotSize: d.have,
	}
}

// finish makes the bytes safe on the disk before their name says what they are.
func (d *transfer) finish(src source) error {
	err := d.part.Sync()
	if err == nil {
		err = os.Rename(d.part.Name(), d.f.blobPath(d.b.SHA256))
	}
	if err != nil {
		os.Remove(d.part.Name())
		return d.f.cacheError("store "+d.b.Name, err)
	}
	d.meter.done(src)
	return nil
}

// get sends one request, from byte offset on.
func (f *Fetcher) get(ctx context.Context, u string, offset int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	// The digest is that of the file, not of what a proxy would make of it.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "bee")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := f.Client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the caller names the URL
		}
		return nil, &brokenError{err}
	}
	web := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
	if (resp.StatusCode == http.StatusOK && !web) || (offset > 0 && resp.StatusCode == http.StatusPartialContent) {
		return resp, nil
	}
	resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return nil, errors.New("it answers with a web page (a network that wants a login?)")
	}
	return nil, &statusError{resp.StatusCode}
}

// statusError is an answer other than success.
type statusError struct{ code int }

func (e *statusError) Error() string {
	return fmt.Sprintf("HTTP status %d %s", e.code, http.StatusText(e.code))
}

// brokenError is a connection that failed, or an answer that broke off.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// mayPass tells failures that another try at the same source may cure.
func mayPass(err error) bool {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return false
	}
	var status *statusError
	if errors.As(err, &status) {
		return status.code >= 500 || status.code == http.StatusTooManyRequests ||
			status.code == http.StatusRequestTimeout || status.code == http.StatusRequestedRangeNotSatisfiable
	}
	var broken *brokenError
	return errors.As(err, &broken)
}

// unreachable tells failures that every file of a host would meet.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func backoff(try int) time.Duration { return 500 * time.Millisecond << min(try, 5) }

func (f *Fetcher) deadHost(host string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead[host]
}

func (f *Fetcher) setDead(host string, why error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead[host] = why
}

// escapePath escapes what may stand in a pool path and not in a URL: a version's '+'
// and '~' may stay, and mirrors want them so.
func escapePath(p string) string { return (&url.URL{Path: p}).EscapedPath() }
