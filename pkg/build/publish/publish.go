// Package publish puts what was built where others get it: an OCI layout into a
// registry, files into a folder, onto an HTTP server or into S3, and then tells
// a webhook. It uploads and asks back what it uploaded; whoever downloads inputs
// of a build uses pkg/build/fetch.
//
// Nobody sees half of it: files that others point at go first, the manifest,
// sums and signatures that people begin with go last; an image is signed by its
// digest before its tag moves. A failure that may pass is tried again (a
// timeout, a broken connection, status 408, 429 and 5xx), a refusal is not.
package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/bee-os/bee/pkg/build/sign"
)

// Config says where to publish. What is empty is not done.
type Config struct {
	Target string // folder, file://, http://, https:// or s3://bucket/prefix
	Auth   Auth   // for an HTTP server
	S3     S3     // for s3://

	OCI       string // registry/repository:tag
	PlainHTTP bool   // the registry, or the HTTP server that wants credentials, may be asked without TLS even if it is not this machine

	Webhook Webhook

	Progress io.Writer
}

// Auth is what an HTTP server asks for: a bearer token, or user and password.
type Auth struct{ Token, User, Password string }

// FromEnv reads the configuration from environment variables: BEE_PUBLISH and,
// for an HTTP server, BEE_PUBLISH_TOKEN or BEE_PUBLISH_USER and
// BEE_PUBLISH_PASSWORD; BEE_PUBLISH_OCI; BEE_PUBLISH_PLAIN_HTTP=1;
// BEE_WEBHOOK_URL and BEE_WEBHOOK_SECRET; and for S3 the usual
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or
// AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.
func FromEnv(getenv func(string) string) (Config, error) {
	first := func(names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return ""
	}
	c := Config{
		Target: getenv("BEE_PUBLISH"),
		Auth:   Auth{getenv("BEE_PUBLISH_TOKEN"), getenv("BEE_PUBLISH_USER"), getenv("BEE_PUBLISH_PASSWORD")},
		S3: S3{
			AccessKey: getenv("AWS_ACCESS_KEY_ID"), SecretKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN"),
			Region: first("AWS_REGION", "AWS_DEFAULT_REGION"), Endpoint: first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
		},
		OCI:     getenv("BEE_PUBLISH_OCI"),
		Webhook: Webhook{URL: getenv("BEE_WEBHOOK_URL"), Secret: getenv("BEE_WEBHOOK_SECRET")},
	}
	switch v := getenv("BEE_PUBLISH_PLAIN_HTTP"); v {
	case "", "0":
	case "1":
		c.PlainHTTP = true
	default:
		return c, fmt.Errorf("BEE_PUBLISH_PLAIN_HTTP is %q; it must be 1 or 0", v)
	}
	return c, nil
}

// Release is what is published.
type Release struct {
	Version, Commit string
	Files           []File
	Layout          string      // folder of an OCI layout; needed for Config.OCI
	Signer          sign.Signer // of the image; nil: it stays unsigned
}

// Result says what was published and where.
type Result struct {
	Image *Image // nil: none
	Files []Published
}

// Check finds what can be found wrong before anything is built or sent.
func (c Config) Check() error {
	if c.Target == "" && c.OCI == "" {
		return errors.New("publish: nothing says where to; set BEE_PUBLISH (a folder, http(s):// or s3://bucket/prefix) or BEE_PUBLISH_OCI (registry/repository:tag)")
	}
	if c.Target != "" {
		if _, err := c.store(); err != nil {
			return err
		}
	}
	if c.OCI != "" {
		if _, err := parseTag(c.OCI); err != nil {
			return err
		}
	}
	return c.Webhook.check()
}

// Run publishes: the image, the files, then the webhook. The error of a webhook
// that failed wraps ErrWebhook and comes with the result, which stands.
func (c Config) Run(ctx context.Context, r Release) (*Result, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	var out Result
	if c.OCI != "" {
		if r.Layout == "" {
			return nil, errors.New("publish: BEE_PUBLISH_OCI is set, but no OCI image was built; build the variant oci")
		}
		registry := Registry{PlainHTTP: c.PlainHTTP, Progress: c.Progress}
		image, err := registry.Push(ctx, r.Layout, c.OCI, r.Signer)
		if err != nil {
			return nil, err
		}
		out.Image = image
	}
	if c.Target != "" {
		s, err := c.store()
		if err != nil {
			return &out, err
		}
		if out.Files, err = putAll(ctx, s, r.Files, c.progress()); err != nil {
			if out.Image != nil {
				err = fmt.Errorf("%w (the image %s is published)", err, c.OCI)
			}
			return &out, err
		}
	}
	if c.Webhook.URL == "" {
		return &out, nil
	}
	return &out, c.Webhook.send(ctx, event(r, &out))
}

func (c Config) progress() io.Writer {
	if c.Progress == nil {
		return io.Discard
	}
	return c.Progress
}

// store opens the target by its scheme.
func (c Config) store() (store, error) {
	u, err := url.Parse(c.Target)
	if err != nil {
		return nil, fmt.Errorf("publish: BEE_PUBLISH is no address: %w", err)
	}
	switch {
	case u.Scheme == "http" || u.Scheme == "https":
		return newHTTPStore(u, c.Auth, c.PlainHTTP)
	case u.Scheme == "s3":
		return newS3Store(u, c.S3)
	case u.Scheme == "file":
		if u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) {
			return nil, fmt.Errorf("publish: %s names no folder of this machine; write file:///folder", c.Target)
		}
		return dirStore(u.Path), nil
	case strings.Contains(c.Target, "://"):
		return nil, fmt.Errorf("publish: the scheme %q is not known; take a folder, file://, http://, https:// or s3://", u.Scheme)
	}
	return dirStore(c.Target), nil
}
