package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bee-os/bee/pkg/build/lock"
)

// mirror is a server whose files can be spoilt.
type mirror struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	asked  []string // "path range"
	spoil  func(w http.ResponseWriter, r *http.Request, text []byte) (handled bool)
	active atomic.Int32
	most   atomic.Int32
}

func newMirror(t *testing.T) *mirror {
	t.Helper()
	m := &mirror{files: map[string][]byte{}}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := m.active.Add(1)
		defer m.active.Add(-1)
		for most := m.most.Load(); n > most && !m.most.CompareAndSwap(most, n); most = m.most.Load() {
		}
		m.mu.Lock()
		text, ok := m.files[r.URL.Path]
		m.asked = append(m.asked, r.URL.Path+" "+r.Header.Get("Range"))
		spoil := m.spoil
		m.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		if spoil != nil && spoil(w, r, text) {
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	}))
	t.Cleanup(m.Close)
	return m
}

// put adds a file to the mirror and returns what asks for it.
func (m *mirror) put(name string, text []byte) Blob {
	sum := sha256.Sum256(text)
	m.files["/debian/pool/"+name] = text
	return Blob{Name: name, Suite: lock.Suite{Name: "trixie", Archive: "debian"}, Path: "pool/" + name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}
}

func newFetcher(t *testing.T, mirrors ...string) *Fetcher {
	t.Helper()
	l := &lock.File{Archives: []lock.Archive{{Name: "debian", Mirrors: mirrors}}, Suites: []lock.Suite{{Name: "trixie", Archive: "debian"}}}
	t.Setenv("BEE_CACHE", t.TempDir())
	t.Setenv("BEE_MIRROR", "")
	f, err := New(l, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Host = nil
	f.Sleep = func(context.Context, time.Duration) error { return nil }
	f.Stall = 5 * time.Second
	return f
}

func get(f *Fetcher, blobs ...Blob) (map[string]string, error) {
	return f.Blobs(context.Background(), blobs)
}

// left is what lies in the cache.
func left(t *testing.T, f *Fetcher) []string {
	t.Helper()
	entries, err := os.ReadDir(f.blobDir())
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestFetchOnceAndFromTheCache(t *testing.T) {
	m := newMirror(t)
	var blobs []Blob
	for i := range 12 {
		blobs = append(blobs, m.put(fmt.Sprintf("p%d.deb", i), bytes.Repeat([]byte{byte(i)}, 100_000+i)))
	}
	f := newFetcher(t, m.URL+"/debian")
	for range 2 {
		paths, err := get(f, blobs...)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range blobs {
			if text, err := os.ReadFile(paths[b.SHA256]); err != nil || !bytes.Equal(text, m.files["/debian/"+b.Path]) {
				t.Errorf("%s: %v", b.Name, err)
			}
		}
	}
	if len(m.asked) != len(blobs) {
		t.Errorf("asked %d times for %d files", len(m.asked), len(blobs))
	}
	if m.most.Load() > Parallel {
		t.Errorf("%d downloads at once", m.most.Load())
	}
}

func TestCacheIsHashedAgain(t *testing.T) {
	m := newMirror(t)
	b := m.put("p.deb", []byte("right"))
	f := newFetcher(t, m.URL+"/debian")
	paths, err := get(f, b)
	if err != nil {
		t.Fatal(err)
	}
	path := paths[b.SHA256]
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("wrong"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := get(f, b); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); string(text) != "right" || err != nil || len(m.asked) != 2 {
		t.Errorf("%q, %v, asked %d times", text, err, len(m.asked))
	}
}

func TestMismatchShowsBothDigestsAndLeavesNothing(t *testing.T) {
	m := newMirror(t)
	b := m.put("p.deb", []byte("what the lock names"))
	m.files["/debian/pool/p.deb"] = []byte("what the mirror has")
	f := newFetcher(t, m.URL+"/debian")
	_, err := get(f, b)
	var mismatch *MismatchError
	if !errors.As(err, &mismatch) {
		t.Fatalf("err = %v", err)
	}
	got := sha256.Sum256([]byte("what the mirror has"))
	for _, want := range []string{"p.deb", b.SHA256, hex.EncodeToString(got[:])} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
	if names := left(t, f); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestInterruptedDownloadIsResumed(t *testing.T) {
	m := newMirror(t)
	text := bytes.Repeat([]byte("0123456789"), 50_000)
	b := m.put("p.deb", text)
	var cut atomic.Bool
	m.spoil = func(w http.ResponseWriter, r *http.Request, text []byte) bool {
		if !cut.CompareAndSwap(false, true) {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		w.Write(text[:200_000])
		panic(http.ErrAbortHandler)
	}
	f := newFetcher(t, m.URL+"/debian")
	if _, err := get(f, b); err != nil {
		t.Fatal(err)
	}
	if len(m.asked) != 2 || !strings.Contains(m.asked[1], "bytes=") {
		t.Errorf("asked %q", m.asked)
	}
}

func TestServerThatFailsAWhileIsAskedAgain(t *testing.T) {
	m := newMirror(t)
	b := m.put("p.deb", []byte("text"))
	var n atomic.Int32
	m.spoil = func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		if n.Add(1) > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	if _, err := get(newFetcher(t, m.URL+"/debian"), b); err != nil {
		t.Fatal(err)
	}
}

// TestSourcesInOrder: the first that has it gives it, one that has not or is
// gone is passed over.
func TestSourcesInOrder(t *testing.T) {
	empty, full := newMirror(t), newMirror(t)
	b := full.put("p.deb", []byte("text"))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	f := newFetcher(t, full.URL+"/debian")
	f.Host = map[string][]string{"debian": {gone.URL + "/debian"}}
	f.Mirror = empty.URL + "/debian"
	if _, err := get(f, b); err != nil {
		t.Fatal(err)
	}
	if len(empty.asked) != 1 || len(full.asked) != 1 {
		t.Errorf("asked %q and %q", empty.asked, full.asked)
	}
}

func TestNobodyHasItNamesTheRemedy(t *testing.T) {
	m := newMirror(t)
	b := m.put("p.deb", []byte("text"))
	delete(m.files, "/debian/pool/p.deb")
	_, err := get(newFetcher(t, m.URL+"/debian"), b)
	if err == nil || !strings.Contains(err.Error(), "p.deb") || !strings.Contains(err.Error(), "mage lock") {
		t.Errorf("err = %v, want one that names the file and `go tool mage lock`", err)
	}
}

func TestShortBodyIsNoSuccess(t *testing.T) {
	m := newMirror(t)
	b := m.put("p.deb", []byte("the whole text"))
	m.spoil = func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		w.Write([]byte("the"))
		return true
	}
	f := newFetcher(t, m.URL+"/debian")
	if _, err := get(f, b); err == nil {
		t.Fatal("a truncated download was taken")
	}
	if _, err := os.Stat(f.blobPath(b.SHA256)); err == nil {
		t.Error("it is in the cache")
	}
}

func TestHostMirrors(t *testing.T) {
	got, err := HostMirrors(fstest.MapFS{
		"etc/apt/sources.list": {Data: []byte("# deb http://no/debian x main\ndeb [arch=amd64] http://one/debian trixie main\ndeb-src http://src/debian trixie main\n")},
		"etc/apt/sources.list.d/debian.sources": {Data: []byte("Types: deb\nURIs: http://two/debian\nSuites: trixie\nComponents: main\n\n" +
			"Types: deb\nURIs: http://two/debian-security\nSuites: trixie-security\nComponents: main\n")},
		"etc/apt/sources.list.d/other.list": {Data: []byte("deb https://ppa/ubuntu noble main\n")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := got["debian"]; len(d) != 2 || !strings.Contains(strings.Join(d, " "), "two/debian") || len(got["debian-security"]) == 0 || got["debian-security"][0] != "http://two/debian-security" || strings.Contains(fmt.Sprint(got), "no/debian") || strings.Contains(fmt.Sprint(got), "src/") {
		t.Errorf("%v", got)
	}
	if got, err := HostMirrors(fstest.MapFS{}); len(got) != 0 || err != nil {
		t.Errorf("a host without apt: %v, %v", got, err)
	}
}

func TestMirrorBase(t *testing.T) {
	for in, want := range map[string]string{
		"http://host/debian": "http://host/debian-security", "http://host/debian/": "http://host/debian-security",
		"http://host/all": "http://host/all/debian-security", "/srv/mirror": "file:///srv/mirror/debian-security",
	} {
		if got, err := mirrorBase(in, "debian-security"); got != want || err != nil {
			t.Errorf("mirrorBase(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"host", "ftp://host/debian", "http://"} {
		if _, err := mirrorBase(bad, "debian"); err == nil || !strings.Contains(err.Error(), "BEE_MIRROR") {
			t.Errorf("mirrorBase(%q) = %v", bad, err)
		}
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("BEE_CACHE", "/c")
	if got, err := CacheDir(); got != "/c" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	t.Setenv("BEE_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/x")
	if got, err := CacheDir(); got != filepath.Join("/x", "bee") || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzParseSources(f *testing.F) {
	f.Add("a.list", "deb http://x/debian y z\n")
	f.Add("a.sources", "Types: deb\nURIs: http://x\n")
	f.Fuzz(func(t *testing.T, name, text string) { parseSources(name, text) })
}

// An entry that stayed while its suite moved on is looked for in the dated
// archive as of its own date (a day later, so that it is there).
func TestDateOfAnEntryThatStayed(t *testing.T) {
	stayed := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	l := &lock.File{
		Archives: []lock.Archive{{Name: "debian", Snapshot: "http://snapshot.example"}},
		Suites:   []lock.Suite{{Name: "trixie", Archive: "debian", Date: stayed.AddDate(0, 6, 0)}},
	}
	f := &Fetcher{lock: l}
	for date, want := range map[time.Time]string{stayed: "20260103", {}: "20260703"} {
		b, err := f.Blob(lock.Entry{Name: "kernel", Suite: "trixie", Date: date})
		if err != nil {
			t.Fatal(err)
		}
		list, err := f.sources(b)
		if err != nil || len(list) != 1 || !strings.Contains(list[0].base, want) {
			t.Errorf("%v, %v, want %s", list, err, want)
		}
	}
}
