package publish

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var quick = []time.Duration{time.Millisecond, time.Millisecond}

// release is a set of files, in no order.
func release(t *testing.T) []File {
	t.Helper()
	dir := t.TempDir()
	var files []File
	for i, name := range []string{"iso/amd64/SHA256SUMS.sigstore.json", "iso/amd64/SHA256SUMS", "iso/amd64/build-manifest.json", "iso/amd64/bee.iso", "iso/amd64/a b+ü.txt", "empty"} {
		text := []byte(strings.Repeat(name, 1000))
		if name == "empty" {
			text = nil
		}
		files = append(files, File{Path: put(t, dir, fmt.Sprint(i), text), Name: name, Variant: "iso", Arch: "amd64", SHA256: sha256.Sum256(text)})
	}
	return files
}

var inOrder = []string{"empty", "iso/amd64/a b+ü.txt", "iso/amd64/bee.iso", "iso/amd64/build-manifest.json", "iso/amd64/SHA256SUMS", "iso/amd64/SHA256SUMS.sigstore.json"}

func TestDir(t *testing.T) {
	files := release(t)
	dir := filepath.Join(t.TempDir(), "deep", "er")
	for _, target := range []string{dir, "file://" + dir} {
		var said strings.Builder
		r, err := Config{Target: target, Progress: &said}.Run(t.Context(), Release{Files: files})
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, f := range r.Files {
			text, err := os.ReadFile(filepath.Join(dir, f.Name))
			if sum := sha256.Sum256(text); err != nil || hex.EncodeToString(sum[:]) != f.SHA256 || f.Size != int64(len(text)) || f.Address != filepath.Join(dir, f.Name) {
				t.Errorf("%+v, %v", f, err)
			}
			order = append(order, f.Name)
		}
		if !slices.Equal(order, inOrder) || !strings.Contains(said.String(), "publish: 3/6 iso/amd64/bee.iso") {
			t.Errorf("%q\n%s", order, said.String())
		}
	}
	// What is not as the manifest says, and what was interrupted, leaves nothing.
	bad := slices.Clone(files)
	bad[3].SHA256[0]++
	dir = t.TempDir()
	if _, err := (Config{Target: dir}).Run(t.Context(), Release{Files: bad}); err == nil || !strings.Contains(err.Error(), "the manifest says") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "iso/amd64/SHA256SUMS")); err == nil {
		t.Error("the sums are there, what they are of is not")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	dir = t.TempDir()
	if _, err := (Config{Target: dir}).Run(ctx, Release{Files: files[:1]}); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	for _, name := range []string{"../x", "/x", "", ".", "a\nb", `a\b`} {
		if _, err := putAll(t.Context(), dirStore(dir), []File{{Name: name}}, io.Discard); err == nil || !strings.Contains(err.Error(), "cannot be the name") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := putAll(t.Context(), dirStore(dir), []File{{Name: "x"}, {Name: "x"}}, io.Discard); err == nil {
		t.Error("two files of one name are taken")
	}
}

// server is an HTTP server that takes files.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	tries map[string]int
	files map[string]string
	order []string
	fail  func(w http.ResponseWriter, r *http.Request, try int) bool // answers, and says so
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{tries: make(map[string]int), files: make(map[string]string), fail: func(http.ResponseWriter, *http.Request, int) bool { return false }}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries[r.URL.Path]++
	if s.fail(w, r, s.tries[r.URL.Path]) {
		return
	}
	text, err := io.ReadAll(r.Body)
	sum := sha256.Sum256(text)
	if err != nil || r.Method != http.MethodPut || r.Header.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	s.files[r.URL.Path] = string(text)
	s.order = append(s.order, r.URL.Path)
	w.WriteHeader(http.StatusCreated)
}

func openQuick(t *testing.T, c Config) store {
	t.Helper()
	s, err := c.store()
	if err != nil {
		t.Fatal(err)
	}
	switch s := s.(type) {
	case *httpStore:
		s.waits = quick
	case *s3Store:
		s.waits = quick
	}
	return s
}

func TestHTTP(t *testing.T) {
	files := release(t)
	for name, auth := range map[string]Auth{"token": {Token: "secret-token"}, "user": {User: "u", Password: "secret-password"}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.fail = func(w http.ResponseWriter, r *http.Request, try int) bool {
				user, password, _ := r.BasicAuth()
				if user != auth.User || password != auth.Password || auth.Token != "" && r.Header.Get("Authorization") != "Bearer "+auth.Token {
					w.WriteHeader(http.StatusUnauthorized)
					return true
				}
				if try == 1 {
					http.Error(w, "one moment", http.StatusInternalServerError)
				}
				return try == 1
			}
			done, err := putAll(t.Context(), openQuick(t, Config{Target: s.URL + "/up/", Auth: auth}), files, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if len(done) != len(files) || done[2].Address != s.URL+"/up/iso/amd64/bee.iso" {
				t.Errorf("%+v", done)
			}
			for i, name := range inOrder {
				if s.order[i] != "/up/"+name || s.tries["/up/"+name] != 2 {
					t.Errorf("%d: %s came, tried %d times", i, s.order[i], s.tries["/up/"+name])
				}
			}
			if s.files["/up/iso/amd64/bee.iso"] != strings.Repeat("iso/amd64/bee.iso", 1000) {
				t.Error("other bytes arrived")
			}
		})
	}
}

func TestHTTPRefuses(t *testing.T) {
	files := release(t)[:1]
	for _, c := range []struct {
		status, tries int
		want          string
	}{
		{http.StatusUnauthorized, 1, "other credentials"},
		{http.StatusForbidden, 1, "may not write"},
		{http.StatusNotFound, 1, "404"},
		{http.StatusMethodNotAllowed, 1, "no PUT"},
		{http.StatusFound, 1, "redirects are not followed"},
		{http.StatusTooManyRequests, 3, "tried 3 times"},
		{http.StatusBadGateway, 3, "tried 3 times"},
	} {
		s := newServer(t)
		s.fail = func(w http.ResponseWriter, r *http.Request, try int) bool {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(c.status)
			fmt.Fprintln(w, "these\x1b[31m are words")
			return true
		}
		_, err := putAll(t.Context(), openQuick(t, Config{Target: s.URL, Auth: Auth{Token: "secret-token"}}), files, io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "[31m are words") || strings.Contains(err.Error(), "\x1b") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%d: %v", c.status, err)
		}
		if got := s.tries["/iso/amd64/SHA256SUMS.sigstore.json"]; got != c.tries || len(s.tries) != 1 {
			t.Errorf("%d: asked %v", c.status, s.tries)
		}
	}
	s := newServer(t)
	address := s.URL
	s.Close()
	if _, err := putAll(t.Context(), openQuick(t, Config{Target: address}), files, io.Discard); err == nil || !strings.Contains(err.Error(), "tried 3 times") {
		t.Error(err)
	}
	tls := httptest.NewTLSServer(s)
	defer tls.Close()
	if _, err := putAll(t.Context(), openQuick(t, Config{Target: tls.URL}), files, io.Discard); err == nil || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "tried") {
		t.Errorf("a server that nobody knows: %v", err)
	}
}

// endless is a body that fills every buffer on the way.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// A server that stops reading is given up.
func TestStall(t *testing.T) {
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-hang }))
	defer s.Close()
	defer close(hang)
	g := newTransport(true).(*guard)
	g.stall = 50 * time.Millisecond
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL, endless{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.RoundTrip(req); err == nil || !strings.Contains(err.Error(), "nothing was sent for") {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	for want, env := range map[string]map[string]string{
		"nothing says where to": {},
		"is not known":          {"BEE_PUBLISH": "ftp://x/y"},
		"process list":          {"BEE_PUBLISH": "https://u:secret@example.org/x"},
		"which one":             {"BEE_PUBLISH": "https://example.org/x", "BEE_PUBLISH_TOKEN": "a", "BEE_PUBLISH_USER": "b"},
		"belong together":       {"BEE_PUBLISH": "https://example.org/x", "BEE_PUBLISH_USER": "b"},
		"plain HTTP":            {"BEE_PUBLISH": "http://example.org/x"},
		"no folder of an HTTP":  {"BEE_PUBLISH": "https:///x"},
		"no folder of this":     {"BEE_PUBLISH": "file://other/x"},
		"AWS_ACCESS_KEY_ID":     {"BEE_PUBLISH": "s3://bucket/x"},
		"is no bucket":          {"BEE_PUBLISH": "s3://B/x"},
		"AWS_ENDPOINT_URL":      {"BEE_PUBLISH": "s3://bucket/x", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "minio:9000"},
		"repository:tag":        {"BEE_PUBLISH_OCI": "bee"},
		"must be 1 or 0":        {"BEE_PUBLISH": "/x", "BEE_PUBLISH_PLAIN_HTTP": "yes"},
		"openssl rand":          {"BEE_PUBLISH": "/x", "BEE_WEBHOOK_URL": "https://example.org/x", "BEE_WEBHOOK_SECRET": "short"},
		"BEE_WEBHOOK_URL is no": {"BEE_PUBLISH": "/x", "BEE_WEBHOOK_URL": "example.org"},
	} {
		c, err := FromEnv(func(name string) string { return env[name] })
		if err == nil {
			err = c.Check()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	for _, target := range []string{"/x", "./x", "file:///x", "https://example.org", "http://localhost:1/x", "http://[::1]/x", "http://127.0.0.9/x"} {
		if err := (Config{Target: target}).Check(); err != nil {
			t.Error(err)
		}
	}
	if _, err := (Config{OCI: "localhost:1/a:b"}).Run(t.Context(), Release{}); err == nil || !strings.Contains(err.Error(), "no OCI image was built") {
		t.Error(err)
	}
}

// The signature is what `openssl dgst -sha256 -hmac` says of the timestamp, a
// full stop and the body.
func TestSignature(t *testing.T) {
	const want = "sha256=82c345c7e82436493b52fa448551b16ada892c11953a396941cc67834ba4fe78"
	if got := Signature("It's a Secret to Everybody", "1700000000", []byte(`{"schema":"bee-publish/1"}`)); got != want {
		t.Error(got)
	}
}

func TestWebhook(t *testing.T) {
	const secret = "a secret of enough bytes"
	var got []http.Header
	var body []byte
	status := []int{500, 200}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, body = append(got, r.Header), text
		w.WriteHeader(status[min(len(got), len(status))-1])
		fmt.Fprint(w, "I was told ", secret)
	}))
	defer s.Close()
	clock := time.Unix(1_700_000_000, 0)
	c := Config{Target: t.TempDir(), Webhook: Webhook{URL: s.URL + "/hook?token=in-the-address", Secret: secret, client: s.Client(), waits: quick,
		now: func() time.Time { clock = clock.Add(time.Second); return clock }}}
	r, err := c.Run(t.Context(), Release{Version: "0.1.0", Commit: "abc", Files: release(t)})
	if err != nil || len(got) != 2 {
		t.Fatal(err, len(got))
	}
	h := got[1]
	if err := VerifyWebhook(secret, h, body, clock, time.Minute); err != nil {
		t.Error(err)
	}
	if h.Get(HeaderEvent) != "publish" || h.Get(HeaderDelivery) == "" || h.Get(HeaderDelivery) != got[0].Get(HeaderDelivery) || h.Get(HeaderTimestamp) == got[0].Get(HeaderTimestamp) || h.Get("Content-Type") != "application/json" {
		t.Errorf("%v", h)
	}
	for want, check := range map[string]func() error{
		"old":          func() error { return VerifyWebhook(secret, h, body, clock.Add(time.Hour), time.Minute) },
		"does not fit": func() error { return VerifyWebhook("another secret here", h, body, clock, time.Minute) },
		"not fit":      func() error { return VerifyWebhook(secret, h, append(slices.Clone(body), ' '), clock, time.Minute) },
		"fit": func() error {
			later := h.Clone()
			later.Set(HeaderTimestamp, "1700000009")
			return VerifyWebhook(secret, later, body, clock, time.Minute)
		},
	} {
		if err := check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		t.Fatal(err)
	}
	if e.Schema != EventSchema || e.Version != "0.1.0" || e.Commit != "abc" || !slices.Equal(e.Variants, []string{"iso"}) || !slices.Equal(e.Arches, []string{"amd64"}) || !slices.Equal(e.Outputs, r.Files) {
		t.Errorf("%+v", e)
	}
	got, status = nil, []int{403}
	r, err = c.Run(t.Context(), Release{Files: release(t)})
	if !errors.Is(err, ErrWebhook) || r == nil || len(r.Files) != 6 || len(got) != 1 || !strings.Contains(err.Error(), "everything is published") ||
		strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "in-the-address") {
		t.Errorf("%v, asked %d times", err, len(got))
	}
	s.Close()
	if _, err = c.Run(t.Context(), Release{Files: release(t)}); !errors.Is(err, ErrWebhook) || strings.Contains(err.Error(), "in-the-address") {
		t.Error(err)
	}
}

func TestWhere(t *testing.T) {
	s3 := S3{AccessKey: "a", SecretKey: "b", Region: "eu-central-1"}
	own := s3
	own.Endpoint = "http://10.0.0.1:9000/base"
	for _, c := range []struct {
		target, want string
		s3           S3
	}{
		{"s3://bucket/a/b", "https://bucket.s3.eu-central-1.amazonaws.com/a/b/x%20%2B%C3%BC", s3},
		{"s3://buck.et", "https://s3.eu-central-1.amazonaws.com/buck.et/x%20%2B%C3%BC", s3},
		{"s3://bucket/a", "http://10.0.0.1:9000/base/bucket/a/x%20%2B%C3%BC", own},
	} {
		u, err := url.Parse(c.target)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newS3Store(u, c.s3)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.address("x +ü", nil); got != c.want {
			t.Errorf("%s: %s", c.target, got)
		}
	}
}
