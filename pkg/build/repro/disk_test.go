package repro

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/disk/judge"
	"github.com/bee-os/bee/pkg/build/disk/qcow2"
)

const mib = 1 << 20

// memory is an image in RAM.
type memory []byte

func (m memory) WriteAt(p []byte, at int64) (int, error) { return copy(m[at:], p), nil }

// volume is a FAT16 file system of 16 MiB.
func volume(t *testing.T, at time.Time, files map[string]string) []byte {
	t.Helper()
	v := fat.Volume{Size: 16 * mib, Bits: 16, Label: "BEE", Serial: 7, Time: at}
	for name, text := range files {
		v.Files = append(v.Files, disk.Bytes(name, []byte(text)))
	}
	out := make(memory, v.Size)
	if _, err := v.Write(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return out
}

// disk puts a volume into a GPT.
func wholeDisk(t *testing.T, id byte, esp []byte) []byte {
	t.Helper()
	table := &gpt.Table{Disk: gpt.Derive([]byte{id}, "disk"), Partitions: []gpt.Partition{
		{Type: gpt.BIOSBoot, ID: gpt.Derive([]byte("p"), "1"), Name: "bios", Start: mib, Size: mib},
		{Type: gpt.ESP, ID: gpt.Derive([]byte("p"), "2"), Name: "esp", Start: 2 * mib, Size: 16 * mib},
	}}
	out := make(memory, 20*mib)
	if err := table.Write(out, int64(len(out))); err != nil {
		t.Fatal(err)
	}
	copy(out[2*mib:], esp)
	return out
}

func TestDisks(t *testing.T) {
	when := time.Unix(1790000000, 0)
	files := map[string]string{"EFI/BOOT/grub.cfg": "set timeout=1\nlinux /vmlinuz\n", "initrd.img": string(archive(t, entry{name: "init", text: "one"})), "vmlinuz": strings.Repeat("\x00kernel", 3000)}
	with := func(name, text string) map[string]string {
		changed := map[string]string{name: text}
		for k, v := range files {
			if k != name {
				changed[k] = v
			}
		}
		return changed
	}
	base := volume(t, when, files)
	flipped := func(at int) []byte {
		b := bytes.Clone(wholeDisk(t, 1, base))
		b[at] ^= 1
		return b
	}
	pi := func(esp []byte) []byte {
		out := make(memory, 20*mib)
		m := gpt.MBR{Signature: 9, Partitions: []gpt.MBRPartition{{Type: 0x0c, Start: 2 * mib, Size: 16 * mib}}}
		if err := m.Write(out, int64(len(out))); err != nil {
			t.Fatal(err)
		}
		copy(out[2*mib:], esp)
		return out
	}
	qcow := func(raw []byte) []byte {
		m, err := qcow2.NewMap(int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.WriteAt(raw, 0); err != nil {
			t.Fatal(err)
		}
		out := make(memory, m.Size())
		w, err := m.Writer(out)
		if err == nil {
			_, err = w.WriteAt(raw, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	deflated := func(raw []byte) []byte {
		dir := t.TempDir()
		put(t, dir, "raw", raw)
		judge.Run(t, dir, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", judge.In+"/raw", judge.In+"/qcow2")
		out, err := os.ReadFile(filepath.Join(dir, "qcow2"))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	config := volume(t, when, with("EFI/BOOT/grub.cfg", "set timeout=1\nlinux /vmlinuX\n"))
	for name, c := range map[string]struct {
		a, b []byte
		want []string
	}{
		"a GUID of the disk":  {wholeDisk(t, 1, base), wholeDisk(t, 2, base), []string{"disk: GPT header"}},
		"a file of the ESP":   {wholeDisk(t, 1, base), wholeDisk(t, 1, config), []string{"disk: partition 2 (esp)", "FAT: file EFI/BOOT/grub.cfg", "line 2", "vmlinuX"}},
		"an initrd's member":  {wholeDisk(t, 1, base), wholeDisk(t, 1, volume(t, when, with("initrd.img", string(archive(t, entry{name: "init", text: "two"}))))), []string{"FAT: file initrd.img", `member "init"`, "content"}},
		"a time":              {wholeDisk(t, 1, base), wholeDisk(t, 1, volume(t, when.Add(time.Hour), files)), []string{"disk: partition 2 (esp)", "FAT: root folder, entry"}},
		"a serial number":     {base, bytes.Replace(base, []byte{7, 0, 0, 0, 'B', 'E', 'E'}, []byte{8, 0, 0, 0, 'B', 'E', 'E'}, 1), []string{"FAT: boot sector, byte 39"}},
		"boot code":           {wholeDisk(t, 1, base), flipped(100), []string{"disk: MBR, byte 100 of the boot code"}},
		"GRUB's core":         {wholeDisk(t, 1, base), flipped(mib + 5), []string{"disk: partition 1 (bios), byte 5"}},
		"the second copy":     {wholeDisk(t, 1, base), flipped(20*mib - 400), []string{"disk: second copy of the GPT header"}},
		"a board's partition": {pi(base), pi(config), []string{"disk: partition 1 of the MBR (type 0x0c)", "FAT: file EFI/BOOT/grub.cfg", "line 2"}},
		"a file in qcow2":     {qcow(wholeDisk(t, 1, base)), qcow(wholeDisk(t, 1, config)), []string{"qcow2: a table or a cluster", "the disk inside", "FAT: file EFI/BOOT/grub.cfg", "line 2"}},
		"a deflated qcow2":    {deflated(wholeDisk(t, 1, base)), deflated(wholeDisk(t, 1, config)), []string{"qcow2: ", "the disk inside", "FAT: file EFI/BOOT/grub.cfg"}},
		"deflated or not":     {qcow(wholeDisk(t, 1, base)), deflated(wholeDisk(t, 1, base)), []string{"qcow2: ", "the disk inside is the same, the image is laid out in another way"}},
		"the size of a disk":  {qcow(wholeDisk(t, 1, base)), qcow(append(wholeDisk(t, 1, base), make([]byte, mib)...)), []string{"qcow2: header, size of the disk", "the disk inside"}},
		"a board's signature": {pi(base), bytes.Replace(pi(base), []byte{9, 0, 0, 0}, []byte{8, 0, 0, 0}, 1), []string{"disk: MBR, signature"}},
	} {
		rest := compared(t, "bee.img", c.a, c.b)
		got := rest
		for _, w := range c.want {
			_, after, ok := strings.Cut(rest, w)
			if !ok {
				t.Errorf("%s: no %q, in this order, in %q", name, w, got)
			}
			rest = after
		}
	}
}

// A file that another program wrote is found too.
func TestForeignFAT(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.img", make([]byte, 16*mib))
	judge.Run(t, dir, "mkfs.fat", "-F", "16", "-i", "12345678", judge.In+"/a.img")
	put(t, dir, "f", []byte("one line\nanother\n"))
	judge.Run(t, dir, "mcopy", "-i", judge.In+"/a.img", judge.In+"/f", "::/file.txt")
	a := []byte(readFile(t, dir, "a.img"))
	b := bytes.Replace(a, []byte("another"), []byte("a other"), 1)
	if got := compared(t, "a.img", a, b); !strings.Contains(got, "FAT: file file.txt: byte 10: line 2") && !strings.Contains(got, "FAT: file FILE.TXT: byte 10: line 2") {
		t.Error(got)
	}
}
