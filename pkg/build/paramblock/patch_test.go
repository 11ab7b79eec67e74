package paramblock

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/flash/looptest"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

var patched = []string{"bee.ip=dhcp@eth0", "bee.ssh_key=ssh-ed25519 AAAA me@x", "console=tty0"}

func patch(t *testing.T, j Job) (string, error) {
	t.Helper()
	var out strings.Builder
	j.Out = &out
	err := Patch(t.Context(), j)
	return out.String(), err
}

// tool runs a tool with dir as /work.
func tool(t *testing.T, box *sandbox.Sandbox, dir string, args ...string) []byte {
	t.Helper()
	text, err := box.Output(t.Context(), sandbox.Step{Args: args, Rw: []sandbox.Bind{{Host: dir, Path: "/made"}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fat makes a FAT file system with the block in it, as mtools does.
func fat(t *testing.T, box *sandbox.Sandbox, dir string) string {
	t.Helper()
	name := filepath.Join(dir, "fat.img")
	write(t, name, make([]byte, 8<<20))
	write(t, filepath.Join(dir, "params.cfg"), mustNew(t, "bee.debug", "bee.password_hash=$6$salt$secret"))
	tool(t, box, dir, "mformat", "-i", "/made/fat.img", "-v", "BEE", "::")
	tool(t, box, dir, "mmd", "-i", "/made/fat.img", "::/bee")
	tool(t, box, dir, "mcopy", "-i", "/made/fat.img", "/made/params.cfg", "::"+Path)
	return name
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What mtools reads out of a patched FAT image is the new block, the rest of
// the image is untouched, and what was published for the image still holds.
func TestPatchFAT(t *testing.T) {
	_, box := open(t, "tools-judge")
	dir := t.TempDir()
	name := fat(t, box, dir)
	before := readFile(t, name)
	said, err := patch(t, Job{File: name, Words: patched})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"was bee.debug bee.password_hash=…\n", "is  bee.ip=dhcp@eth0 'bee.ssh_key=ssh-ed25519 AAAA me@x' console=tty0\n", "1 of 1 blocks"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	if strings.Contains(said, "secret") {
		t.Error("it shows a password's hash")
	}
	block := tool(t, box, dir, "mtype", "-i", "/made/fat.img", "::"+Path)
	if !bytes.Equal(block, mustNew(t, patched...)) {
		t.Errorf("mtools reads %q", block)
	}
	tool(t, box, dir, "fsck.fat", "-n", "/made/fat.img")
	after := readFile(t, name)
	if i := bytes.Index(before, []byte(magic)); !bytes.Equal(before[:i], after[:i]) || !bytes.Equal(before[i+Size:], after[i+Size:]) {
		t.Error("more than the block was changed")
	}
	if said, err := patch(t, Job{File: name}); err != nil || !strings.Contains(said, "is  (no words)") {
		t.Errorf("without words: %s, %v", said, err)
	}
	if got := sha256.Sum256(readFile(t, name)); got == sha256.Sum256(after) || got == sha256.Sum256(before) {
		t.Error("the block is not empty")
	}
}

// An ISO holds the block in its own file system and in the EFI system partition
// inside; isoinfo reads the first, mtools the second.
func TestPatchISO(t *testing.T) {
	_, box := open(t, "tools-judge")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cd/esp.img"), readFile(t, fat(t, box, dir)))
	write(t, filepath.Join(dir, "cd"+Path), mustNew(t))
	tool(t, box, dir, "xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", "/made/cd.iso", "/made/cd")
	said, err := patch(t, Job{File: filepath.Join(dir, "cd.iso"), Words: patched})
	if err != nil || !strings.Contains(said, "2 of 2 blocks") || !strings.Contains(said, "was (no words)") {
		t.Fatalf("%s, %v", said, err)
	}
	want := mustNew(t, patched...)
	if got := tool(t, box, dir, "isoinfo", "-i", "/made/cd.iso", "-R", "-x", Path); !bytes.Equal(got, want) {
		t.Errorf("isoinfo reads %q", got)
	}
	write(t, filepath.Join(dir, "fat.img"), tool(t, box, dir, "isoinfo", "-i", "/made/cd.iso", "-R", "-x", "/esp.img"))
	if got := tool(t, box, dir, "mtype", "-i", "/made/fat.img", "::"+Path); !bytes.Equal(got, want) {
		t.Errorf("mtools reads %q", got)
	}
}

// A qcow2 image as qemu-img makes it takes a new block and is still sound; one
// that is compressed says why it does not.
func TestPatchQcow2(t *testing.T) {
	_, box := open(t, "tools-judge")
	dir := t.TempDir()
	fat(t, box, dir)
	tool(t, box, dir, "qemu-img", "convert", "-O", "qcow2", "/made/fat.img", "/made/a.qcow2")
	tool(t, box, dir, "qemu-img", "convert", "-c", "-O", "qcow2", "/made/fat.img", "/made/c.qcow2")
	if said, err := patch(t, Job{File: filepath.Join(dir, "a.qcow2"), Words: patched}); err != nil {
		t.Fatalf("%s, %v", said, err)
	}
	tool(t, box, dir, "qemu-img", "check", "/made/a.qcow2")
	tool(t, box, dir, "qemu-img", "convert", "-O", "raw", "/made/a.qcow2", "/made/back.img")
	if got := tool(t, box, dir, "mtype", "-i", "/made/back.img", "::"+Path); !bytes.Equal(got, mustNew(t, patched...)) {
		t.Errorf("mtools reads %q", got)
	}
	compressed := filepath.Join(dir, "c.qcow2")
	before := readFile(t, compressed)
	if _, err := patch(t, Job{File: compressed, Words: patched}); err == nil || !strings.Contains(err.Error(), "compressed") {
		t.Error(err)
	}
	if !bytes.Equal(before, readFile(t, compressed)) {
		t.Error("it was changed all the same")
	}
}

// On a block device the same, unless it is in use.
func TestPatchDevice(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	text := make([]byte, 4<<20)
	copy(text[1<<20:], mustNew(t))
	write(t, name, text)
	dev := looptest.Device(t, name, false)
	if said, err := patch(t, Job{File: dev, Words: patched}); err != nil {
		t.Fatalf("%s, %v", said, err)
	}
	if got := readFile(t, name)[1<<20:][:Size]; !bytes.Equal(got, mustNew(t, patched...)) {
		t.Errorf("the file below has %q", got)
	}
	claim, err := os.OpenFile(dev, os.O_RDONLY|unix.O_EXCL, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	if _, err := patch(t, Job{File: dev}); err == nil || !strings.Contains(err.Error(), "unmount") {
		t.Errorf("a device in use: %v", err)
	}
}

func TestPatchRefuses(t *testing.T) {
	dir := t.TempDir()
	broken := mustNew(t, "bee.debug")
	broken[500] ^= 1
	both := append(mustNew(t, "quiet"), broken...)
	for name, c := range map[string]struct {
		text  []byte
		words []string
		says  string
	}{
		"broken":     {both, patched, "at byte 1024: read the parameter block: the block does not match its checksum"},
		"empty":      {nil, patched, "no parameter block"},
		"uki.efi":    {[]byte("MZ\x90rest"), patched, "inside what is signed"},
		"initrd.img": {append([]byte("070701"), both...), patched, "initramfs"},
		"zstd":       {[]byte("\x28\xb5\x2f\xfdrest"), patched, "zstd"},
		"typo":       {mustNew(t), []string{"bee.hostnmae=x"}, "do you mean bee.hostname?"},
		"long":       {mustNew(t), []string{"x=" + strings.Repeat("y", 1000)}, "bytes longer"},
	} {
		file := filepath.Join(dir, name)
		write(t, file, c.text)
		_, err := patch(t, Job{File: file, Words: c.words})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.says)
		}
		if !bytes.Equal(readFile(t, file), c.text) {
			t.Errorf("%s was changed all the same", name)
		}
	}
	if _, err := patch(t, Job{File: dir}); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Error(err)
	}
	if _, err := patch(t, Job{File: filepath.Join(dir, "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	file := filepath.Join(dir, "broken")
	said, err := patch(t, Job{File: file, Words: patched, Force: true})
	if err != nil || !strings.Contains(said, "overwritten by force") || !strings.Contains(said, "2 of 2") {
		t.Errorf("by force: %s, %v", said, err)
	}
	if d := cmp.Diff(bytes.Repeat(mustNew(t, patched...), 2), readFile(t, file)); d != "" {
		t.Error(d)
	}
}

// A read error is not taken for a medium without a block.
func TestFindFails(t *testing.T) {
	if _, err := Find(failing{}, 1<<20); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }
