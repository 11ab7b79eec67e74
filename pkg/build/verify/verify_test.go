package verify

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/provenance"
	"github.com/bee-os/bee/pkg/build/sbom"
)

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// A parameter block of the tests: a digest, a line end, text, padding.
func blockOf(parameters string) string {
	return fmt.Sprintf("%s\n%-*s", sumOf(parameters), manifest.BlockSize-65, parameters)
}

func readBlock(b []byte) (string, error) {
	sum, text, ok := strings.Cut(string(b), "\n")
	trimmed := strings.TrimRight(text, " ")
	if !ok || sum != sumOf(trimmed) {
		return "", errors.New("the block's checksum is wrong")
	}
	return trimmed, nil
}

// key signs bundles: {payload, signature}, where the payload is a statement of
// provenance or SHA256SUMS.
type key ed25519.PrivateKey

func newKey(seed byte) key {
	return key(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

type bundle struct{ Payload, Signature []byte }

func (k key) sign(payload []byte) []byte {
	text, err := json.Marshal(bundle{payload, ed25519.Sign(ed25519.PrivateKey(k), payload)})
	if err != nil {
		panic(err)
	}
	return text
}

func (k key) check(_ context.Context, text []byte) (Signature, error) {
	var b bundle
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return Signature{}, err
	}
	if again, err := json.Marshal(b); err != nil || !bytes.Equal(again, text) {
		return Signature{}, errors.New("not as it was written")
	}
	if !ed25519.Verify(ed25519.PrivateKey(k).Public().(ed25519.PublicKey), b.Payload, b.Signature) {
		return Signature{}, errors.New("the signature is not that of the key")
	}
	statement, err := provenance.Decode(b.Payload)
	if err != nil {
		return Signature{By: "the test's key", Digests: []string{sumOf(string(b.Payload))}}, nil
	}
	s := Signature{By: "the test's key", Statement: b.Payload}
	for _, x := range statement.Subject {
		s.Digests = append(s.Digests, x.Digest["sha256"])
	}
	return s, nil
}

const asBuilt = "bee.ip=dhcp"

var kernel, initrd = strings.Repeat("KERNEL", 20), strings.Repeat("initrd", 30)

// files of the artifact.
func files() map[string]string {
	return map[string]string{
		"bee.iso":               "start" + blockOf(asBuilt) + kernel + "between" + blockOf(asBuilt) + initrd + "end",
		"bom.json":              `{"schema":1}`,
		"oci/blobs/sha256/abcd": "blob",
		"oci/index.json":        "{}",
	}
}

// folder makes an artifact as a builder does, signed with the key if one is given.
func folder(t testing.TB, k key) string {
	t.Helper()
	dir := t.TempDir()
	b := bom.BOM{Version: "0.1.0", Variant: "thin", Arch: "amd64", Kernel: "6.12.1"}
	m, err := manifest.New(manifest.Config{
		Source: manifest.Source{Commit: strings.Repeat("c", 40), Clean: true}, Date: time.Unix(1790000000, 0), Family: "iso", Arch: "amd64", Go: "go1.26.8", BOM: b,
		Inputs:  []manifest.Input{{Name: "linux-image-x", Version: "6", Arch: "amd64", Suite: "trixie", SHA256: strings.Repeat("a", 64), Licence: "GPL-2.0-only", Roles: []string{"kernel"}}},
		Modules: []manifest.GoModule{{Path: "golang.org/x/sys", Version: "v0.49.0", Licence: "BSD-3-Clause"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files() {
		write(t, dir, name, text)
		o := manifest.Options{Name: name, Role: "part"}
		if name == "bee.iso" {
			first, second, at := int64(5), int64(5+manifest.BlockSize+len(kernel)+7), int64(5+manifest.BlockSize)
			o.Block = []int64{first, second}
			o.Contents = []manifest.Content{
				{Role: "kernel", Path: "/boot/vmlinuz", Offset: &at, Size: int64(len(kernel)), SHA256: sumOf(kernel)},
				{Role: "initrd", Path: "/boot/initrd.img", Size: int64(len(initrd)), SHA256: sumOf(initrd)},
			}
		}
		if err := m.Add(t.Context(), filepath.Join(dir, name), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	bill, err := sbom.Encode(m, b)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, sbom.FileName, string(bill))
	var documents []manifest.Sum
	for _, name := range []string{manifest.FileName, sbom.FileName} {
		documents = append(documents, manifest.Sum{Name: name, SHA256: sumOf(read(t, dir, name))})
	}
	statement, err := provenance.Encode(provenance.Config{Manifest: m, Documents: documents})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, provenance.FileName, string(statement))
	if err := m.WriteSums(t.Context(), dir, sbom.FileName, provenance.FileName); err != nil {
		t.Fatal(err)
	}
	if k != nil {
		write(t, dir, "provenance"+BundleSuffix, string(k.sign(statement)))
	}
	return dir
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// config of an operator with a key, or without where k is nil.
func config(dir string, k key) Config {
	c := Config{Dir: dir, Block: readBlock, Inside: takeOut}
	if k != nil {
		c.CheckBundle = k.check
	}
	return c
}

// takeOut finds the initrd, which the manifest gives no place for.
func takeOut(_ context.Context, r io.ReaderAt, o manifest.Output, _ manifest.Content) (io.ReadCloser, error) {
	size := int64(len(initrd))
	return io.NopCloser(io.NewSectionReader(r, o.Size-3-size, size)), nil
}

// checked runs the checks and returns the report.
func checked(t testing.TB, c Config) (string, error) {
	t.Helper()
	var out strings.Builder
	err := Dir(t.Context(), c, &out)
	if err != nil && !errors.Is(err, ErrBad) {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if (err != nil) != strings.Contains(out.String(), "verdict: BAD") {
		t.Fatalf("error and verdict do not agree: %v\n%s", err, out.String())
	}
	return out.String(), err
}

func TestGood(t *testing.T) {
	k := newKey(1)
	report, err := checked(t, config(folder(t, k), k))
	if err != nil {
		t.Errorf("%v\n%s", err, report)
	}
	for _, want := range []string{"ok    signature", "ok    manifest", "ok    SHA256SUMS  7 lines", "ok    sha256      bee.iso", "ok    fs-verity   bee.iso", "ok    parameters",
		"/boot/vmlinuz is the kernel", "/boot/initrd.img is the initrd", "ok    SBOM", "ok    provenance", "ok    folder      9 files, 1 of them", "verdict: GOOD, signed by the test's key.\n"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
	if strings.Contains(report, "note") {
		t.Errorf("a note without a reason:\n%s", report)
	}
}

// A signature over SHA256SUMS alone covers everything too.
func TestSignedSums(t *testing.T) {
	k := newKey(1)
	dir := folder(t, nil)
	write(t, dir, manifest.SumsName+BundleSuffix, string(k.sign([]byte(read(t, dir, manifest.SumsName)))))
	if report, err := checked(t, config(dir, k)); err != nil {
		t.Error(report)
	}
}

func TestWithoutKey(t *testing.T) {
	report, err := checked(t, config(folder(t, nil), nil))
	if err != nil || !strings.Contains(report, "NOT SIGNED") || !strings.Contains(report, "NOBODY VOUCHES") || strings.Contains(report, "GOOD") {
		t.Errorf("%v\n%s", err, report)
	}
	report, err = checked(t, config(folder(t, newKey(1)), nil))
	if err != nil || !strings.Contains(report, "SIGNATURE NOT CHECKED") || !strings.Contains(report, "NOBODY VOUCHES") {
		t.Errorf("%v\n%s", err, report)
	}
}

// Each case spoils a good, signed folder; the report must say what is wrong.
func TestBad(t *testing.T) {
	k := newKey(1)
	for name, c := range map[string]struct {
		spoil func(dir string)
		says  string
	}{
		"no bundle": {func(dir string) { remove(t, dir, "provenance"+BundleSuffix) }, "no signature"},
		"another's bundle": {func(dir string) {
			write(t, dir, "provenance"+BundleSuffix, string(newKey(2).sign([]byte(read(t, dir, provenance.FileName)))))
		}, "not that of the key"},
		"a bundle too many": {func(dir string) { write(t, dir, "more"+BundleSuffix, string(k.sign([]byte("more")))) }, "another build"},
		"a bundle of one file": {func(dir string) {
			write(t, dir, "provenance"+BundleSuffix, string(k.sign([]byte(read(t, dir, "bom.json")))))
		}, "nobody vouches for bee.iso"},
		"no manifest":           {func(dir string) { remove(t, dir, manifest.FileName) }, "not the folder of an artifact"},
		"no list":               {func(dir string) { remove(t, dir, manifest.SumsName) }, "missing: SHA256SUMS"},
		"no SBOM":               {func(dir string) { remove(t, dir, sbom.FileName) }, "missing: sbom.cdx.json"},
		"no provenance":         {func(dir string) { remove(t, dir, provenance.FileName) }, "missing: provenance.json"},
		"no ISO":                {func(dir string) { remove(t, dir, "bee.iso") }, "missing: bee.iso"},
		"an extra file":         {func(dir string) { write(t, dir, "evil.img", "x") }, `no list names: "evil.img"`},
		"an extra file below":   {func(dir string) { write(t, dir, "oci/evil", "x") }, `"oci/evil"`},
		"an extra bundle below": {func(dir string) { write(t, dir, "oci/x"+BundleSuffix, "x") }, "oci/x"},
		"an empty folder":       {func(dir string) { mkdir(t, dir, "empty") }, "empty folder"},
		"a name with an escape": {func(dir string) { write(t, dir, "\x1b[2J", "x") }, `"\x1b[2J"`},
		"a link to a good file": {func(dir string) { symlink(t, dir, "bom.json") }, "symbolic link"},
		"two files swapped":     {func(dir string) { swap(t, dir, "bom.json", "oci/index.json") }, "bom.json"},
		"a file cut short":      {func(dir string) { write(t, dir, "bee.iso", read(t, dir, "bee.iso")[:100]) }, "100 bytes"},
		"a file grown":          {func(dir string) { write(t, dir, "bom.json", read(t, dir, "bom.json")+" ") }, "13 bytes"},
		"an older list":         {func(dir string) { write(t, dir, manifest.SumsName, read(t, dir, manifest.SumsName)+"\n") }, "line"},
		"half a patched block":  {func(dir string) { patch(t, dir, "bee.ip=off", 1) }, "not the one at byte"},
		"a block out of hand": {func(dir string) {
			write(t, dir, "bee.iso", strings.ReplaceAll(read(t, dir, "bee.iso"), asBuilt, "bee.ip=evil"))
		}, "checksum"},
		"a patch and a change": {func(dir string) { patch(t, dir, "bee.ip=off", 2); flip(t, dir, "bee.iso", 2) }, "bee.iso"},
		"a manifest of the future": {func(dir string) {
			write(t, dir, manifest.FileName, strings.Replace(read(t, dir, manifest.FileName), `"schema": 1`, `"schema": 9`, 1))
		}, "schema 9"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, k)
			c.spoil(dir)
			report, err := checked(t, config(dir, k))
			if err == nil || !strings.Contains(report, c.says) {
				t.Errorf("want something with %q:\n%s", c.says, report)
			}
		})
	}
}

func remove(t testing.TB, dir, name string) {
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t testing.TB, dir, name string) {
	if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

// symlink puts a link to a copy elsewhere in place of a file.
func symlink(t testing.TB, dir, name string) {
	away := t.TempDir()
	write(t, away, "copy", read(t, dir, name))
	remove(t, dir, name)
	if err := os.Symlink(filepath.Join(away, "copy"), filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func swap(t testing.TB, dir, a, b string) {
	ta, tb := read(t, dir, a), read(t, dir, b)
	write(t, dir, a, tb)
	write(t, dir, b, ta)
}

// patch changes the parameters in the first n copies of the block.
func patch(t testing.TB, dir, parameters string, n int) {
	write(t, dir, "bee.iso", strings.Replace(read(t, dir, "bee.iso"), blockOf(asBuilt), blockOf(parameters), n))
}

func flip(t testing.TB, dir, name string, at int) {
	text := []byte(read(t, dir, name))
	text[at] ^= 1
	write(t, dir, name, string(text))
}

// A block that was changed in place is told, with what it says, and good.
func TestPatched(t *testing.T) {
	k := newKey(1)
	dir := folder(t, k)
	patch(t, dir, "bee.ip=10.0.0.2/24\x1b[2J", 2)
	report, err := checked(t, config(dir, k))
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{"note  parameters  bee.iso: the block was changed in place", "it now says: bee.ip=10.0.0.2/24?[2J", "with the original parameter block put back", "verdict: GOOD, signed by the test's key; read"} {
		if !strings.Contains(report, want) {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
	c := config(dir, k)
	c.Block = nil
	if report, err := checked(t, c); err == nil {
		t.Errorf("nobody can read the block, and it passes:\n%s", report)
	}
}

// Whoever rewrites every list still has no signature; and a kernel that is not
// the one that the manifest names is found even then.
func TestInside(t *testing.T) {
	c := config(folder(t, nil), nil)
	c.Inside = func(context.Context, io.ReaderAt, manifest.Output, manifest.Content) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(strings.Repeat("INITRD", 30))), nil
	}
	if report, err := checked(t, c); err == nil || !strings.Contains(report, "FAIL  inside") {
		t.Error(report)
	}
	c.Inside = nil
	if report, err := checked(t, c); err != nil || !strings.Contains(report, "note  inside      bee.iso: /boot/initrd.img (initrd) was not taken out") {
		t.Errorf("%v\n%s", err, report)
	}
	c.Inside = func(context.Context, io.ReaderAt, manifest.Output, manifest.Content) (io.ReadCloser, error) {
		return nil, errors.New("a broken archive")
	}
	if report, err := checked(t, c); err == nil || !strings.Contains(report, "a broken archive") {
		t.Error(report)
	}
}

// One changed byte, wherever it is, is noticed: with a key in every file, and
// without one in every file but the bundle.
func TestEveryByte(t *testing.T) {
	k := newKey(1)
	dir := folder(t, k)
	var names []string
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(name, dir+"/"))
		}
		return err
	})
	if err != nil || len(names) != len(files())+5 {
		t.Fatalf("%q, %v", names, err)
	}
	for _, name := range names {
		text := read(t, dir, name)
		for at := 0; at < len(text); at += 1 + len(text)/97 {
			bad := []byte(text)
			bad[at] ^= 1 << (at % 8)
			write(t, dir, name, string(bad))
			if report, err := checked(t, config(dir, k)); err == nil {
				t.Errorf("byte %d of %s:\n%s", at, name, report)
			}
			if _, err := checked(t, config(dir, nil)); err == nil != isBundle(name) {
				t.Errorf("byte %d of %s, without a key: %v", at, name, err)
			}
		}
		write(t, dir, name, text)
	}
	if report, err := checked(t, config(dir, k)); err != nil {
		t.Errorf("put back, it is not good:\n%s", report)
	}
}

func TestCannotLook(t *testing.T) {
	if err := Dir(t.Context(), config(filepath.Join(t.TempDir(), "none"), nil), io.Discard); err == nil || errors.Is(err, ErrBad) {
		t.Errorf("no folder: %v", err)
	}
	c := config(folder(t, nil), nil)
	c.Verity = func(io.ReaderAt, int64) (string, error) { return "", errors.New("no memory") }
	if err := Dir(t.Context(), c, io.Discard); err == nil || !strings.Contains(err.Error(), "no memory") {
		t.Errorf("fs-verity digests cannot be computed: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Dir(ctx, config(folder(t, nil), nil), io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := Dir(t.Context(), config(folder(t, nil), nil), broken{}); err == nil {
		t.Error("a report that cannot be written, and it passes")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space") }

// FuzzOneByte looks for a byte that TestEveryByte does not try.
func FuzzOneByte(f *testing.F) {
	k := newKey(1)
	dir := folder(f, k)
	names := []string{"bee.iso", "bom.json", manifest.FileName, manifest.SumsName, sbom.FileName, provenance.FileName, "provenance" + BundleSuffix}
	f.Add(uint8(0), uint16(40), uint8(1))
	f.Fuzz(func(t *testing.T, file uint8, at uint16, with uint8) {
		name := names[int(file)%len(names)]
		text := read(t, dir, name)
		if with == 0 {
			return
		}
		bad := []byte(text)
		bad[int(at)%len(bad)] ^= with
		write(t, dir, name, string(bad))
		defer write(t, dir, name, text)
		if report, err := checked(t, config(dir, k)); err == nil {
			t.Errorf("byte %d of %s:\n%s", at, name, report)
		}
	})
}
