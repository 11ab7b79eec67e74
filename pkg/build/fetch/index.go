package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bee-os/bee/pkg/build/lock"
)

// Unverified returns a file whose digest nobody knows yet, from the first
// source of the suite's archive that has it: the signed InRelease, from which
// every other digest follows. It is not cached. The caller must verify it.
// More than limit bytes are an error.
func (f *Fetcher) Unverified(ctx context.Context, s lock.Suite, path string, limit int64) (data []byte, from string, err error) {
	// No date, hence not the dated archive: it would answer with the past.
	sources, err := f.sources(Blob{Name: path, Suite: lock.Suite{Name: s.Name, Archive: s.Archive}})
	if err != nil {
		return nil, "", err
	}
	missing := &missingError{name: path}
	for _, src := range sources {
		data, err := f.small(ctx, src.base+"/"+escapePath(path), limit)
		if err == nil {
			return data, src.base, nil
		}
		if ctx.Err() != nil {
			return nil, "", fmt.Errorf("fetch %s: %w", path, context.Cause(ctx))
		}
		var status *statusError
		missing.gone = missing.gone || errors.As(err, &status) && status.code == http.StatusNotFound
		missing.reasons = append(missing.reasons, fmt.Sprintf("%s (%s): %v", src.base, src.what, err))
	}
	return nil, "", missing
}

// small reads one short file, with the same patience as a blob.
func (f *Fetcher) small(ctx context.Context, u string, limit int64) ([]byte, error) {
	for try := 0; ; try++ {
		data, err := f.smallOnce(ctx, u, limit)
		if err == nil || !mayPass(err) || try >= f.Retries {
			return data, err
		}
		if serr := f.Sleep(ctx, backoff(try)); serr != nil {
			return nil, serr
		}
	}
}

func (f *Fetcher) smallOnce(ctx context.Context, u string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := f.get(ctx, u, 0)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body := &stallReader{r: io.LimitReader(resp.Body, limit+1), cancel: cancel, limit: f.Stall}
	body.start()
	defer body.stop()
	data, err := io.ReadAll(body)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			err = cause
		}
		return nil, &brokenError{err}
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("longer than %d bytes", limit)
	}
	return data, nil
}
