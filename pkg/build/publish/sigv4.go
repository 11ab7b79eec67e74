package publish

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// AWS Signature Version 4, in the form for S3: the path is escaped once, and
// every header of the request is signed
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
// The scheme is fixed since 2012, and a hundred lines here are a smaller thing
// to keep than a client library.

const (
	algorithmV4 = "AWS4-HMAC-SHA256"
	timeV4      = "20060102T150405Z"
)

// signV4 adds the Authorization header to a request whose headers are complete
// and whose X-Amz-Content-Sha256, if it must have one, is set. bodySum is the
// hex SHA-256 of the body.
func signV4(req *http.Request, bodySum string, s S3, service string, now time.Time) {
	date := now.UTC().Format(timeV4)
	req.Header.Set("X-Amz-Date", date)
	if s.SessionToken != "" {
		req.Header.Set("X-Amz-Security-Token", s.SessionToken)
	}
	signed, canonical := canonicalV4(req, bodySum)
	scope := strings.Join([]string{date[:8], s.Region, service, "aws4_request"}, "/")
	sum := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{algorithmV4, date, scope, hex.EncodeToString(sum[:])}, "\n")
	key := []byte("AWS4" + s.SecretKey)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	req.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s,SignedHeaders=%s,Signature=%x", algorithmV4, s.AccessKey, scope, signed, mac(key, toSign)))
}

// canonicalV4 is the request as both sides write it down.
func canonicalV4(req *http.Request, bodySum string) (signed, canonical string) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	lines := []string{"host:" + host}
	for name, values := range req.Header {
		if name == "Expect" { // is for the next hop, not for the server (RFC 9110, section 10.1.1)
			continue
		}
		var trimmed []string
		for _, v := range values {
			trimmed = append(trimmed, strings.Join(strings.Fields(v), " "))
		}
		lines = append(lines, strings.ToLower(name)+":"+strings.Join(trimmed, ","))
	}
	slices.Sort(lines)
	var names []string
	for _, l := range lines {
		name, _, _ := strings.Cut(l, ":")
		names = append(names, name)
	}
	signed = strings.Join(names, ";")
	path := req.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	return signed, strings.Join([]string{req.Method, path, queryV4(req.URL.Query()), strings.Join(lines, "\n") + "\n", signed, bodySum}, "\n")
}

// queryV4 sorts and escapes a query.
func queryV4(q url.Values) string {
	var pairs []string
	for name, values := range q {
		for _, v := range values {
			pairs = append(pairs, strings.ReplaceAll(escape(name), "/", "%2F")+"="+strings.ReplaceAll(escape(v), "/", "%2F"))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
