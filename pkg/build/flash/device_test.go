package flash

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/disk/judge"
	"github.com/bee-os/bee/pkg/build/flash/looptest"
	"github.com/bee-os/bee/pkg/build/paramblock"
)

const mib = 1 << 20

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bootable is an image with a partition table, a FAT file system and a
// parameter block, and SHA256SUMS beside it.
func bootable(t *testing.T) (name string, text []byte) {
	t.Helper()
	const size = 12 * mib
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "fat"), make([]byte, 8*mib))
	judge.Run(t, dir, "mformat", "-i", judge.In+"/fat", "-v", "BEE", "::")
	fat, err := os.ReadFile(filepath.Join(dir, "fat"))
	if err != nil {
		t.Fatal(err)
	}
	table := &gpt.Table{Disk: gpt.Derive(nil, "disk"), Boot: []byte{0xeb, 0xfe}, Partitions: []gpt.Partition{
		{Type: gpt.ESP, ID: gpt.Derive(nil, "esp"), Name: "bee esp", Start: mib, Size: 8 * mib},
		{Type: gpt.LinuxData, ID: gpt.Derive(nil, "data"), Name: "noise", Start: 9 * mib, Size: mib},
	}}
	head, tail, err := table.Encode(size)
	if err != nil {
		t.Fatal(err)
	}
	text = make([]byte, size)
	copy(text, head)
	copy(text[mib:], fat)
	copy(text[9*mib:], noise(mib))
	block, err := paramblock.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	copy(text[9*mib:], block[:])
	copy(text[size-len(tail):], tail)
	name = filepath.Join(dir, "bee.img")
	writeFile(t, name, text)
	sums(t, name)
	return name, text
}

func sums(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(filepath.Dir(name), sumsFile), fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(text), filepath.Base(name)))
}

// loop is a loop device over a file of this size, full of what was there
// before.
func loop(t *testing.T, size int) (dev, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "disk")
	writeFile(t, file, bytes.Repeat([]byte("old data"), size/8))
	return looptest.Device(t, file, false), file
}

func run(t *testing.T, dev, image, answer string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := Flash(t.Context(), Job{Device: dev, Image: image, In: strings.NewReader(answer), Out: &out})
	return out.String(), err
}

// On a larger disk the image lies as it is, and sgdisk finds both copies of its
// partition table where they belong.
func TestFlash(t *testing.T) {
	image, text := bootable(t)
	for _, larger := range []int{0, 4096, 20 * mib} {
		dev, file := loop(t, len(text)+larger)
		said, err := run(t, dev, image, filepath.Base(dev)+"\n")
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		for _, want := range []string{"Everything on this disk will be lost", "Type " + filepath.Base(dev), "verified: " + dev, "virtual", "the one that SHA256SUMS names"} {
			if !strings.Contains(said, want) {
				t.Errorf("it does not say %q:\n%s", want, said)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got[mib:11*mib], text[mib:11*mib]) || !bytes.Equal(got[:446], text[:446]) {
			t.Errorf("%d larger: the disk holds something else", larger)
		}
		if larger == 0 && !bytes.Equal(got, text) {
			t.Error("on a disk of the same size not every byte is the image's")
		}
		if said := judge.Run(t, filepath.Dir(file), "sgdisk", "-v", judge.In+"/disk"); !strings.Contains(said, "No problems found") {
			t.Errorf("%d larger: sgdisk: %s", larger, said)
		}
		if said := judge.Run(t, filepath.Dir(file), "sfdisk", "-l", judge.In+"/disk"); strings.Contains(said, "corrupt") || strings.Contains(said, "mismatch") {
			t.Errorf("%d larger: sfdisk: %s", larger, said)
		}
		// Again: now what was written is told as what will be lost.
		said, err = run(t, dev, image, "no\n")
		if !strings.Contains(said, `"bee esp": 8.0 MiB (8388608 bytes), FAT "BEE"`) {
			t.Errorf("it does not tell what is on the disk:\n%s", said)
		}
		if err == nil || !strings.Contains(err.Error(), `nothing is written: the answer was "no"`) {
			t.Errorf("%v\n%s", err, said)
		}
	}
}

// An image whose table another program wrote is written as it is, to the byte;
// one with other words in its parameter block passes the check.
func TestFlashAsItIs(t *testing.T) {
	image, text := bootable(t)
	text[gpt.SectorSize+88] ^= 1 // the CRC of the entries
	writeFile(t, image, text)
	sums(t, image)
	var out strings.Builder
	if err := paramblock.Patch(t.Context(), paramblock.Job{File: image, Words: []string{"bee.debug"}, Out: &out}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	dev, file := loop(t, len(text)+mib)
	out.Reset()
	if err := Flash(t.Context(), Job{Device: dev, Image: image, Yes: dev, Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"with other words in its parameter block", "the image's own"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, out.String())
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:len(text)], text) {
		t.Error("the disk holds something else")
	}
	if end := got[len(got)-gpt.TailSize:]; !bytes.Equal(end, make([]byte, len(end))) {
		t.Error("what an older table left at the end is there still")
	}
}

// What is refused leaves the disk as it was.
func TestFlashRefuses(t *testing.T) {
	image, text := bootable(t)
	dev, file := loop(t, len(text))
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	other := func(name string, text []byte, withSums bool) string {
		sub := filepath.Join(dir, name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(sub, "bee.img")
		writeFile(t, file, text)
		if withSums {
			sums(t, file)
		}
		return file
	}
	damaged := other("damaged", text, true)
	text = bytes.Clone(text)
	text[5*mib] ^= 1
	writeFile(t, damaged, text)
	for _, c := range []struct{ name, dev, image, answer, says string }{
		{"no answer", dev, image, "", "nothing is written"},
		{"another answer", dev, image, "sda\n", "nothing is written"},
		{"yes", dev, image, "yes\n", "nothing is written"},
		{"a file", file, image, "", "not a block device"},
		{"nothing there", filepath.Join(dir, "none"), image, "", "no such file"},
		{"a character device", "/dev/null", image, "", "not a block device"},
		{"a damaged image", dev, damaged, "", "it is damaged, or another build's"},
		{"no sums", dev, other("alone", text, false), "", "there is no SHA256SUMS beside it"},
		{"not in the sums", dev, filepath.Join(filepath.Dir(image), "fat"), "", "does not name it"},
		{"qcow2", dev, other("qcow2", append([]byte("QFI\xfb"), make([]byte, 508)...), true), "", "qcow2"},
		{"no boot sector", dev, other("text", make([]byte, 4096), true), "", "not the image of a disk"},
		{"too large", dev, other("large", append(bytes.Clone(text), make([]byte, 512)...), true), "", "the image needs"},
	} {
		said, err := run(t, c.dev, c.image, c.answer)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q\n%s", c.name, err, c.says, said)
		}
	}
	claim, err := os.OpenFile(dev, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, dev, image, filepath.Base(dev)); err == nil || !strings.Contains(err.Error(), "somebody uses it") {
		t.Errorf("in use: %v", err)
	}
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(before, now) {
		t.Errorf("the disk was changed all the same (%v)", err)
	}
}

func TestFlashReadOnly(t *testing.T) {
	image, text := bootable(t)
	file := filepath.Join(t.TempDir(), "disk")
	writeFile(t, file, make([]byte, len(text)))
	dev := looptest.Device(t, file, true)
	if _, err := run(t, dev, image, filepath.Base(dev)); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Error(err)
	}
}

// A disk with a mounted file system says where; what lies on it is told before
// the question.
func TestFlashMounted(t *testing.T) {
	image, _ := bootable(t)
	dev, file := loop(t, 16*mib)
	judge.Run(t, filepath.Dir(file), "mke2fs", "-q", "-F", "-t", "ext4", "-L", "precious", judge.In+"/disk")
	said, err := run(t, dev, image, "no")
	if err == nil || !strings.Contains(said, `the whole disk: ext4 "precious"`) {
		t.Errorf("%v\n%s", err, said)
	}
	point := t.TempDir()
	if err := unix.Mount(dev, point, "ext4", unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Unmount(point, 0); err != nil {
			t.Error(err)
		}
	}()
	if _, err := run(t, dev, image, filepath.Base(dev)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("mounted on %q; unmount it first", point)) {
		t.Errorf("mounted: %v", err)
	}
}

// Each file system that a tool makes here is recognised with its label.
func TestRecognise(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		`ext4 "precious"`: {"mke2fs", "-q", "-F", "-t", "ext4", "-L", "precious", judge.In + "/fs"},
		`FAT32 "STICK"`:   {"mkfs.fat", "-F", "32", "-n", "STICK", judge.In + "/fs"},
		`FAT "SMALL"`:     {"mkfs.fat", "-F", "16", "-n", "SMALL", judge.In + "/fs"},
		`swap "swp"`:      {"mkswap", "-q", "-L", "swp", judge.In + "/fs"},
		`ISO 9660 "DISC"`: {"genisoimage", "-quiet", "-V", "DISC", "-o", judge.In + "/fs", "/usr/share/doc"},
	} {
		text := make([]byte, 64*mib)
		writeFile(t, filepath.Join(dir, "fs"), text)
		judge.Run(t, dir, args...)
		text, err := os.ReadFile(filepath.Join(dir, "fs"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := recognise(bytes.NewReader(text), int64(len(text))); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", args[0], got, err, want)
		}
	}
}
