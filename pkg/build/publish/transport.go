package publish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// stallLimit is how long a connection may stand still.
const stallLimit = time.Minute

// backoff is how long is waited before each further try.
var backoff = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// errPlain refuses to send without TLS.
var errPlain = errors.New("the address is plain HTTP and not this machine; everybody on the way can read and change what is sent. Use https://, or set BEE_PUBLISH_PLAIN_HTTP=1")

// newClient makes a client for uploads. It follows no redirect: one of the usual
// kinds turns a PUT into a GET, whose success would look like ours.
func newClient(plain bool) *http.Client {
	return &http.Client{
		Transport:     newTransport(plain),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// newTransport gives up on a peer that stands still, sets no bound for a whole
// upload, and without plain speaks TLS to everybody but this machine.
func newTransport(plain bool) http.RoundTripper {
	return &guard{plain: plain, stall: stallLimit, next: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * stallLimit, // a store hashes what it got before it answers
		ExpectContinueTimeout: 2 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		ForceAttemptHTTP2:     true,
	}}
}

// guard is a transport.
type guard struct {
	next  http.RoundTripper
	plain bool
	stall time.Duration
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.plain && !isLoopback(req.URL.Hostname()) {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errPlain
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	out := req.WithContext(ctx)
	watch := &watch{cancel: cancel, limit: g.stall}
	if req.Body != nil && req.Body != http.NoBody {
		watch.start()
		out.Body = &watched{req.Body, watch}
	}
	resp, err := g.next.RoundTrip(out)
	watch.stop()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && req.Context().Err() == nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &ending{resp.Body, cancel}
	return resp, nil
}

// watch cancels a request whose body nobody reads.
type watch struct {
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

func (w *watch) start() {
	w.timer = time.AfterFunc(w.limit, func() { w.cancel(fmt.Errorf("nothing was sent for %v", w.limit)) })
}

func (w *watch) stop() {
	if w.timer != nil {
		w.timer.Stop()
	}
}

// watched is a request's body. At its end the watch stops: from there on the
// transport waits for the answer, with a limit of its own.
type watched struct {
	io.ReadCloser
	w *watch
}

func (r *watched) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if err != nil {
		r.w.stop()
	} else {
		r.w.timer.Reset(r.w.limit)
	}
	return n, err
}

// ending is a response's body; the request's context ends with it.
type ending struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (e *ending) Close() error {
	err := e.ReadCloser.Close()
	e.cancel(nil)
	return err
}

// isLoopback says whether a host is this machine by its name alone (RFC 6761,
// section 6.3, for localhost).
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// statusError is an answer that is no success.
type statusError struct {
	status int
	text   string // what the server said
	hint   string // what to do
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("the server answered %d %s", e.status, http.StatusText(e.status))
	if e.text != "" {
		s += ": " + e.text
	}
	if e.hint != "" {
		s += "; " + e.hint
	}
	return s
}

// passing says whether the same request may succeed later (RFC 9110, section
// 15; RFC 6585 for 429).
func (e *statusError) passing() bool {
	return e.status >= 500 && e.status != http.StatusNotImplemented || e.status == http.StatusRequestTimeout || e.status == http.StatusTooManyRequests
}

// do sends what build makes until it succeeds, with a new request for each try,
// and returns the answer's header and the begin of its body.
func do(ctx context.Context, c *http.Client, waits []time.Duration, build func() (*http.Request, error)) (http.Header, []byte, error) {
	for try := 0; ; try++ {
		header, body, err := once(c, build)
		if err == nil || ctx.Err() != nil || !passing(err) || try == len(waits) {
			if err != nil && try > 0 {
				err = fmt.Errorf("%w (tried %d times)", err, try+1)
			}
			return header, body, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(waits[try]):
		}
	}
}

// passing says whether another try has a chance: not after a refusal by either
// side, and not where the other side is not who it should be.
func passing(err error) bool {
	var status *statusError
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &status):
		return status.passing()
	case errors.Is(err, errPlain), errors.Is(err, errLocal), errors.As(err, &cert):
		return false
	}
	return true
}

// errLocal is wrapped by errors that happened before anything was sent.
var errLocal = errors.New("prepare request")

func once(c *http.Client, build func() (*http.Request, error)) (http.Header, []byte, error) {
	req, err := build()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errLocal, err)
	}
	resp, err := c.Do(req)
	if e := (*url.Error)(nil); errors.As(err, &e) {
		err = fmt.Errorf("%s %s: %w", e.Op, req.URL.Host, e.Err) // the whole address may hold a secret, as webhooks' do
	}
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode/100 != 2 {
		return resp.Header, body, &statusError{status: resp.StatusCode, text: sayable(body), hint: hint(resp)}
	}
	return resp.Header, body, err
}

// hint says what to do about a status.
func hint(resp *http.Response) string {
	switch {
	case resp.StatusCode/100 == 3:
		return "it wants another address: " + resp.Header.Get("Location") + "; name that one, redirects are not followed"
	case resp.StatusCode == http.StatusUnauthorized:
		return "it wants other credentials"
	case resp.StatusCode == http.StatusForbidden:
		return "these credentials may not write there"
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusConflict:
		return "is there such a folder or bucket?"
	case resp.StatusCode == http.StatusMethodNotAllowed:
		return "it takes no PUT there"
	case resp.StatusCode == http.StatusRequestEntityTooLarge, resp.StatusCode == http.StatusInsufficientStorage:
		return "the file is too large for it"
	}
	return ""
}

// sayable is the begin of a server's words, on one line.
func sayable(body []byte) string {
	text := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return ' '
		}
		return r
	}, string(body[:min(len(body), 300)]))), " ")
	return text
}
