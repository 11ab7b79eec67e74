package authenticode

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/pe"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

const root = "../../.."

// tiny is a PE32+ image with two sections of 512 bytes, and tail behind them.
func tiny(tail ...byte) []byte {
	b := make([]byte, 1536)
	copy(b, "MZ")
	b[60] = 0x40
	var w bytes.Buffer
	w.WriteString("PE\x00\x00")
	for _, v := range []any{
		pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 2, SizeOfOptionalHeader: 240},
		pe.OptionalHeader64{Magic: 0x20b, SectionAlignment: 4096, FileAlignment: 512, SizeOfImage: 0x3000, SizeOfHeaders: 512, Subsystem: 10, NumberOfRvaAndSizes: 16},
		pe.SectionHeader32{Name: [8]uint8{'.', 'a'}, VirtualAddress: 0x1000, VirtualSize: 512, PointerToRawData: 512, SizeOfRawData: 512},
		pe.SectionHeader32{Name: [8]uint8{'.', 'b'}, VirtualAddress: 0x2000, VirtualSize: 512, PointerToRawData: 1024, SizeOfRawData: 512},
	} {
		binary.Write(&w, binary.LittleEndian, v)
	}
	copy(b[0x40:], w.Bytes())
	for i := 512; i < len(b); i++ {
		b[i] = byte(i)
	}
	return append(b, tail...)
}

// pair makes a key and a self-made certificate for it.
func pair(t testing.TB, name string, key crypto.Signer) Pair {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1800000000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := Pair{filepath.Join(dir, name+".key"), filepath.Join(dir, name+".crt")}
	for file, block := range map[string]*pem.Block{p.Key: {Type: "PRIVATE KEY", Bytes: private}, p.Cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t testing.TB, c elliptic.Curve) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificate(t testing.TB, p Pair) *x509.Certificate {
	t.Helper()
	c, err := p.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lockFile(t *testing.T) *lock.File {
	t.Helper()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// judge is the sandbox with the programs that images are held against.
func judge(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.Open(t.Context(), lockFile(t), os.Stderr, "amd64", "tools-judge")
	if errors.Is(err, sandbox.ErrUnavailable) {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// loader reads a file of the pinned boot loaders.
func loader(t *testing.T, arch, name string) []byte {
	t.Helper()
	l := lockFile(t)
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	group := "bootloaders"
	if arch != "amd64" {
		group += "-" + arch
	}
	trees, err := debian.NewStore(f).Trees(t.Context(), l.Group(group, arch))
	if err != nil {
		t.Fatal(err)
	}
	for _, tree := range trees {
		if b, err := os.ReadFile(filepath.Join(tree, name)); err == nil {
			return b
		}
	}
	t.Fatalf("no package of %s has %s", group, name)
	return nil
}

// Programs that Microsoft and Debian signed: the hash is the one that they
// signed, and the signature comes from the certificate that it should.
func TestSignedByOthers(t *testing.T) {
	shim := loader(t, "amd64", "usr/lib/shim/shimx64.efi.signed")
	for name, b := range map[string][]byte{
		"shim amd64":  shim,
		"shim arm64":  loader(t, "arm64", "usr/lib/shim/shimaa64.efi.signed"),
		"grub amd64":  loader(t, "amd64", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
		"grub arm64":  loader(t, "arm64", "usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed"),
		"fallback":    loader(t, "amd64", "usr/lib/shim/fbx64.efi.signed"),
		"gcd amd64":   loader(t, "amd64", "usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed"),
		"grub on net": loader(t, "amd64", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"),
	} {
		im, err := parse(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		list, err := im.signatures()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		hash, err := Hash(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, der := range list {
			s, err := parseSignature(der)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if s.hash != hash {
				t.Errorf("%s: the hash is %x, and %x was signed", name, hash, s.hash)
			}
			for _, c := range s.certs {
				if err := Verify(bytes.NewReader(b), int64(len(b)), c); err != nil {
					t.Errorf("%s against %s: %v", name, c.Subject, err)
				}
			}
		}
	}
	ca := vendor(t, shim)
	grub := loader(t, "amd64", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")
	if err := Verify(bytes.NewReader(grub), int64(len(grub)), ca); err != nil {
		t.Errorf("GRUB against %s: %v", ca.Subject, err)
	}
	if err := Verify(bytes.NewReader(shim), int64(len(shim)), ca); err == nil || !strings.Contains(err.Error(), "which does not come from") {
		t.Errorf("shim against %s: %v", ca.Subject, err)
	}
}

// vendor is the certificate that shim trusts besides the firmware's: its
// section begins with four 32-bit numbers, the first the size, the third the
// place.
func vendor(t *testing.T, shim []byte) *x509.Certificate {
	t.Helper()
	f, err := pe.NewFile(bytes.NewReader(shim))
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.Section(".vendor_cert").Data()
	if err != nil {
		t.Fatal(err)
	}
	size, at := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[8:])
	c, err := x509.ParseCertificate(b[at : at+size])
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What is signed here satisfies sbverify, for keys of every length; and what sbsign
// signed satisfies Verify. The same inputs give the same bytes.
func TestSign(t *testing.T) {
	box := judge(t)
	other := pair(t, "other", rsaKey(t, 2048))
	for name, p := range map[string]Pair{
		"rsa 2048": pair(t, "rsa2048", rsaKey(t, 2048)), "rsa 3072": pair(t, "rsa3072", rsaKey(t, 3072)),
		"rsa 4096": pair(t, "rsa4096", rsaKey(t, 4096)),
	} {
		for kind, image := range map[string][]byte{
			"stub amd64": loader(t, "amd64", "usr/lib/systemd/boot/efi/linuxx64.efi.stub"),
			"stub arm64": loader(t, "arm64", "usr/lib/systemd/boot/efi/linuxaa64.efi.stub"),
			"odd size":   append(loader(t, "amd64", "usr/lib/systemd/boot/efi/linuxx64.efi.stub"), 1, 2, 3),
		} {
			t.Run(name+" "+kind, func(t *testing.T) { signOne(t, box, image, p, other) })
		}
	}
}

func signOne(t *testing.T, box *sandbox.Sandbox, image []byte, p, other Pair) {
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(file("plain"), image, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{"signed", "again"} {
		if err := Sign(file("plain"), file(out), p); err != nil {
			t.Fatal(err)
		}
	}
	signed, err := os.ReadFile(file("signed"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(file("again")); err != nil || !bytes.Equal(signed, again) {
		t.Errorf("signing twice gives different bytes (%v)", err)
	}
	verify := func(name string, p Pair) error {
		return box.Run(t.Context(), sandbox.Step{Args: []string{"sbverify", "--cert", "/cert.pem", "/in/" + name}, Ro: []sandbox.Bind{{Host: dir, Path: "/in"}, {Host: p.Cert, Path: "/cert.pem"}}})
	}
	if err := verify("signed", p); err != nil {
		t.Error(err)
	}
	if err := verify("signed", other); err == nil {
		t.Error("sbverify takes another certificate")
	}
	if err := Verify(bytes.NewReader(signed), int64(len(signed)), certificate(t, other)); err == nil || !strings.Contains(err.Error(), "does not come from") {
		t.Errorf("another certificate: %v", err)
	}
	spoilt := bytes.Clone(signed)
	spoilt[len(image)-600] ^= 1
	if err := os.WriteFile(file("spoilt"), spoilt, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := verify("spoilt", p); err == nil {
		t.Error("sbverify takes a changed image: this test shows nothing")
	}
	if err := Verify(bytes.NewReader(spoilt), int64(len(spoilt)), certificate(t, p)); err == nil || !strings.Contains(err.Error(), "not the one that was signed") {
		t.Errorf("a changed image: %v", err)
	}
	if err := Sign(file("signed"), file("twice"), p); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("signing a signed image: %v", err)
	}
	bySbsign(t, box, dir, p)
}

// bySbsign lets sbsign sign the same image: hash and verdict are the same.
func bySbsign(t *testing.T, box *sandbox.Sandbox, dir string, p Pair) {
	t.Helper()
	err := box.Run(t.Context(), sandbox.Step{Args: []string{"sbsign", "--key", "/key.pem", "--cert", "/cert.pem", "--output", "/in/theirs", "/in/plain"},
		Rw: []sandbox.Bind{{Host: dir, Path: "/in"}}, Ro: []sandbox.Bind{{Host: p.Cert, Path: "/cert.pem"}, {Host: p.Key, Path: "/key.pem"}}})
	if err != nil {
		t.Fatal(err)
	}
	var sums [2][32]byte
	var checksums [2]uint32
	for i, name := range []string{"signed", "theirs"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(bytes.NewReader(b), int64(len(b)), certificate(t, p)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if sums[i], err = Hash(bytes.NewReader(b), int64(len(b))); err != nil {
			t.Error(err)
		}
		// The checksum of theirs is made anew: it must be what is there.
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := Checksum(f, int64(len(b))); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !bytes.Equal(after, b) {
			t.Errorf("%s: the checksum was another (%v)", name, err)
		}
		im, err := parse(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		checksums[i] = binary.LittleEndian.Uint32(b[im.checksum:])
	}
	if sums[0] != sums[1] {
		t.Errorf("the hash is %x, of sbsign's %x", sums[0], sums[1])
	}
	if checksums[0] == 0 || checksums[1] == 0 {
		t.Errorf("checksums %#x", checksums)
	}
}

func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	good, other := pair(t, "good", rsaKey(t, 2048)), pair(t, "other", rsaKey(t, 2048))
	gap := tiny()
	binary.LittleEndian.PutUint32(gap[0x40+24+240+40+20:], 1032) // PointerToRawData of the second section
	elsewhere := tiny(make([]byte, 16)...)
	binary.LittleEndian.PutUint32(elsewhere[0x40+directoryOffset:], 1536)
	binary.LittleEndian.PutUint32(elsewhere[0x40+directoryOffset+4:], 8)
	for name, c := range map[string]struct {
		image []byte
		pair  Pair
		want  []string
	}{
		"mismatch":     {tiny(), Pair{good.Key, other.Cert}, []string{good.Key, other.Cert, "belong together"}},
		"no key":       {tiny(), Pair{filepath.Join(dir, "none"), good.Cert}, []string{"no such file"}},
		"short key":    {tiny(), pair(t, "short", rsaKey(t, 1024)), []string{"1024 bits", "2048"}},
		"ECDSA":        {tiny(), pair(t, "p256", ecKey(t, elliptic.P256())), []string{"no RSA key"}},
		"no image":     {[]byte("hello"), good, []string{"no PE image"}},
		"cut short":    {tiny()[:1100], good, []string{"sections end"}},
		"gap":          {gap, good, []string{"begins at 0x408"}},
		"table inside": {elsewhere, good, []string{"not the end of the file"}},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			err := Sign(write("in", c.image), out, c.pair)
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v does not say %q", err, want)
				}
			}
			left, globErr := filepath.Glob(filepath.Join(filepath.Dir(out), "*"))
			hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".*"))
			if globErr != nil || len(left)+len(hidden) > 0 {
				t.Errorf("left behind: %q %q", left, hidden)
			}
		})
	}
	if err := Verify(bytes.NewReader(tiny()), 1536, certificate(t, good)); !errors.Is(err, ErrNotSigned) {
		t.Errorf("an image without a signature: %v", err)
	}
	for p, want := range map[Pair]string{{Key: "k"}: "certificate", {Cert: "c"}: "key"} {
		if _, err := p.Set(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

// Any single changed bit of a signed image, its signature included, is noticed,
// or it is one that is no part of what counts.
func TestEveryByteCounts(t *testing.T) {
	p := pair(t, "good", rsaKey(t, 2048))
	dir := t.TempDir()
	name := filepath.Join(dir, "image")
	if err := os.WriteFile(name, tiny(1, 2, 3), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Sign(name, name, p); err != nil { // in place
		t.Fatal(err)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, p)
	im, err := parse(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range int(im.certs) {
		if int64(i) >= im.checksum && int64(i) < im.checksum+4 {
			continue
		}
		b[i] ^= 1
		if Verify(bytes.NewReader(b), int64(len(b)), cert) == nil {
			t.Errorf("a change at %#x is not noticed", i)
		}
		b[i] ^= 1
	}
	if err := Verify(bytes.NewReader(b), int64(len(b)), cert); err != nil {
		t.Error(err)
	}
}

func FuzzVerify(f *testing.F) {
	p := pair(f, "good", rsaKey(f, 2048))
	cert := certificate(f, p)
	name := filepath.Join(f.TempDir(), "image")
	if err := os.WriteFile(name, tiny(), 0o644); err != nil {
		f.Fatal(err)
	}
	if err := Sign(name, name, p); err != nil {
		f.Fatal(err)
	}
	signed, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add(tiny())
	f.Fuzz(func(t *testing.T, b []byte) {
		hash, hashErr := Hash(bytes.NewReader(b), int64(len(b)))
		if err := Verify(bytes.NewReader(b), int64(len(b)), cert); err != nil {
			return
		}
		// Nobody but the key signs: what verifies is the image that was signed.
		want, _ := Hash(bytes.NewReader(signed), int64(len(signed)))
		if hashErr != nil || hash != want {
			t.Errorf("an image of hash %x (%v) verifies", hash, hashErr)
		}
	})
}

func FuzzSignature(f *testing.F) {
	p := pair(f, "good", rsaKey(f, 2048))
	s, err := p.load()
	if err != nil {
		f.Fatal(err)
	}
	der, err := s.sign([32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := table(b); err == nil && len(b) > 0 && len(list) == 0 {
			t.Error("a table without entries")
		}
		got, err := parseSignature(b)
		if err == nil && got.verify([32]byte{1}, s.cert) == nil && !bytes.Equal(got.bytes, mustParse(t, der).bytes) {
			t.Error("another signature verifies")
		}
	})
}

func mustParse(t *testing.T, der []byte) *signature {
	t.Helper()
	s, err := parseSignature(der)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
