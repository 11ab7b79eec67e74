package publish

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Headers of a webhook. The signature is
//
//	sha256=hex(HMAC-SHA256(secret, timestamp + "." + body))
//
// as GitHub's X-Hub-Signature-256, with the timestamp in it, so that an old
// message cannot be sent again. A message that is tried again keeps its delivery
// and has a new timestamp.
const (
	HeaderEvent     = "X-Bee-Event"         // publish
	HeaderDelivery  = "X-Bee-Delivery"      // names the message
	HeaderTimestamp = "X-Bee-Timestamp"     // seconds since 1970
	HeaderSignature = "X-Bee-Signature-256" // sha256=…
)

// EventSchema is the form of an Event. The number after the slash grows when a
// field goes or changes its meaning, not when one comes.
const EventSchema = "bee-publish/1"

// minSecret is the shortest secret, in bytes: half of what HMAC-SHA256 can hold
// (RFC 2104, section 3, advises against less than its 32).
const minSecret = 16

// ErrWebhook is wrapped by the error of a webhook that was not taken.
var ErrWebhook = errors.New("tell the webhook")

// Webhook is whom to tell.
type Webhook struct {
	URL    string
	Secret string // signs; is never sent or shown

	client *http.Client // nil: a new one
	waits  []time.Duration
	now    func() time.Time
}

// Event is what a webhook is told.
type Event struct {
	Schema   string      `json:"schema"`
	Version  string      `json:"version"`
	Commit   string      `json:"commit"`
	Variants []string    `json:"variants"`
	Arches   []string    `json:"arches"`
	Image    *Image      `json:"image,omitempty"`
	Outputs  []Published `json:"outputs"`
}

// event says what was published.
func event(r Release, done *Result) Event {
	e := Event{Schema: EventSchema, Version: r.Version, Commit: r.Commit, Image: done.Image, Outputs: done.Files, Variants: []string{}, Arches: []string{}}
	add := func(list *[]string, s string) {
		if s != "" && !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, f := range done.Files {
		add(&e.Variants, f.Variant)
		add(&e.Arches, f.Arch)
	}
	if e.Image != nil {
		add(&e.Variants, "oci")
		for _, a := range e.Image.Arches {
			add(&e.Arches, a)
		}
	}
	if e.Outputs == nil {
		e.Outputs = []Published{}
	}
	slices.Sort(e.Variants)
	slices.Sort(e.Arches)
	return e
}

// check does not repeat the address, which may hold a token.
func (w Webhook) check() error {
	if w.URL == "" {
		return nil
	}
	u, err := url.Parse(w.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("publish: BEE_WEBHOOK_URL is no http:// or https:// address")
	}
	if len(w.Secret) < minSecret {
		return fmt.Errorf("publish: BEE_WEBHOOK_SECRET must have %d bytes or more; make one with: openssl rand -hex 32", minSecret)
	}
	return nil
}

// Signature is the value of HeaderSignature for a body and the value of
// HeaderTimestamp.
func Signature(secret, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// VerifyWebhook is the receiver's side: it checks a message and that it is at
// most maxAge old, or ahead of the clock.
func VerifyWebhook(secret string, header http.Header, body []byte, now time.Time, maxAge time.Duration) error {
	timestamp := header.Get(HeaderTimestamp)
	if !hmac.Equal([]byte(Signature(secret, timestamp, body)), []byte(header.Get(HeaderSignature))) {
		return fmt.Errorf("verify webhook: %s does not fit the secret and the message", HeaderSignature)
	}
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return fmt.Errorf("verify webhook: %s is no number", HeaderTimestamp)
	}
	if age := now.Sub(time.Unix(at, 0)); age.Abs() > maxAge {
		return fmt.Errorf("verify webhook: the message is %v old", age)
	}
	return nil
}

// send posts the event.
func (w Webhook) send(ctx context.Context, e Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWebhook, err)
	}
	delivery := sha256.Sum256(body)
	if w.client == nil {
		w.client, w.waits, w.now = newClient(true), backoff, time.Now // the address names the scheme, the secret does not travel
	}
	_, _, err = do(ctx, w.client, w.waits, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
		if err != nil {
			return nil, errors.New("the address cannot be used")
		}
		timestamp := strconv.FormatInt(w.now().Unix(), 10)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set(HeaderEvent, "publish")
		req.Header.Set(HeaderDelivery, hex.EncodeToString(delivery[:16]))
		req.Header.Set(HeaderTimestamp, timestamp)
		req.Header.Set(HeaderSignature, Signature(w.Secret, timestamp, body))
		return req, nil
	})
	if err != nil {
		return fmt.Errorf("everything is published, but nobody was told: %w: %s", ErrWebhook, strings.ReplaceAll(err.Error(), w.Secret, "…"))
	}
	return nil
}
