package uki

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"debug/pe"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/authenticode"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

const root = "../../.."

func lockFile(t testing.TB) *lock.File {
	t.Helper()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func judge(t *testing.T, group string) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.Open(t.Context(), lockFile(t), os.Stderr, "amd64", group)
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

// efi is the folder of systemd's EFI programs for an architecture.
func efi(t testing.TB, arch string) string {
	t.Helper()
	l := lockFile(t)
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Get("systemd-boot-efi", arch)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := debian.NewStore(f).Tree(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "usr/lib/systemd/boot/efi")
}

// names are how systemd calls the architectures.
var names = map[string]string{"amd64": "x64", "arm64": "aa64"}

// config is an image of small parts: systemd-boot stands for the kernel.
func config(t testing.TB, arch string) Config {
	t.Helper()
	dir, programs := t.TempDir(), efi(t, arch)
	initrd := filepath.Join(dir, "initrd")
	if err := os.WriteFile(initrd, bytes.Repeat([]byte("initrd\n"), 12345), 0o644); err != nil {
		t.Fatal(err)
	}
	return Config{
		Stub: filepath.Join(programs, "linux"+names[arch]+".efi.stub"), Kernel: filepath.Join(programs, "systemd-boot"+names[arch]+".efi"),
		Initrd: initrd, Cmdline: "console=ttyS0 bee.hostname=\"a b\"", OSRelease: []byte("ID=bee\nNAME=bee\n"), Uname: "6.12.0-test", Out: filepath.Join(dir, "bee.efi"),
	}
}

func build(t testing.TB, c Config) []byte {
	t.Helper()
	if err := Build(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ukify runs systemd's own program, which shows the folder of the image as /in.
func ukify(t *testing.T, box *sandbox.Sandbox, c Config, args ...string) []byte {
	t.Helper()
	dir := filepath.Dir(c.Out)
	out, err := box.Output(t.Context(), sandbox.Step{Args: append([]string{"python3", "/usr/lib/systemd/ukify"}, args...),
		Rw: []sandbox.Bind{{Host: dir, Path: "/in"}}, Ro: []sandbox.Bind{{Host: c.Stub, Path: "/stub"}, {Host: c.Kernel, Path: "/kernel"}}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// normal takes out what ukify does another way: it writes no checksum, and puts
// a line of its own into the section of the generations.
func normal(t *testing.T, b []byte) []byte {
	t.Helper()
	b = bytes.Clone(b)
	f, err := pe.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	start := int64(b[60]) | int64(b[61])<<8
	clear(b[start+24+64:][:4])
	for i, s := range f.Sections {
		if s.Name == ".sbat" {
			clear(b[s.Offset : s.Offset+s.Size])
			clear(b[start+24+int64(f.SizeOfOptionalHeader)+int64(i)*sectionHeader+virtualSize:][:4])
		}
	}
	return b
}

// The image is the one that systemd's ukify makes of the same parts, byte for
// byte, and ukify reads the parts out of it again.
func TestAgainstUkify(t *testing.T) {
	box := judge(t, "tools-uefi")
	for arch, name := range names {
		t.Run(arch, func(t *testing.T) {
			c := config(t, arch)
			ours := build(t, c)
			if err := os.WriteFile(filepath.Join(filepath.Dir(c.Out), "osrel"), c.OSRelease, 0o644); err != nil {
				t.Fatal(err)
			}
			ukify(t, box, c, "build", "--stub=/stub", "--linux=/kernel", "--initrd=/in/initrd", "--cmdline="+c.Cmdline, "--os-release=@/in/osrel", "--uname="+c.Uname, "--efi-arch="+name, "--output=/in/theirs")
			theirs, err := os.ReadFile(filepath.Join(filepath.Dir(c.Out), "theirs"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(normal(t, ours), normal(t, theirs)) {
				t.Errorf("ukify makes another image: %d and %d bytes", len(ours), len(theirs))
			}
			inspect(t, box, c)
		})
	}
}

// inspect holds what ukify reads out of the image against what went in.
func inspect(t *testing.T, box *sandbox.Sandbox, c Config) {
	t.Helper()
	var got map[string]struct {
		Size   int64
		SHA256 string
		Text   string
	}
	if err := json.Unmarshal(ukify(t, box, c, "--json=short", "inspect", "/in/"+filepath.Base(c.Out)), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{".osrel": c.OSRelease, ".cmdline": []byte(c.Cmdline), ".uname": []byte(c.Uname)}
	for name, file := range map[string]string{".linux": c.Kernel, ".initrd": c.Initrd} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = b
	}
	for name, b := range want {
		sum := sha256.Sum256(b)
		if g := got[name]; g.Size != int64(len(b)) || g.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("section %s is %+v, wanted %d bytes, %x", name, g, len(b), sum)
		}
	}
	sbat := got[".sbat"].Text
	if strings.Count(sbat, "sbat,1,SBAT Version,") != 1 || !strings.Contains(sbat, "systemd-stub,1,") || !strings.Contains(sbat, "systemd-boot,1,") {
		t.Errorf("generations of stub and kernel: %q", sbat)
	}
}

// The same parts give the same bytes, and a signature that sbverify takes.
func TestDeterministicAndSigned(t *testing.T) {
	box := judge(t, "tools-judge")
	c := config(t, "amd64")
	first := build(t, c)
	if again := build(t, c); !bytes.Equal(first, again) {
		t.Error("the second image is another one")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "db"}, NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(1800000000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(c.Out)
	p := authenticode.Pair{Key: filepath.Join(dir, "key.pem"), Cert: filepath.Join(dir, "cert.pem")}
	for name, block := range map[string]*pem.Block{p.Key: {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}, p.Cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := authenticode.Sign(c.Out, filepath.Join(dir, "signed"), p); err != nil {
		t.Fatal(err)
	}
	verify := []string{"sbverify", "--cert", "/in/cert.pem", "/in/signed"}
	if err := box.Run(t.Context(), sandbox.Step{Args: verify, Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}}); err != nil {
		t.Error(err)
	}
}

// A large initrd goes through; it is never in memory.
func TestStreams(t *testing.T) {
	c := config(t, "amd64")
	const size = 64 << 20
	if err := os.Truncate(c.Initrd, size); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := Build(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > size/8 {
		t.Errorf("an initrd of %d bytes took %d bytes of memory", size, n)
	}
	if st, err := os.Stat(c.Out); err != nil || st.Size() < size {
		t.Errorf("%v, %v", st, err)
	}
}

func TestRefuses(t *testing.T) {
	programs := efi(t, "amd64")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(c *Config){
		"no kernel command line":     func(c *Config) { c.Cmdline = "" },
		"has 3000 bytes":             func(c *Config) { c.Cmdline = strings.Repeat("x", 3000) },
		"ends in white space":        func(c *Config) { c.Cmdline = "quiet " },
		"control character":          func(c *Config) { c.Cmdline = "a\nb" },
		"white space":                func(c *Config) { c.Uname = "6 12" },
		"not systemd's stub":         func(c *Config) { c.Stub = filepath.Join(programs, "systemd-bootx64.efi") },
		"read stub":                  func(c *Config) { c.Stub = c.Initrd },
		"is no EFI program":          func(c *Config) { c.Kernel = c.Initrd },
		"one architecture":           func(c *Config) { c.Kernel = filepath.Join(efi(t, "arm64"), "systemd-bootaa64.efi") },
		"empty, or no regular file":  func(c *Config) { c.Initrd = empty },
		"no such file or directory":  func(c *Config) { c.Initrd = empty + "x" },
		"context canceled":           func(c *Config) {},
		"the stub's header has no r": nil,
	} {
		t.Run(want, func(t *testing.T) {
			c := config(t, "amd64")
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			switch {
			case want == "context canceled":
				cancel()
			case change == nil:
				manySections(t, &c)
			}
			if change != nil {
				change(&c)
			}
			if err := Build(ctx, c); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.Out) {
				t.Errorf("error %v does not say %q", err, want)
			}
			if left, err := os.ReadDir(filepath.Dir(c.Out)); err != nil || len(left) > 2 { // the initrd, a stub
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// manySections gives the stub a header that is full.
func manySections(t *testing.T, c *Config) {
	t.Helper()
	text, err := os.ReadFile(c.Stub)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseStub(text)
	if err != nil {
		t.Fatal(err)
	}
	var parts []part
	for err == nil {
		parts = append(parts, part{name: ".x", size: 1, r: strings.NewReader("x")})
		tried := *s
		tried.text = bytes.Clone(text)
		var size int64
		if size, err = tried.append(parts); err == nil {
			full := append(tried.text, make([]byte, size-int64(len(text)))...)
			c.Stub = filepath.Join(filepath.Dir(c.Out), "full.stub")
			if err := os.WriteFile(c.Stub, full, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A stub that promises what the kernel does not keep no longer promises it.
func TestNX(t *testing.T) {
	c := config(t, "amd64")
	kernel, err := os.ReadFile(c.Kernel)
	if err != nil {
		t.Fatal(err)
	}
	nx := func(b []byte) bool {
		f, err := pe.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return f.OptionalHeader.(*pe.OptionalHeader64).DllCharacteristics&pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT != 0
	}
	if !nx(build(t, c)) {
		t.Fatal("stub and kernel run where data cannot be executed, and the image does not say so: this test shows nothing")
	}
	start := int(kernel[60]) | int(kernel[61])<<8
	kernel[start+characteristics+1] &^= pe.IMAGE_DLLCHARACTERISTICS_NX_COMPAT >> 8
	c.Kernel = filepath.Join(t.TempDir(), "kernel")
	if err := os.WriteFile(c.Kernel, kernel, 0o644); err != nil {
		t.Fatal(err)
	}
	if nx(build(t, c)) {
		t.Error("the image promises what its kernel does not keep")
	}
}

// tiny is the least that is a stub.
func tiny() []byte {
	b := make([]byte, 2048)
	copy(b, "MZ")
	b[60] = 0x40
	at := 0x40 + copy(b[0x40:], "PE\x00\x00")
	for _, v := range []any{
		pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: 2, SizeOfOptionalHeader: 240},
		pe.OptionalHeader64{Magic: 0x20b, SectionAlignment: 4096, FileAlignment: 512, SizeOfHeaders: 1024, Subsystem: 10, NumberOfRvaAndSizes: 16},
		pe.SectionHeader32{Name: [8]uint8{'.', 's', 'd', 'm', 'a', 'g', 'i', 'c'}, VirtualAddress: 0x1000, VirtualSize: 512, PointerToRawData: 1024, SizeOfRawData: 512},
		pe.SectionHeader32{Name: [8]uint8{'.', 's', 'b', 'a', 't'}, VirtualAddress: 0x2000, VirtualSize: 12, PointerToRawData: 1536, SizeOfRawData: 512},
	} {
		n, err := binary.Encode(b[at:], binary.LittleEndian, v)
		if err != nil {
			panic(err)
		}
		at += n
	}
	copy(b[1024:], magicText)
	copy(b[1536:], "sbat,1,test\n")
	return b
}

func FuzzStub(f *testing.F) {
	if _, err := parseStub(tiny()); err != nil {
		f.Fatal(err)
	}
	f.Add(tiny())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStub(bytes.Clone(b))
		if err != nil {
			return
		}
		s.clearNX()
		if err := s.addSBAT([]byte("sbat,1,x\nkernel,1\n")); err != nil {
			return
		}
		if size, err := s.append([]part{{name: ".linux", size: 1000}}); err == nil && size < int64(len(b))+1000 {
			t.Errorf("1000 bytes more make %d of %d bytes", size, len(b))
		}
	})
}

func FuzzKernel(f *testing.F) {
	if k, err := parseKernel(bytes.NewReader(tiny()), pe.IMAGE_FILE_MACHINE_AMD64); err != nil || len(k.sbat) != 12 {
		f.Fatal(k, err)
	}
	f.Add(tiny())
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKernel(bytes.NewReader(b), pe.IMAGE_FILE_MACHINE_AMD64)
		if err == nil && len(k.sbat) > len(b) {
			t.Error("more than there is")
		}
	})
}
