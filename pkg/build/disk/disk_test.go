package disk_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/disk/judge"
)

// A disk of two partitions is written from its beginning to its end. The digest
// is the file's; sgdisk, fsck.fat and mtools take it.
func TestWholeDisk(t *testing.T) {
	const size = 80 << 20
	table := &gpt.Table{Disk: gpt.Derive(nil, "disk"), Partitions: []gpt.Partition{
		{Type: gpt.BIOSBoot, ID: gpt.Derive(nil, "bios"), Name: "bios", Size: 1 << 20},
		{Type: gpt.ESP, ID: gpt.Derive(nil, "esp"), Name: "esp", Size: 64 << 20},
	}}
	if err := table.Place(size); err != nil {
		t.Fatal(err)
	}
	head, tail, err := table.Encode(size)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	esp := table.Partitions[1]
	kernel := bytes.Repeat([]byte("kernel"), 1_000_000)
	h := &disk.Hasher{W: f, H: sha256.New()}
	if _, err := h.WriteAt(head, 0); err != nil {
		t.Fatal(err)
	}
	volume := fat.Volume{Size: esp.Size, Label: "ESP", Time: time.Unix(1e9, 0), Hidden: uint32(esp.Start / gpt.SectorSize), Files: []disk.File{
		disk.Bytes("EFI/BOOT/BOOTX64.EFI", []byte("loader")), disk.Bytes("vmlinuz", kernel)}}
	layout, err := volume.Write(t.Context(), io.NewOffsetWriter(h, esp.Start))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt(tail, size-int64(len(tail))); err != nil {
		t.Fatal(err)
	}
	got, err := h.Sum(size)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if want := sha256.Sum256(text); !bytes.Equal(got, want[:]) {
		t.Errorf("the digest is %x, the file's %x", got, want)
	}
	at := esp.Start + layout.Files["vmlinuz"].Offset
	if !bytes.Equal(text[at:at+int64(len(kernel))], kernel) {
		t.Error("the kernel is not where the layout says")
	}
	judges(t, dir, text, esp, kernel)
}

func judges(t *testing.T, dir string, text []byte, esp gpt.Partition, kernel []byte) {
	t.Helper()
	if said := judge.Run(t, dir, "sgdisk", "-v", judge.In+"/disk.img"); !strings.Contains(said, "No problems found") {
		t.Error(said)
	}
	if err := os.WriteFile(filepath.Join(dir, "esp.img"), text[esp.Start:esp.End()], 0o644); err != nil {
		t.Fatal(err)
	}
	judge.Run(t, dir, "fsck.fat", "-n", judge.In+"/esp.img")
	// mtools find the volume in the disk, at the partition's place.
	judge.Run(t, dir, "mcopy", "-i", judge.In+"/disk.img@@2M", "::/vmlinuz", judge.In+"/out")
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil || !bytes.Equal(out, kernel) {
		t.Errorf("mcopy copied %d bytes out, %v", len(out), err)
	}
}

// A writer that goes back would give a digest of something else.
func TestHasherBackwards(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := &disk.Hasher{W: f, H: sha256.New()}
	if _, err := h.WriteAt([]byte("abc"), 200_000); err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteAt([]byte("abc"), 200_002); err == nil {
		t.Error("a write before the end of what was hashed was taken")
	}
	if _, err := h.Sum(200_002); err == nil {
		t.Error("an image shorter than what was written has a digest")
	}
	want := sha256.Sum256(append(append(make([]byte, 200_000), "abc"...), 0, 0))
	if got, err := h.Sum(200_005); err != nil || !bytes.Equal(got, want[:]) {
		t.Errorf("%x, %v; want %x", got, err, want)
	}
	closed := &disk.Hasher{W: f, H: sha256.New()}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := closed.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the error of writing was swallowed")
	}
}
