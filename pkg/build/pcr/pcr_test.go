package pcr

import (
	"bytes"
	"context"
	"debug/pe"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/uki"
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

func judge(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	box, err := sandbox.Open(t.Context(), lockFile(t), os.Stderr, "amd64", "tools-uefi")
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

// programs is the folder of systemd's EFI programs.
func programs(t testing.TB) string {
	t.Helper()
	l := lockFile(t)
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Get("systemd-boot-efi", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := debian.NewStore(f).Tree(context.Background(), e)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "usr/lib/systemd/boot/efi")
}

// predict is PCR 11 of an image file.
func predict(t *testing.T, name string) Digest {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	events, err := Stub(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return Predict(events)[KernelImage]
}

// measure asks systemd-measure, of the parts in dir, for the value before any
// phase of a boot is measured.
func measure(t *testing.T, box *sandbox.Sandbox, dir string, parts ...string) string {
	t.Helper()
	args := []string{"/usr/lib/systemd/systemd-measure", "calculate", "--bank=sha256", "--phase=:", "--json=short"}
	for _, p := range parts {
		args = append(args, "--"+p+"=/in/"+p)
	}
	out, err := box.Output(t.Context(), sandbox.Step{Args: args, Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		SHA256 []struct {
			PCR  int
			Hash string
		}
	}
	if err := json.Unmarshal(out, &got); err != nil || len(got.SHA256) != 1 || got.SHA256[0].PCR != KernelImage {
		t.Fatalf("systemd-measure says %s (%v)", out, err)
	}
	return got.SHA256[0].Hash
}

// files writes them to a folder; the kernel and stub are systemd's programs.
func files(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	kernel, err := os.ReadFile(filepath.Join(programs(t), "systemd-bootx64.efi"))
	if err != nil {
		t.Fatal(err)
	}
	texts["linux"] = string(kernel)
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The prediction for an image of ours is systemd-measure's for its parts.
func TestStub(t *testing.T) {
	box := judge(t)
	dir := files(t, map[string]string{"initrd": strings.Repeat("initrd", 5000), "cmdline": "console=ttyS0 quiet", "osrel": "ID=bee\n", "uname": "6.12.0"})
	stub := filepath.Join(programs(t), "linuxx64.efi.stub")
	c := uki.Config{Stub: stub, Kernel: filepath.Join(dir, "linux"), Initrd: filepath.Join(dir, "initrd"), Cmdline: "console=ttyS0 quiet", OSRelease: []byte("ID=bee\n"), Uname: "6.12.0", Out: filepath.Join(dir, "bee.efi")}
	if err := uki.Build(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	keepSBAT(t, dir, c.Out)
	if got, want := predict(t, c.Out).String(), measure(t, box, dir, "linux", "initrd", "cmdline", "osrel", "uname", "sbat"); got != want {
		t.Errorf("PCR 11 is %s; systemd-measure says %s", got, want)
	}
}

// The same for an image that ukify made, with sections that ours lack.
func TestStubOfUkify(t *testing.T) {
	box := judge(t)
	dir := files(t, map[string]string{"initrd": "initrd", "cmdline": "quiet", "osrel": "ID=other\n", "uname": "6.1", "ucode": "microcode", "splash": "a picture", "dtb": "a device tree", "pcrpkey": "a key"})
	stub := filepath.Join(programs(t), "linuxx64.efi.stub")
	err := box.Run(t.Context(), sandbox.Step{
		Args: []string{"python3", "/usr/lib/systemd/ukify", "build", "--stub=/stub", "--linux=/in/linux", "--initrd=/in/initrd", "--cmdline=@/in/cmdline", "--os-release=@/in/osrel", "--uname=6.1",
			"--microcode=/in/ucode", "--splash=/in/splash", "--devicetree=/in/dtb", "--pcrpkey=/in/pcrpkey", "--efi-arch=x64", "--section=.pcrsig:signatures", "--output=/in/image"},
		Rw: []sandbox.Bind{{Host: dir, Path: "/in"}}, Ro: []sandbox.Bind{{Host: stub, Path: "/stub"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	keepSBAT(t, dir, filepath.Join(dir, "image"))
	if got, want := predict(t, filepath.Join(dir, "image")).String(), measure(t, box, dir, "linux", "initrd", "cmdline", "osrel", "uname", "ucode", "splash", "dtb", "pcrpkey", "sbat"); got != want {
		t.Errorf("PCR 11 is %s; systemd-measure says %s", got, want)
	}
}

// keepSBAT writes the image's section .sbat as a file: stub and kernel make it
// together.
func keepSBAT(t *testing.T, dir, image string) {
	t.Helper()
	f, err := pe.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := f.Section(".sbat")
	b, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sbat"), b[:s.VirtualSize], 0o644); err != nil {
		t.Fatal(err)
	}
}
