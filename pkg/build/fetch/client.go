package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// newClient returns a client that gives up on a peer which does not answer, but
// sets no bound for a whole download: stallReader watches that.
func newClient() *http.Client {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   Parallel,
		ForceAttemptHTTP2:     true,
	}
	t.RegisterProtocol("file", http.NewFileTransport(http.Dir("/")))
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}
}

// checkRedirect follows as far as mirrors need and never from the network to a
// local file.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" {
		return fmt.Errorf("refused a redirect to a %s: URL", req.URL.Scheme)
	}
	return nil
}

// stallReader cancels a request whose body stands still.
type stallReader struct {
	r      io.Reader
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer
}

func (s *stallReader) start() {
	s.timer = time.AfterFunc(s.limit, func() {
		s.cancel(&brokenError{fmt.Errorf("no data for %v", s.limit)})
	})
}

func (s *stallReader) stop() { s.timer.Stop() }

func (s *stallReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > 0 {
		s.timer.Reset(s.limit)
	}
	return n, err
}
