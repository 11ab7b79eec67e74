package repro

import (
	"bufio"
	"bytes"
	"debug/pe"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/disk/iso9660"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

func pinned(t *testing.T) *lock.File {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func box(t *testing.T, groups ...string) *sandbox.Sandbox {
	t.Helper()
	b, err := sandbox.Open(t.Context(), pinned(t), os.Stderr, "amd64", groups...)
	if errors.Is(err, sandbox.ErrUnavailable) {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// image makes an ISO with xorriso, bootable as El Torito wants it; more are
// arguments for one that UEFI boots too.
func image(t *testing.T, files map[string]string, more ...string) []byte {
	t.Helper()
	in, out := t.TempDir(), t.TempDir()
	for name, text := range files {
		put(t, in, name, []byte(text))
	}
	err := box(t, "tools-judge").Run(t.Context(), sandbox.Step{
		Args: slices.Concat([]string{"xorriso", "-as", "mkisofs", "-quiet", "-R", "-J", "-b", "boot/boot.img", "-no-emul-boot", "-boot-load-size", "4"},
			more, []string{"-o", "/out/a.iso", "/in"}),
		Ro: []sandbox.Bind{{Host: in, Path: "/in"}}, Rw: []sandbox.Bind{{Host: out, Path: "/out"}}})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "a.iso"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// listed is what isoinfo says of the files: path to first byte.
func listed(t *testing.T, iso []byte) map[string]int64 {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "a.iso", iso)
	out, err := box(t, "tools-judge").Output(t.Context(), sandbox.Step{Args: []string{"isoinfo", "-R", "-l", "-i", "/in/a.iso"}, Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}})
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^-.*\[ *(\d+) \d\d\] +(\S+)`)
	found, folder := make(map[string]int64), ""
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "Directory listing of "); ok {
			folder = strings.TrimSpace(name)
		}
		if m := line.FindStringSubmatch(s.Text()); m != nil {
			sector, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			found[folder+m[2]] = sector * iso9660.Sector
		}
	}
	return found
}

// The walk puts each file where isoinfo sees it, and a flipped byte anywhere is
// told by its structure.
func TestISO(t *testing.T) {
	files := map[string]string{
		"boot/boot.img": strings.Repeat("boot", 600), "boot/vmlinuz": strings.Repeat("\x00kernel", 900), "bom.json": `{"a":{"b":1}}`,
		"a/folder with a long name/initrd.img": string(archive(t, entry{name: "etc/x", text: "content"})),
	}
	for i := range 200 { // a folder of several sectors
		files[fmt.Sprintf("many/file-number-%03d.txt", i)] = fmt.Sprintf("text %d", i)
	}
	iso := image(t, files)
	want := listed(t, iso)
	if len(want) < len(files)-1 { // the name with blanks is cut by the expression above
		t.Fatalf("isoinfo sees %d files of %d", len(want), len(files))
	}
	place := make(map[string]iso9660.Extent)
	for _, e := range iso9660.Walk(bytes.NewReader(iso), int64(len(iso))) {
		if e.Content && e.Path != "" {
			place[e.Path] = e
		}
	}
	for name, text := range files {
		e := place["/"+name]
		if got := iso[e.Start:e.End]; string(got) != text && name != "boot/boot.img" {
			t.Errorf("%s: the walk finds %.40q", name, got)
		}
		if at, ok := want["/"+name]; ok && at != e.Start {
			t.Errorf("%s: the walk says byte %d, isoinfo %d", name, e.Start, at)
		}
	}
	record := int64(bytes.Index(iso, []byte("VMLINUZ")) - 33)
	for name, c := range map[string]struct {
		at   int64
		want []string
	}{
		"the kernel":          {place["/boot/vmlinuz"].Start + 1000, []string{"file /boot/vmlinuz", "byte 1000"}},
		"JSON":                {place["/bom.json"].Start + 10, []string{"file /bom.json", "JSON: a.b", "1 in the first and 0 in the second"}},
		"an initrd's member":  {place["/a/folder with a long name/initrd.img"].Start + 120, []string{"initrd.img", "archive 1 of 1 (cpio", `member "etc/x"`, "content"}},
		"many":                {place["/many/file-number-150.txt"].Start + 5, []string{"file /many/file-number-150.txt", "line 1"}},
		"a time in a folder":  {record + 18, []string{"folder /boot/", `entry "vmlinuz", time`}},
		"a place in a folder": {record + 2, []string{"folder /boot/", `entry "vmlinuz", place of its content`}},
		"a size in a folder":  {record + 10, []string{"folder /boot/", `entry "vmlinuz", size`}},
		"a name in a folder":  {record + 33, []string{"folder /boot/", "name or Rock Ridge"}},
		"the volume's time":   {iso9660.System + 813, []string{"volume descriptor 1 (primary)", "byte 813"}},
		"the boot record":     {iso9660.System + iso9660.Sector + 71, []string{"volume descriptor 2 (boot record)"}},
		"the system area":     {100, []string{"30 against 31"}},
	} {
		bad := bytes.Clone(iso)
		bad[c.at] ^= 1
		rest := compared(t, "a.iso", iso, bad)
		if name == "the system area" {
			if !strings.Contains(rest, "byte 100") {
				t.Errorf("%s: %s", name, rest)
			}
			continue
		}
		got := rest
		for _, w := range c.want {
			_, after, ok := strings.Cut(rest, w)
			if !ok {
				t.Errorf("%s: no %q in %q", name, w, got)
			}
			rest = after
		}
	}
}

// In a hybrid ISO the file system that UEFI boots from is a partition behind the
// volume, and the table of the partitions lies before it.
func TestHybridISO(t *testing.T) {
	when := time.Unix(1790000000, 0)
	files := func(grub string) map[string]string {
		esp := volume(t, when, map[string]string{"EFI/BOOT/grub.cfg": grub})
		return map[string]string{"boot/boot.img": strings.Repeat("boot", 600), "efi.img": string(esp)}
	}
	more := []string{"-append_partition", "2", "0xef", "/in/efi.img", "-appended_part_as_gpt", "-partition_offset", "16", "-m", "efi.img",
		"-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::", "-no-emul-boot", "--modification-date=2026091200000000"}
	a, b := image(t, files("set timeout=1\n"), more...), image(t, files("set timeout=2\n"), more...)
	at, want := bytes.LastIndex(a, []byte("set timeout=1")), bytes.LastIndex(b, []byte("set timeout=2"))
	if at < 0 || at != want {
		t.Fatalf("the ESP lies at %d and %d", at, want)
	}
	c := bytes.Clone(a)
	copy(c[at:], "set timeout=2")
	if got := compared(t, "bee.iso", a, c); !strings.Contains(got, "ISO 9660: El Torito boot image 2") || !strings.Contains(got, "FAT: file EFI/BOOT/grub.cfg: byte 12: line 1") {
		t.Error(got)
	}
	for at, want := range map[int]string{100: "disk: MBR, byte 100 of the boot code", 450: "disk: MBR"} {
		c := bytes.Clone(a)
		c[at] ^= 1
		if got := compared(t, "bee.iso", a, c); !strings.Contains(got, want) {
			t.Errorf("byte %d: %s; want %s", at, got, want)
		}
	}
}

// A program of UEFI, as systemd's developers link it.
func TestPE(t *testing.T) {
	l := pinned(t)
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Get("systemd-boot-efi", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := debian.NewStore(f).Tree(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(dir, "usr/lib/systemd/boot/efi/linuxx64.efi.stub"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := pe.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	base := int64(program[60]) | int64(program[61])<<8
	for _, c := range []struct {
		at   int64
		want string
	}{
		{10, "DOS header"}, {base + 8, "time stamp of the COFF header"}, {base + 24 + 64, "checksum of the optional header"}, {base + 24, "optional header"},
		{int64(p.Section(".text").Offset) + 77, "section .text: byte 77"}, {int64(p.Section(".rodata").Offset) + 5, "section .rodata: byte 5"},
	} {
		bad := bytes.Clone(program)
		bad[c.at] ^= 1
		if got := compared(t, "uki.efi", program, bad); !strings.Contains(got, "PE: "+c.want) {
			t.Errorf("byte %d: %s; want %s", c.at, got, c.want)
		}
	}
}

func readFile(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
