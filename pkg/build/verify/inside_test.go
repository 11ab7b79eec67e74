package verify

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/disk/qcow2"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

const mib = 1 << 20

type memory []byte

func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

// disk is a GPT, or an MBR, with a FAT volume in its second partition.
func disk(t *testing.T, mbr bool) string {
	t.Helper()
	esp := make(memory, 16*mib)
	v := fat.Volume{Size: 16 * mib, Bits: 16, Time: time.Unix(1790000000, 0), Files: []fat.File{fat.Bytes("bee/vmlinuz", []byte(kernel))}}
	if _, err := v.Write(t.Context(), esp); err != nil {
		t.Fatal(err)
	}
	out := make(memory, 20*mib)
	var err error
	if mbr {
		err = gpt.MBR{Partitions: []gpt.MBRPartition{{Type: 0x83, Start: mib, Size: mib}, {Type: 0x0c, Start: 2 * mib, Size: 16 * mib}}}.Write(out, 20*mib)
	} else {
		err = (&gpt.Table{Disk: gpt.Derive(nil, "d"), Partitions: []gpt.Partition{
			{Type: gpt.BIOSBoot, ID: gpt.Derive(nil, "1"), Name: "bios", Start: mib, Size: mib}, {Type: gpt.ESP, ID: gpt.Derive(nil, "2"), Name: "esp", Start: 2 * mib, Size: 16 * mib}}}).Write(out, 20*mib)
	}
	if err != nil {
		t.Fatal(err)
	}
	copy(out[2*mib:], esp)
	return string(out)
}

func qcow(t *testing.T, raw string) string {
	t.Helper()
	out := make(memory, 24*mib)
	n, err := qcow2.Write(t.Context(), out, strings.NewReader(raw), int64(len(raw)), qcow2.Options{Compress: true})
	if err != nil {
		t.Fatal(err)
	}
	return string(out[:n])
}

// iso is made by xorriso.
func iso(t *testing.T) string {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", "tools-image")
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	in, out := t.TempDir(), t.TempDir()
	write(t, in, "bee/vmlinuz", kernel)
	err = box.Run(t.Context(), sandbox.Step{Args: []string{"xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", "/out/a.iso", "/in"},
		Ro: []sandbox.Bind{{Host: in, Path: "/in"}}, Rw: []sandbox.Bind{{Host: out, Path: "/out"}}})
	if err != nil {
		t.Fatal(err)
	}
	return read(t, out, "a.iso")
}

func TestTakenOut(t *testing.T) {
	for name, image := range map[string]string{"gpt": disk(t, false), "mbr": disk(t, true), "iso": iso(t), "qcow2": qcow(t, disk(t, false))} {
		for path, want := range map[string]string{"/bee/vmlinuz": kernel, "bee/vmlinuz": kernel, "/bee/other": ""} {
			r := strings.NewReader(image)
			f, err := Inside(t.Context(), r, manifest.Output{Size: r.Size()}, manifest.Content{Path: path})
			if want == "" {
				if err == nil || errors.Is(err, ErrForm) {
					t.Errorf("%s: %s: %v", name, path, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%s: %s: %v", name, path, err)
			}
			if text, err := io.ReadAll(f); err != nil || string(text) != want {
				t.Errorf("%s: %s: %.20q, %v", name, path, text, err)
			}
		}
	}
	if _, err := Inside(t.Context(), strings.NewReader(kernel), manifest.Output{Size: int64(len(kernel))}, manifest.Content{Path: "x"}); !errors.Is(err, ErrForm) {
		t.Errorf("no disk at all: %v", err)
	}
}
