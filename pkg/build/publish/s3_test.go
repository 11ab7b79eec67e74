package publish

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The examples of "Authenticating Requests: Using the Authorization Header" in
// Amazon's S3 API reference.
func TestSignV4(t *testing.T) {
	const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	s := S3{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Region: "us-east-1"}
	for name, c := range map[string]struct {
		method, address, sum string
		headers              map[string]string
		want                 string
	}{
		"get object": {http.MethodGet, "/test.txt", emptySum, map[string]string{"Range": "bytes=0-9"},
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		"put object": {http.MethodPut, "/test%24file.text", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			map[string]string{"Date": "Fri, 24 May 2013 00:00:00 GMT", "X-Amz-Storage-Class": "REDUCED_REDUNDANCY"},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		"get lifecycle": {http.MethodGet, "/?lifecycle", emptySum, nil,
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		"list objects": {http.MethodGet, "/?max-keys=2&prefix=J", emptySum, nil,
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		req, err := http.NewRequest(c.method, "https://examplebucket.s3.amazonaws.com"+c.address, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range c.headers {
			req.Header.Set(k, v)
		}
		req.Header.Set("X-Amz-Content-Sha256", c.sum)
		signV4(req, c.sum, s, "s3", now)
		if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+c.want) || !strings.HasPrefix(got, "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// fakeS3 takes what a bucket takes. It reads signatures from the bytes on the
// wire, with code of its own.
type fakeS3 struct {
	mu      sync.Mutex
	secret  string
	token   string
	objects map[string][]byte
	parts   map[string][]byte // by part number, of the one upload
	begun   int
	given   int // uploads that were given up
	asked   int
	fail    func(w http.ResponseWriter, r *http.Request, asked int) bool
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if f.fail != nil && f.fail(w, r, f.asked) {
		return
	}
	if why := f.refuses(r, body); why != "" {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message></Error>", why)
		return
	}
	q := r.URL.Query()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		f.begun++
		f.parts = make(map[string][]byte)
		fmt.Fprint(w, `<?xml version="1.0"?><InitiateMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><UploadId>an/id+=&amp;</UploadId></InitiateMultipartUploadResult>`)
	case q.Has("uploadId") && q.Get("uploadId") != "an/id+=&":
		http.Error(w, "NoSuchUpload", http.StatusNotFound)
	case r.Method == http.MethodPut && q.Has("partNumber"):
		f.parts[q.Get("partNumber")] = body
		w.Header().Set("ETag", `"tag`+q.Get("partNumber")+`"`)
	case r.Method == http.MethodPost:
		f.complete(w, r.URL.Path, body)
	case r.Method == http.MethodDelete:
		f.given++
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		f.objects[r.URL.Path] = body
	}
}

func (f *fakeS3) complete(w io.Writer, path string, body []byte) {
	var c struct {
		Part []struct{ PartNumber, ETag string }
	}
	if err := xml.Unmarshal(body, &c); err != nil || len(c.Part) != len(f.parts) {
		fmt.Fprint(w, `<Error><Code>MalformedXML</Code></Error>`)
		return
	}
	var whole []byte
	for i, p := range c.Part {
		if p.PartNumber != fmt.Sprint(i+1) || p.ETag != `"tag`+p.PartNumber+`"` {
			fmt.Fprint(w, `<Error><Code>InvalidPart</Code></Error>`)
			return
		}
		whole = append(whole, f.parts[p.PartNumber]...)
	}
	f.objects[path] = whole
	fmt.Fprint(w, `<CompleteMultipartUploadResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>`)
}

// refuses says what is wrong with a request's signature.
func (f *fakeS3) refuses(r *http.Request, body []byte) string {
	auth := r.Header.Get("Authorization")
	field := func(name string) string {
		_, rest, _ := strings.Cut(auth, name+"=")
		value, _, _ := strings.Cut(rest, ",")
		return value
	}
	bodySum := sha256.Sum256(body)
	if r.Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(bodySum[:]) {
		return "the body has another digest"
	}
	if r.Header.Get("X-Amz-Security-Token") != f.token {
		return "the token is another"
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	pairs := strings.Split(query, "&")
	slices.Sort(pairs)
	text := r.Method + "\n" + path + "\n" + strings.Join(pairs, "&") + "\n"
	names := strings.Split(field("SignedHeaders"), ";")
	for _, must := range []string{"host", "x-amz-content-sha256", "x-amz-date"} {
		if !slices.Contains(names, must) {
			return must + " is not signed"
		}
	}
	for _, n := range names {
		v := r.Header.Get(n)
		if n == "host" {
			v = r.Host
		}
		text += n + ":" + v + "\n"
	}
	text += "\n" + strings.Join(names, ";") + "\n" + hex.EncodeToString(bodySum[:])
	scope := strings.SplitN(field("Credential"), "/", 2)[1]
	textSum := sha256.Sum256([]byte(text))
	key := []byte("AWS4" + f.secret)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+r.Header.Get("X-Amz-Date")+"\n"+scope+"\n"+hex.EncodeToString(textSum[:])) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	if field("Signature") != hex.EncodeToString(key) {
		return "the signature is another, of\n" + text
	}
	return ""
}

// newS3 starts a fake and opens a prefix in a bucket of it.
func newS3(t *testing.T) (*fakeS3, *s3Store) {
	t.Helper()
	f := &fakeS3{secret: "the secret", token: "a token", objects: make(map[string][]byte)}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	env := map[string]string{"BEE_PUBLISH": "s3://bucket/some prefix", "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "the secret", "AWS_SESSION_TOKEN": "a token",
		"AWS_DEFAULT_REGION": "eu-central-1", "AWS_ENDPOINT_URL": s.URL}
	c, err := FromEnv(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return f, openQuick(t, c).(*s3Store)
}

func TestS3(t *testing.T) {
	f, s := newS3(t)
	f.fail = func(w http.ResponseWriter, _ *http.Request, asked int) bool {
		if asked%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return asked%2 == 1
	}
	files := release(t)
	done, err := putAll(t.Context(), s, files, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range done {
		want, err := os.ReadFile(files[slices.IndexFunc(files, func(f File) bool { return f.Name == d.Name })].Path)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := f.objects["/bucket/some prefix/"+d.Name]; !ok || !bytes.Equal(got, want) || d.Address != "s3://bucket/some prefix/"+inOrder[i] {
			t.Errorf("%+v", d)
		}
	}
	if f.begun != 0 || f.asked != 12 {
		t.Errorf("%d uploads in parts, %d requests", f.begun, f.asked)
	}
	f.fail, f.asked, f.secret = nil, 0, "another secret"
	_, err = putAll(t.Context(), s, files[:1], io.Discard)
	if err == nil || !strings.Contains(err.Error(), "SignatureDoesNotMatch") || strings.Contains(err.Error(), "the secret") || f.asked != 1 {
		t.Errorf("asked %d times, %v", f.asked, err)
	}
}

func TestS3Parts(t *testing.T) {
	f, s := newS3(t)
	s.single, s.part = 100, 300
	text := make([]byte, 1000)
	if _, err := rand.Read(text); err != nil {
		t.Fatal(err)
	}
	file := File{Path: put(t, t.TempDir(), "x", text), Name: "big ü.iso", SHA256: sha256.Sum256(text)}
	failed := false
	f.fail = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Query().Get("partNumber") != "3" || failed {
			return false
		}
		failed = true
		w.WriteHeader(http.StatusInternalServerError)
		return true
	}
	if _, err := putAll(t.Context(), s, []File{file}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.objects["/bucket/some prefix/big ü.iso"], text) || len(f.parts) != 4 || !failed || f.given != 0 {
		t.Errorf("%d parts, %d given up", len(f.parts), f.given)
	}
	// A part that is refused, and parts that do not come together with status
	// 200: the upload is given up, and there is no object.
	for want, fail := range map[string]func(http.ResponseWriter, *http.Request, int) bool{
		"part 2": func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.URL.Query().Get("partNumber") == "2" {
				w.WriteHeader(http.StatusForbidden)
				return true
			}
			return false
		},
		"InternalError": func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodPost && r.URL.Query().Has("uploadId") {
				fmt.Fprint(w, `<Error><Code>InternalError</Code></Error>`)
				return true
			}
			return false
		},
	} {
		f.fail, f.given, f.objects = fail, 0, make(map[string][]byte)
		if _, err := putAll(t.Context(), s, []File{file}, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
		if f.given != 1 || len(f.objects) != 0 {
			t.Errorf("%s: %d given up, %d objects", want, f.given, len(f.objects))
		}
	}
}
