package debian

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// member is a file of an ar archive.
type member struct {
	name string
	text []byte
}

func ar(members ...member) []byte {
	b := bytes.NewBufferString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.text))
		b.Write(m.text)
		if len(m.text)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		text := []byte("text of " + h.Name)
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(text))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pack(t testing.TB, name string, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch filepath.Ext(name) {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	default:
		return text
	}
	if err == nil {
		_, err = w.Write(text)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func deb(t testing.TB, ext string, headers ...tar.Header) []byte {
	t.Helper()
	var control bytes.Buffer
	w := tar.NewWriter(&control)
	text := "Package: p\nVersion: 1.0-1\nArchitecture: amd64\n"
	if err := w.WriteHeader(&tar.Header{Name: "./control", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	w.Close()
	return ar(member{"debian-binary", []byte("2.0\n")}, member{"control.tar" + ext, pack(t, ext, control.Bytes())},
		member{"data.tar" + ext, pack(t, ext, tarOf(t, headers...))})
}

func unpack(t testing.TB, deb []byte) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	_, err = Unpack(context.Background(), bytes.NewReader(deb), root)
	return dir, err
}

var good = []tar.Header{
	{Name: "./usr/", Typeflag: tar.TypeDir, Mode: 0o755},
	{Name: "./usr/bin/tool", Mode: 0o4755},
	{Name: "./usr/bin/link", Typeflag: tar.TypeSymlink, Linkname: "tool"},
	{Name: "./usr/lib/up", Typeflag: tar.TypeSymlink, Linkname: "../bin/tool"},
	{Name: "./etc/hard", Typeflag: tar.TypeLink, Linkname: "./usr/bin/tool"},
	{Name: "./etc/abs", Typeflag: tar.TypeSymlink, Linkname: "/usr/bin/tool"},
}

func TestUnpackEveryCompression(t *testing.T) {
	for _, ext := range []string{"", ".gz", ".xz", ".zst"} {
		dir, err := unpack(t, deb(t, ext, good...))
		if err != nil {
			t.Errorf("%q: %v", ext, err)
			continue
		}
		fi, err := os.Stat(filepath.Join(dir, "usr/bin/tool"))
		if err != nil || fi.Mode().Perm() != 0o755 || fi.Mode()&fs.ModeSetuid != 0 {
			t.Errorf("%q: %v, %v", ext, fi, err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "etc/hard")); err != nil || string(text) != "text of ./usr/bin/tool" {
			t.Errorf("%q: %q, %v", ext, text, err)
		}
	}
}

// TestUnpackRefuses has what a package must not do: it is refused by name, and
// nothing lands outside.
func TestUnpackRefuses(t *testing.T) {
	for name, h := range map[string][]tar.Header{
		"climbs":               {{Name: "../evil"}},
		"climbs inside":        {{Name: "./usr/../../evil"}},
		"absolute":             {{Name: "/evil"}},
		"character device":     {{Name: "./dev/evil", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"block device":         {{Name: "./dev/evil", Typeflag: tar.TypeBlock}},
		"pipe":                 {{Name: "./evil", Typeflag: tar.TypeFifo}},
		"link out":             {{Name: "./evil", Typeflag: tar.TypeSymlink, Linkname: "../../outside"}},
		"through a link":       {{Name: "./d", Typeflag: tar.TypeSymlink, Linkname: "../.."}, {Name: "./d/evil"}},
		"hard link out":        {{Name: "./evil", Typeflag: tar.TypeLink, Linkname: "../outside"}},
		"hard link to nothing": {{Name: "./evil", Typeflag: tar.TypeLink, Linkname: "./none"}},
	} {
		dir, err := unpack(t, deb(t, ".xz", h...))
		if err == nil {
			t.Errorf("%s: it was unpacked", name)
			continue
		}
		if !strings.Contains(err.Error(), "evil") && !strings.Contains(err.Error(), "d") {
			t.Errorf("%s: the error does not name it: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "evil")); err == nil {
			t.Errorf("%s: it landed outside", name)
		}
	}
}

func TestUnpackBrokenArchives(t *testing.T) {
	whole := deb(t, ".xz", good...)
	for name, b := range map[string][]byte{
		"empty": nil, "no ar": []byte("PK\x03\x04 and so on, longer than a header"), "half": whole[:len(whole)/2], "a byte short": whole[:len(whole)-3],
		"no data": ar(member{"debian-binary", []byte("2.0\n")}), "other version": ar(member{"debian-binary", []byte("3.0\n")}),
		"unknown compression": ar(member{"debian-binary", []byte("2.0\n")}, member{"control.tar.lz", nil}),
	} {
		if _, err := unpack(t, b); err == nil {
			t.Errorf("%s: it was unpacked", name)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0}, {"1.0", "1.1", -1}, {"1.10", "1.9", 1}, {"1:0", "2", 1}, {"1.0~rc1", "1.0", -1}, {"1.0-1", "1.0-2", -1}, {"1.0", "1.0-0", 0},
		{"6.12.107-1", "6.12.94-1", 1}, {"1.0a", "1.0", 1}, {"1.0+b9", "1.0", 1}, {"1.0~~", "1.0~", -1}, {"0:1", "1", 0},
	} {
		if got := CompareVersions(c.a, c.b); cmp.Compare(got, 0) != c.want || cmp.Compare(CompareVersions(c.b, c.a), 0) != -c.want {
			t.Errorf("CompareVersions(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestParseRelations(t *testing.T) {
	got, err := ParseRelations("libc6 (>= 2.38), a:any | b (<< 1~), c")
	if err != nil || len(got) != 3 || got[1][1].Name != "b" || got[1][1].Op != "<<" || got[1][0].Name != "a" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"a (>=)", "a (>= 1", "a (?? 1)", "|"} {
		if got, err := ParseRelations(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

const release = "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nValid-Until: Sat, 19 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\nSHA256:\n " +
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 12 main/binary-amd64/Packages.xz\n"

// signer is a key and a keyring that holds it.
func signer(t testing.TB) (*openpgp.Entity, *Keyring) {
	t.Helper()
	e, err := openpgp.NewEntity("Test", "", "test@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	k, err := readKeyring(b.Bytes(), []string{fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)})
	if err != nil {
		t.Fatal(err)
	}
	return e, k
}

func sign(t testing.TB, e *openpgp.Entity, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, e.PrivateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

func TestVerifyRelease(t *testing.T) {
	e, keys := signer(t)
	other, _ := signer(t)
	now := time.Now()
	signed := sign(t, e, release)
	r, err := keys.VerifyRelease(signed, now)
	if err != nil || r.Codename != "trixie" || len(r.Files) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	for name, b := range map[string][]byte{
		"another key": sign(t, other, release),
		"tampered":    bytes.Replace(signed, []byte("aaaa"), []byte("bbbb"), 1),
		"unsigned":    []byte(release),
		"text behind": append(bytes.Clone(signed), []byte("SHA256: x\n")...),
		"text before": append([]byte("Codename: evil\n"), signed...),
		"cut off":     signed[:len(signed)/2],
		"empty":       nil,
	} {
		if r, err := keys.VerifyRelease(b, now); err == nil {
			t.Errorf("%s: taken as %+v", name, r)
		}
	}
}

func TestReleaseCheck(t *testing.T) {
	r, err := ParseRelease([]byte(release))
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 9, 13, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		codename  string
		seen, now time.Time
		ok        bool
	}{
		"as it should be":     {"trixie", time.Time{}, day, true},
		"another suite":       {"sid", time.Time{}, day, false},
		"older than one seen": {"trixie", day, day, false},
		"no longer valid":     {"trixie", time.Time{}, day.AddDate(0, 1, 0), false},
	} {
		if err := r.Check(c.codename, c.seen, c.now); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestArchiveKeyringIsSound(t *testing.T) {
	if _, err := ArchiveKeyring(); err != nil {
		t.Fatal(err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(deb(f, ".gz", good...))
	f.Add(deb(f, "", good...))
	f.Fuzz(func(t *testing.T, b []byte) { unpack(t, b) })
}

func FuzzParseRelease(f *testing.F) {
	f.Add([]byte(release))
	f.Fuzz(func(t *testing.T, b []byte) { ParseRelease(b) })
}

func FuzzParseRelations(f *testing.F) {
	f.Add("a (>= 1) | b, c")
	f.Fuzz(func(t *testing.T, s string) { ParseRelations(s) })
}
