package fetch

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// snapshotDelay is added to a suite's date for the dated archive, which answers
// with its last snapshot before the time it is asked for: the one that holds
// what was published at that date is taken some hours later.
const snapshotDelay = 24 * time.Hour

// source is a place that may have a blob.
type source struct {
	base string // URL below which pool/ and dists/ stand
	what string // where it is named, for messages
}

// sources lists, in the order they are tried, the places of an archive: the
// user's own mirror, the one this host's apt uses, the public ones in bee.lock,
// the dated archive as of the suite's last resolution.
func (f *Fetcher) sources(b Blob) ([]source, error) {
	var out []source
	add := func(base, what string) {
		base = strings.TrimRight(base, "/")
		for _, s := range out {
			if s.base == base {
				return
			}
		}
		out = append(out, source{base, what})
	}
	name := b.Suite.Archive
	if f.Mirror != "" {
		base, err := mirrorBase(f.Mirror, name)
		if err != nil {
			return nil, err
		}
		add(base, "BEE_MIRROR")
	}
	for _, base := range f.Host[name] {
		add(base, "this host's apt sources")
	}
	for _, a := range f.lock.Archives {
		if a.Name != name {
			continue
		}
		for _, base := range a.Mirrors {
			add(base, "bee.lock")
		}
		if a.Snapshot != "" && !b.Suite.Date.IsZero() {
			at := b.Suite.Date.Add(snapshotDelay).UTC().Format("20060102T150405Z")
			add(a.Snapshot+"/"+at, "dated archive in bee.lock")
		}
	}
	return out, nil
}

// mirrorBase turns BEE_MIRROR into the base URL of one archive. The value is
// the URL of a Debian mirror (…/debian, whose other archives stand beside it),
// of the folder that holds several archives, or an absolute path to such a folder.
func mirrorBase(mirror, archive string) (string, error) {
	if filepath.IsAbs(mirror) {
		mirror = "file://" + mirror
	}
	u, err := url.Parse(mirror)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "file") || (u.Host == "" && u.Scheme != "file") {
		return "", fmt.Errorf("read BEE_MIRROR=%s: want the URL of a Debian mirror such as http://host/debian, or an absolute path", mirror)
	}
	base := strings.TrimRight(mirror, "/")
	if parent, ok := strings.CutSuffix(base, "/debian"); ok {
		base = parent
	}
	return base + "/" + archive, nil
}
