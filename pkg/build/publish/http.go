package publish

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// httpStore takes files by PUT (RFC 9110, section 9.3.4), as WebDAV servers,
// Artifactory, Nexus, Gitea's and GitLab's package registries do.
type httpStore struct {
	base   *url.URL
	auth   Auth
	client *http.Client
	waits  []time.Duration
}

func newHTTPStore(u *url.URL, a Auth, plain bool) (*httpStore, error) {
	switch {
	case u.Host == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("publish: %s://%s%s is no folder of an HTTP server", u.Scheme, u.Host, u.Path)
	case u.User != nil:
		return nil, errors.New("publish: credentials do not belong into BEE_PUBLISH, where every process list shows them; use BEE_PUBLISH_USER and BEE_PUBLISH_PASSWORD, or BEE_PUBLISH_TOKEN")
	case a.Token != "" && (a.User != "" || a.Password != ""):
		return nil, errors.New("publish: BEE_PUBLISH_TOKEN and BEE_PUBLISH_USER are both set; which one?")
	case (a.User == "") != (a.Password == ""):
		return nil, errors.New("publish: BEE_PUBLISH_USER and BEE_PUBLISH_PASSWORD belong together")
	case u.Scheme == "http" && !plain && !isLoopback(u.Hostname()):
		return nil, fmt.Errorf("publish: %w", errPlain)
	}
	return &httpStore{u, a, newClient(plain), backoff}, nil
}

func (s *httpStore) where(name string) string {
	u := *s.base
	u.Path = path.Join("/", s.base.Path, name)
	u.RawPath = escape(u.Path)
	return u.String()
}

func (s *httpStore) put(ctx context.Context, u upload) error {
	_, _, err := do(ctx, s.client, s.waits, func() (*http.Request, error) {
		req, err := newPut(ctx, s.where(u.name), u, 0, u.size)
		if err != nil {
			return nil, err
		}
		// RFC 9530: a server that knows it compares.
		req.Header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(u.sum[:])+":")
		switch {
		case s.auth.Token != "":
			req.Header.Set("Authorization", "Bearer "+s.auth.Token)
		case s.auth.User != "":
			req.SetBasicAuth(s.auth.User, s.auth.Password)
		}
		return req, nil
	})
	return err
}

// newPut is a PUT of a part of the file.
func newPut(ctx context.Context, address string, u upload, from, size int64) (*http.Request, error) {
	body := func() (io.ReadCloser, error) { return io.NopCloser(u.section(from, size)), nil }
	if size == 0 {
		body = func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	b, err := body()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, b)
	if err != nil {
		return nil, err
	}
	req.ContentLength, req.GetBody = size, body
	req.Header.Set("Content-Type", "application/octet-stream")
	if size > 1<<20 {
		req.Header.Set("Expect", "100-continue") // a refusal comes before the bytes go
	}
	return req, nil
}

// escape writes a path with everything but RFC 3986's unreserved characters and
// slashes as %XX, as S3 wants it and everybody takes it.
func escape(p string) string {
	var b strings.Builder
	for _, c := range []byte(p) {
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
