package keyless

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Bounds of a question.
const (
	answerTime = time.Minute
	answerSize = 4 << 20 // bytes
	tries      = 4
)

// client asks small questions.
type client struct {
	http *http.Client
	wait time.Duration // before the second try; then twice as long each time
}

func newClient() *client {
	return &client{wait: time.Second, http: &http.Client{
		Timeout: answerTime,
		// A redirect would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// call asks, sends a token only over TLS or to this machine, and tries again
// where the other side is at fault. Neither a token nor an address with one in
// it is part of an error.
func (c *client) call(ctx context.Context, method, address, bearer string, question, answer any) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return errors.New("the address is none; it must be https://host")
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		return fmt.Errorf("%s is not asked without TLS; write https://", u.Host)
	}
	var body []byte
	if question != nil {
		if body, err = json.Marshal(question); err != nil {
			return err
		}
	}
	wait := c.wait
	for try := 1; ; try++ {
		again, err := c.once(ctx, method, u, bearer, body, answer)
		if err == nil || !again || try == tries || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// once says whether another try has a chance.
func (c *client) once(ctx context.Context, method string, u *url.URL, bearer string, body []byte, answer any) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the address cannot be used")
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := c.http.Do(req)
	if e := (*url.Error)(nil); errors.As(err, &e) {
		return true, fmt.Errorf("ask %s: %w", u.Host, e.Err)
	}
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, answerSize))
	if err != nil {
		return true, fmt.Errorf("ask %s: %w", u.Host, err)
	}
	if resp.StatusCode/100 != 2 {
		said := strings.Join(strings.Fields(string(text[:min(len(text), 300)])), " ")
		if bearer != "" {
			said = strings.ReplaceAll(said, bearer, "…")
		}
		return resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests, fmt.Errorf("%s answered %d %s: %q", u.Host, resp.StatusCode, http.StatusText(resp.StatusCode), said)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return false, fmt.Errorf("%s: parse the answer: %w", u.Host, err)
	}
	return false, nil
}

func isLoopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
