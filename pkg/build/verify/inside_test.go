package verify

import (
	"archive/tar"
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/disk/judge"
	"github.com/bee-os/bee/pkg/build/manifest"
)

const mib = 1 << 20

type memory []byte

func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

// wholeDisk is a GPT, or an MBR, with a FAT volume in its second partition.
func wholeDisk(t *testing.T, mbr bool) string {
	t.Helper()
	esp := make(memory, 16*mib)
	v := fat.Volume{Size: 16 * mib, Bits: 16, Time: time.Unix(1790000000, 0), Files: []disk.File{disk.Bytes("bee/vmlinuz", []byte(kernel))}}
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

// qcow is made by qemu-img, and deflated.
func qcow(t *testing.T, raw string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "raw", raw)
	judge.Run(t, dir, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", judge.In+"/raw", judge.In+"/qcow2")
	return read(t, dir, "qcow2")
}

// iso is made by xorriso.
func iso(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "files/bee/vmlinuz", kernel)
	judge.Run(t, dir, "xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", judge.In+"/a.iso", judge.In+"/files")
	return read(t, dir, "a.iso")
}

// archive is a tar archive with the files, in their order.
func archive(t *testing.T, files ...[2]string) string {
	t.Helper()
	var out strings.Builder
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "bee/", Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f[0], Size: int64(len(f[1])), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// program is a PE image with the sections, in their order, each filled up to a
// multiple of 512 bytes (Microsoft, PE Format).
func program(t *testing.T, sections ...[2]string) string {
	t.Helper()
	const headers = 1024
	text := make([]byte, headers)
	copy(text, "MZ")
	text[0x3c] = 64
	var b bytes.Buffer
	optional := pe.OptionalHeader64{Magic: 0x20b, SizeOfHeaders: headers, FileAlignment: 512, SectionAlignment: 4096, NumberOfRvaAndSizes: 16}
	file := pe.FileHeader{Machine: pe.IMAGE_FILE_MACHINE_AMD64, NumberOfSections: uint16(len(sections)), SizeOfOptionalHeader: uint16(binary.Size(optional))}
	for _, v := range []any{[]byte("PE\x00\x00"), file, optional} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range sections {
		h := pe.SectionHeader32{VirtualSize: uint32(len(s[1])), VirtualAddress: uint32(i+1) << 20, SizeOfRawData: uint32(len(s[1])+511) / 512 * 512, PointerToRawData: uint32(len(text))}
		copy(h.Name[:], s[0])
		if err := binary.Write(&b, binary.LittleEndian, h); err != nil {
			t.Fatal(err)
		}
		text = append(text, s[1]...)
		text = append(text, make([]byte, int(h.SizeOfRawData)-len(s[1]))...)
	}
	copy(text[64:headers], b.Bytes())
	return string(text)
}

// A file that stands twice in an archive or a program is not taken for the one
// that the manifest names.
func TestTwice(t *testing.T) {
	two := [][2]string{{"bee/vmlinuz", kernel}, {"./bee/vmlinuz", kernel}}
	for path, image := range map[string]string{"bee/vmlinuz": archive(t, two...), ".linux": program(t, [2]string{".linux", kernel}, [2]string{".linux", kernel})} {
		r := strings.NewReader(image)
		if _, err := Inside(t.Context(), r, manifest.Output{Size: r.Size()}, manifest.Content{Path: path}); err == nil || errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// FuzzInside: bytes of any form are refused or read, and nothing breaks.
func FuzzInside(f *testing.F) {
	t := &testing.T{}
	f.Add([]byte(archive(t, [2]string{"bee/vmlinuz", kernel})), "bee/vmlinuz")
	f.Add([]byte(program(t, [2]string{".linux", kernel})), ".linux")
	f.Add([]byte("QFI\xfb"), "x")
	f.Fuzz(func(t *testing.T, image []byte, path string) {
		r := bytes.NewReader(image)
		in, err := Inside(t.Context(), r, manifest.Output{Size: r.Size()}, manifest.Content{Path: path})
		if err != nil {
			return
		}
		defer in.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(in, 1<<20)); err != nil {
			t.Skip(err) // cut short
		}
	})
}

func TestTakenOut(t *testing.T) {
	for name, image := range map[string]string{"gpt": wholeDisk(t, false), "mbr": wholeDisk(t, true), "iso": iso(t), "qcow2": qcow(t, wholeDisk(t, false)),
		"tar": archive(t, [2]string{"bee/first", initrd}, [2]string{"bee/vmlinuz", kernel}, [2]string{"bee/last", initrd})} {
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
	r := strings.NewReader(program(t, [2]string{".osrel", "ID=bee"}, [2]string{".linux", kernel}, [2]string{".initrd", initrd}))
	for path, want := range map[string]string{".linux": kernel, ".initrd": initrd, ".cmdline": ""} {
		f, err := Inside(t.Context(), r, manifest.Output{Size: r.Size()}, manifest.Content{Path: path})
		if want == "" {
			if err == nil || errors.Is(err, ErrForm) {
				t.Errorf("%s: %v", path, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(f); err != nil || string(text) != want {
			t.Errorf("%s: %.20q, %v", path, text, err)
		}
	}
	if _, err := Inside(t.Context(), strings.NewReader(kernel), manifest.Output{Size: int64(len(kernel))}, manifest.Content{Path: "x"}); !errors.Is(err, ErrForm) {
		t.Errorf("no disk at all: %v", err)
	}
}
