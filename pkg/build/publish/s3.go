package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Sizes in bytes. S3 takes 5 GiB in one PUT and 10,000 parts of at least 5 MiB
// (Amazon S3 User Guide, "Amazon S3 multipart upload limits").
const (
	singleMax = 64 << 20
	partSize  = 64 << 20
	maxParts  = 10_000
)

// bucketName is what S3 and those who are like it take for one.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// S3 is an account of an object store that speaks S3's protocol.
type S3 struct {
	AccessKey, SecretKey, SessionToken string
	Region                             string // default us-east-1
	Endpoint                           string // https://host; empty: Amazon's own for the region
}

// s3Store is a bucket and a prefix in it.
type s3Store struct {
	S3
	base   *url.URL // with the bucket, where it belongs into the path
	bucket string
	prefix string
	client *http.Client
	waits  []time.Duration
	now    func() time.Time
	single int64 // up to this size in one PUT
	part   int64
}

func newS3Store(u *url.URL, s S3) (*s3Store, error) {
	if !bucketName.MatchString(u.Host) || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("publish: %q is no bucket; write s3://bucket/prefix", u.Host)
	}
	if s.AccessKey == "" || s.SecretKey == "" {
		return nil, errors.New("publish: S3 needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if s.Region == "" {
		s.Region = "us-east-1"
	}
	base := &url.URL{Scheme: "https", Host: "s3." + s.Region + ".amazonaws.com", Path: "/" + u.Host}
	if s.Endpoint != "" {
		e, err := url.Parse(s.Endpoint)
		if err != nil || e.Host == "" || e.Scheme != "https" && e.Scheme != "http" || e.RawQuery != "" || e.User != nil {
			return nil, fmt.Errorf("publish: AWS_ENDPOINT_URL is %q; it must be https://host", s.Endpoint)
		}
		base = &url.URL{Scheme: e.Scheme, Host: e.Host, Path: path.Join("/", e.Path, u.Host)}
	} else if !strings.Contains(u.Host, ".") {
		// A dot would not fit Amazon's certificate; such a bucket stays in the path.
		base.Host, base.Path = u.Host+"."+base.Host, ""
	}
	// Nothing secret travels: requests are signed and the body's digest with
	// them. So an endpoint that says http:// itself is taken at its word.
	return &s3Store{S3: s, base: base, bucket: u.Host, prefix: u.Path, client: newClient(base.Scheme == "http"), waits: backoff, now: time.Now, single: singleMax, part: partSize}, nil
}

func (s *s3Store) where(name string) string {
	return "s3://" + s.bucket + path.Join("/", s.prefix, name)
}

// address is that of an object, with a query.
func (s *s3Store) address(name string, query url.Values) string {
	u := *s.base
	u.Path = path.Join("/", s.base.Path, s.prefix, name)
	u.RawPath = escape(u.Path)
	u.RawQuery = queryV4(query)
	return u.String()
}

func (s *s3Store) put(ctx context.Context, u upload) error {
	if u.size > s.single {
		return s.putParts(ctx, u)
	}
	_, _, err := do(ctx, s.client, s.waits, func() (*http.Request, error) {
		req, err := newPut(ctx, s.address(u.name, nil), u, 0, u.size)
		return s.signed(req, u.sum), err
	})
	return err
}

// signed signs a request. The server refuses a body with another digest.
func (s *s3Store) signed(req *http.Request, sum [32]byte) *http.Request {
	if req != nil {
		text := hex.EncodeToString(sum[:])
		req.Header.Set("X-Amz-Content-Sha256", text)
		signV4(req, text, s.S3, "s3", s.now())
	}
	return req
}

// call sends a small request.
func (s *s3Store) call(ctx context.Context, method, name string, query url.Values, body []byte) ([]byte, error) {
	_, answer, err := do(ctx, s.client, s.waits, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, method, s.address(name, query), bytes.NewReader(body))
		return s.signed(req, sha256.Sum256(body)), err
	})
	return answer, err
}

type completedPart struct {
	Number int    `xml:"PartNumber"`
	ETag   string `xml:"ETag"`
}

// putParts uploads in parts, so that a broken connection costs one of them. The
// object appears when all are there; parts of a failed upload are given up.
func (s *s3Store) putParts(ctx context.Context, u upload) (err error) {
	size := max(s.part, (u.size+maxParts-1)/maxParts)
	answer, err := s.call(ctx, http.MethodPost, u.name, url.Values{"uploads": {""}}, nil)
	if err != nil {
		return err
	}
	var begun struct {
		XMLName xml.Name `xml:"InitiateMultipartUploadResult"`
		ID      string   `xml:"UploadId"`
	}
	if err := xml.Unmarshal(answer, &begun); err != nil || begun.ID == "" {
		return fmt.Errorf("the server's answer is not S3's: %s", sayable(answer))
	}
	defer func() {
		if err != nil {
			// The upload is to end even where the caller's context has.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stallLimit)
			defer cancel()
			if _, e := s.call(ctx, http.MethodDelete, u.name, url.Values{"uploadId": {begun.ID}}, nil); e != nil {
				err = fmt.Errorf("%w (and the upload %s could not be given up: %w)", err, begun.ID, e)
			}
		}
	}()
	var parts []completedPart
	for from := int64(0); from < u.size; from += size {
		n := len(parts) + 1
		tag, err := s.putPart(ctx, u, begun.ID, n, from, min(size, u.size-from))
		if err != nil {
			return fmt.Errorf("part %d: %w", n, err)
		}
		parts = append(parts, completedPart{n, tag})
	}
	return s.complete(ctx, u.name, begun.ID, parts)
}

func (s *s3Store) putPart(ctx context.Context, u upload, id string, number int, from, size int64) (etag string, err error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, ctxReader{ctx, io.NewSectionReader(u.file, from, size)}); err != nil {
		return "", err
	}
	header, _, err := do(ctx, s.client, s.waits, func() (*http.Request, error) {
		req, err := newPut(ctx, s.address(u.name, url.Values{"partNumber": {strconv.Itoa(number)}, "uploadId": {id}}), u, from, size)
		return s.signed(req, [32]byte(sum.Sum(nil))), err
	})
	if err != nil {
		return "", err
	}
	if etag = header.Get("ETag"); etag == "" {
		return "", errors.New("the server gave no ETag")
	}
	return etag, nil
}

// complete puts the parts together. S3 may answer 200 and then say in the body
// that it failed ("CompleteMultipartUpload" in the API reference).
func (s *s3Store) complete(ctx context.Context, name, id string, parts []completedPart) error {
	body, err := xml.Marshal(struct {
		XMLName xml.Name        `xml:"CompleteMultipartUpload"`
		Part    []completedPart `xml:"Part"`
	}{Part: parts})
	if err != nil {
		return err
	}
	answer, err := s.call(ctx, http.MethodPost, name, url.Values{"uploadId": {id}}, body)
	if err != nil {
		return err
	}
	var done struct {
		XMLName xml.Name `xml:"CompleteMultipartUploadResult"`
	}
	if err := xml.Unmarshal(answer, &done); err != nil {
		return fmt.Errorf("the server did not put the parts together: %s", sayable(answer))
	}
	return nil
}
