package debian

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/bee-os/bee/pkg/build/deb822"
)

// archiveKeys are the keys of Debian's trixie that sign its archives: automatic
// signing, security and stable release, from the package debian-archive-keyring.
//
//go:embed archive-keys.asc
var archiveKeys []byte

// archiveFingerprints are the primary keys that archive-keys.asc must hold, no
// other and none less: https://ftp-master.debian.org/keys.html.
var archiveFingerprints = []string{
	"04B54C3CDCA79751B16BC6B5225629DF75B188BD", // archive automatic signing key (13/trixie)
	"5E04A1E3223A19A20706E20F9904613D4CCE68C6", // security archive automatic signing key (13/trixie)
	"41587F7DB8C774BCCF131416762F67A0B2C39DE4", // stable release key (13/trixie)
}

// Keyring holds the keys that may sign an index.
type Keyring struct{ keys openpgp.EntityList }

// ArchiveKeyring returns Debian's own.
func ArchiveKeyring() (*Keyring, error) { return readKeyring(archiveKeys, archiveFingerprints) }

func readKeyring(armored []byte, fingerprints []string) (*Keyring, error) {
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil {
		return nil, fmt.Errorf("read archive keys: %w", err)
	}
	for _, k := range keys {
		have := strings.ToUpper(hex.EncodeToString(k.PrimaryKey.Fingerprint))
		known := false
		for _, want := range fingerprints {
			known = known || have == want
		}
		if !known {
			return nil, fmt.Errorf("read archive keys: key %s is not one of Debian's", have)
		}
	}
	if len(keys) != len(fingerprints) {
		return nil, fmt.Errorf("read archive keys: %d keys, want %d", len(keys), len(fingerprints))
	}
	return &Keyring{keys}, nil
}

// Release is a verified Release file.
type Release struct {
	Suite, Codename string
	Date            time.Time
	ValidUntil      time.Time // zero where the archive sets none
	ByHash          bool      // indexes can be had by their digest
	Files           map[string]File
}

// File is one index that a Release file names.
type File struct {
	Size   int64
	SHA256 string
}

// VerifyRelease checks an InRelease file's signature and returns what is signed:
// nothing before, between or behind it is looked at, and there must be nothing.
func (k *Keyring) VerifyRelease(inRelease []byte, now time.Time) (*Release, error) {
	block, rest := clearsign.Decode(inRelease)
	if block == nil {
		return nil, errors.New("verify InRelease: it is not a clear-signed message")
	}
	if !bytes.HasPrefix(inRelease, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("verify InRelease: there is text outside the signed message")
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	if _, err := block.VerifySignature(k.keys, config); err != nil {
		return nil, fmt.Errorf("verify InRelease: signature: %w", err)
	}
	return ParseRelease(block.Plaintext)
}

// ParseRelease reads the text of a Release file.
func ParseRelease(text []byte) (*Release, error) {
	in := deb822.NewReader(bytes.NewReader(text))
	s, err := in.Next()
	if err != nil {
		return nil, fmt.Errorf("parse Release: %w", unexpected(err))
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return nil, errors.New("parse Release: more than one stanza")
	}
	r := &Release{Suite: s.Get("Suite"), Codename: s.Get("Codename"), ByHash: s.Get("Acquire-By-Hash") == "yes"}
	if r.Date, err = releaseTime(s.Get("Date")); err != nil {
		return nil, fmt.Errorf("parse Release: Date: %w", err)
	}
	if until, ok := s.Lookup("Valid-Until"); ok {
		if r.ValidUntil, err = releaseTime(until); err != nil {
			return nil, fmt.Errorf("parse Release: Valid-Until: %w", err)
		}
	}
	lines := s.Lines("SHA256")
	r.Files = make(map[string]File, len(lines))
	for _, line := range lines {
		w := strings.Fields(line)
		if len(w) != 3 {
			return nil, fmt.Errorf("parse Release: SHA256 line %.80q: want digest, size, name", line)
		}
		size, err := strconv.ParseInt(w[1], 10, 64)
		if err != nil || size < 0 || !isDigest(w[0]) {
			return nil, fmt.Errorf("parse Release: SHA256 line %.80q: bad digest or size", line)
		}
		r.Files[w[2]] = File{Size: size, SHA256: w[0]}
	}
	if len(r.Files) == 0 {
		return nil, errors.New("parse Release: it names no file by SHA256")
	}
	return r, nil
}

// Check holds a Release against what was asked for and what was seen before:
// the codename, a date that never goes back, an end of validity in the future.
func (r *Release) Check(codename string, seen, now time.Time) error {
	switch {
	case r.Codename != codename:
		return fmt.Errorf("check Release of %s: it is that of %q (suite %s)", codename, r.Codename, r.Suite)
	case r.Date.Before(seen):
		return fmt.Errorf("check Release of %s: it is dated %s, older than the one that the lock has seen (%s): an outdated mirror, or someone who replays an old state; use another mirror (BEE_MIRROR)",
			codename, r.Date.Format(time.RFC3339), seen.Format(time.RFC3339))
	case !r.ValidUntil.IsZero() && now.After(r.ValidUntil):
		return fmt.Errorf("check Release of %s: it was valid until %s and this machine's clock says %s: an outdated mirror (use another: BEE_MIRROR) or a wrong clock",
			codename, r.ValidUntil.Format(time.RFC3339), now.Format(time.RFC3339))
	case r.Date.After(now.Add(24 * time.Hour)):
		return fmt.Errorf("check Release of %s: it is dated %s and this machine's clock says %s: set the clock",
			codename, r.Date.Format(time.RFC3339), now.Format(time.RFC3339))
	}
	return nil
}

// releaseTime parses a date as Debian writes it: RFC 1123 with the zone "UTC".
func releaseTime(text string) (time.Time, error) {
	t, err := time.Parse("Mon, _2 Jan 2006 15:04:05 MST", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a date: %w", text, err)
	}
	return t.UTC(), nil
}

func isDigest(text string) bool {
	return len(text) == 64 && strings.Trim(text, "0123456789abcdef") == ""
}
