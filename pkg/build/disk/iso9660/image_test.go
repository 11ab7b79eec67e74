package iso9660_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/iso9660"
	"github.com/bee-os/bee/pkg/build/disk/judge"
)

var when = time.Date(2026, 11, 20, 0, 12, 42, 0, time.FixedZone("", 3600))

// random are bytes that nothing else is like.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // has no error
	return b
}

// full is an image with everything that bee's have, and folders of more than one
// block. The contents stand beside it.
func full() (iso9660.Image, map[string][]byte) {
	content := map[string][]byte{
		"boot/grub/eltorito.img": random(1, 150_001), "boot/grub/grub.cfg": []byte("set timeout=1\n"),
		"bee/vmlinuz": random(2, 3_000_000), "bee/initrd.img": random(3, 5_000_001), "bee/params.cfg": random(4, 1024),
		"bee/id-0123456789abcdef": []byte("bee\n"), "empty": nil, ".hidden": []byte("h"), "two.dots.in": []byte("x"),
		"a/b/c/d/e/f/deep": []byte("deep"), "a/exactly.one": random(5, iso9660.Sector),
		strings.Repeat("long", 25) + ".text": []byte("long name"),
	}
	for i := range 300 {
		content[fmt.Sprintf("many/a-file-with-number-%03d.text", i)] = fmt.Append(nil, i)
		content[fmt.Sprintf("folders/%d/x", i)] = []byte("x")
	}
	v := iso9660.Image{Name: "BEE_0_1_0", Application: "BEE", Time: when, BIOS: "boot/grub/eltorito.img", EFI: 3 << 20, Tail: 33 * 512,
		Files: []disk.File{{Path: "nothing/in/it/"}}}
	for name, text := range content {
		v.Files = append(v.Files, disk.Bytes(name, text))
	}
	return v, content
}

// write makes the image, whose FAT volume is of random bytes.
func write(t *testing.T, v iso9660.Image) ([]byte, iso9660.Layout) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "iso"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := &disk.Hasher{W: f, H: sha256.New()} // refuses to go back
	if _, err := h.WriteAt([]byte{1}, iso9660.System-1); err != nil {
		t.Fatal(err)
	}
	layout, err := v.Write(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(random(99, int(layout.EFI.Size)), layout.EFI.Offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(layout.Size); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return text, layout
}

// xorriso and isoinfo read the image as it was meant, from its beginning and as a
// partition.
func TestJudged(t *testing.T) {
	v, content := full()
	image, layout := write(t, v)
	for name, part := range map[string][]byte{"image": image, "partition": image[layout.Volume.Offset:layout.Volume.End()]} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a.iso"), part, 0o644); err != nil {
				t.Fatal(err)
			}
			said := judge.Run(t, dir, "xorriso", "-osirrox", "on", "-indev", judge.In+"/a.iso", "-pvd_info", "-extract", "/", judge.In+"/out", "-find", "/", "-exec", "lsdl", "--")
			for _, bad := range []string{"WARNING", "SORRY", "FAILURE", "FATAL"} {
				if strings.Contains(said, bad) {
					t.Errorf("xorriso says:\n%.3000s", said)
					break
				}
			}
			for _, want := range []string{`(?m)^Volume Id *: BEE_0_1_0$`, `(?m)^App Id *: BEE$`, `(?m)^Creation Time: 2026111923124200$`,
				`(?m)^-r--r--r-- +1 0 +0 +1024 .*'/bee/params.cfg'$`, `(?m)^dr-xr-xr-x +1 0 +0 +0 .*'/nothing'$`} {
				if !regexp.MustCompile(want).MatchString(said) {
					t.Errorf("xorriso does not say %s:\n%.3000s", want, said)
				}
			}
			extracted(t, filepath.Join(dir, "out"), content)
			listed(t, judge.Run(t, dir, "isoinfo", "-R", "-f", "-i", judge.In+"/a.iso"), content)
			// Without extensions: what firmware of Macs and old systems see.
			plain := judge.Run(t, dir, "isoinfo", "-f", "-i", judge.In+"/a.iso")
			for _, want := range []string{"/BEE/INITRD.IMG;1\n", "/BEE/VMLINUZ.;1\n", "/_HIDDEN.;1\n", "/TWO_DOTS.IN;1\n"} {
				if !strings.Contains(plain, want) {
					t.Errorf("isoinfo does not find %q:\n%.2000s", want, plain)
				}
			}
			if long := judge.Run(t, dir, "isoinfo", "-R", "-l", "-i", judge.In+"/a.iso"); !regexp.MustCompile(`(?m)^dr-xr-xr-x +3 +0 +0 +2048 Nov 19 2026 .* nothing *$`).MatchString(long) {
				t.Errorf("isoinfo does not count the folder in /nothing:\n%.2000s", long)
			}
			// Folders by their paths, as the path table has them.
			if table := judge.Run(t, dir, "isoinfo", "-p", "-i", judge.In+"/a.iso"); strings.Count(table, "\n") < 310 || !strings.Contains(table, "FOLDERS") {
				t.Errorf("isoinfo's path table:\n%.2000s", table)
			}
		})
	}
}

// extracted compares what a judge took out with what was put in.
func extracted(t *testing.T, dir string, content map[string][]byte) {
	t.Helper()
	for name, want := range content {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d; %v", name, len(got), len(want), err)
		}
	}
	if fi, err := os.Stat(filepath.Join(dir, "nothing/in/it")); err != nil || !fi.IsDir() {
		t.Error("the empty folder is not there")
	}
}

// listed wants every file in a judge's list.
func listed(t *testing.T, said string, content map[string][]byte) {
	t.Helper()
	lines := strings.Split(said, "\n")
	for name := range content {
		if !slices.Contains(lines, "/"+name) {
			t.Errorf("isoinfo does not find /%s", name)
		}
	}
}

// What El Torito boots, as xorriso and isoinfo read it.
func TestElTorito(t *testing.T) {
	both, _ := full()
	bios, efi, none := both, both, both
	bios.EFI, efi.BIOS, none.EFI, none.BIOS = 0, "", 0, ""
	for name, c := range map[string]struct {
		image iso9660.Image
		want  []string // of xorriso
		arch  string   // of isoinfo
	}{
		"both": {both, []string{"BIOS", "UEFI"}, "Arch 0 (x86)"},
		"BIOS": {bios, []string{"BIOS"}, "Arch 0 (x86)"},
		"UEFI": {efi, []string{"UEFI"}, "Arch 239 "},
		"none": {none, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			image, layout := write(t, c.image)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a.iso"), image, 0o644); err != nil {
				t.Fatal(err)
			}
			said := judge.Run(t, dir, "xorriso", "-indev", judge.In+"/a.iso", "-report_el_torito", "plain")
			var found []string
			for _, m := range regexp.MustCompile(`(?m)^El Torito boot img : +\d +(\S+) +y +none +0x0000 +0x00 +(\d+) +(\d+)$`).FindAllStringSubmatch(said, -1) {
				found = append(found, m[1])
				want := fmt.Sprint("4 ", layout.Files["boot/grub/eltorito.img"].Offset/iso9660.Sector)
				if m[1] == "UEFI" {
					want = fmt.Sprint(layout.EFI.Size/512, " ", layout.EFI.Offset/iso9660.Sector)
				}
				if got := m[2] + " " + m[3]; got != want {
					t.Errorf("%s boots %s sectors and block, want %s", m[1], got, want)
				}
			}
			if !slices.Equal(found, c.want) {
				t.Errorf("xorriso finds %v, want %v:\n%s", found, c.want, said)
			}
			got := judge.Run(t, dir, "isoinfo", "-d", "-i", judge.In+"/a.iso")
			if strings.Contains(got, "El Torito VD") != (c.want != nil) || !strings.Contains(got, c.arch) || strings.Contains(got, "CHECKSUM") {
				t.Errorf("isoinfo says:\n%s", got)
			}
		})
	}
}

// Our reader finds each file where the layout says, the volume's two trees are
// the same, and the bytes depend on nothing but the image.
func TestWrite(t *testing.T) {
	v, content := full()
	image, layout := write(t, v)
	r := bytes.NewReader(image)
	found := make(map[string]iso9660.Extent)
	for _, e := range iso9660.Walk(r, r.Size()) {
		if e.Content && e.Path != "" {
			found[strings.TrimPrefix(e.Path, "/")] = e
		}
	}
	for name, text := range content {
		e, at := found[name], layout.Files[name]
		if at.Size != int64(len(text)) || len(text) > 0 && (e.Start != at.Offset || e.End != at.End() || !bytes.Equal(image[at.Offset:at.End()], text)) {
			t.Errorf("%s: the layout says %v, the walk %v", name, at, e)
		}
	}
	if n := len(found); n != len(content) {
		t.Errorf("the walk finds %d files of %d", n, len(content))
	}
	if layout.EFI.Offset%4096 != 0 || layout.EFI.Offset < layout.Volume.End() || layout.Size < layout.EFI.End()+v.Tail || layout.Size%iso9660.Sector != 0 {
		t.Errorf("%+v", layout)
	}
	if plan, err := v.Plan(); err != nil || plan.Size != layout.Size || plan.EFI != layout.EFI || plan.Volume != layout.Volume {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	slices.Reverse(v.Files)
	v.Time = v.Time.In(time.UTC)
	if again, _ := write(t, v); !bytes.Equal(again, image) {
		t.Error("another order of the files, or another time zone, gives other bytes")
	}
}

// What no tool at hand looks at, by the words of the standards: both path tables
// against the folders, the second byte order of numbers, the catalogue's sum, and
// the padding.
func TestStructure(t *testing.T) {
	v, _ := full()
	image, layout := write(t, v)
	for _, volume := range [][]byte{image, image[layout.Volume.Offset:layout.Volume.End()]} {
		d := volume[16*iso9660.Sector:]
		for _, at := range []int{80, 132, 158, 166} {
			if binary.LittleEndian.Uint32(d[at:]) != binary.BigEndian.Uint32(d[at+4:]) {
				t.Errorf("the descriptor's number at %d differs in its two byte orders", at)
			}
		}
		size := binary.LittleEndian.Uint32(d[132:])
		little := pathTable(volume, binary.LittleEndian.Uint32(d[140:]), size, binary.LittleEndian)
		if big := pathTable(volume, binary.BigEndian.Uint32(d[148:]), size, binary.BigEndian); !slices.Equal(little, big) {
			t.Error("the two path tables differ")
		}
		if len(little) != 1+310+4 {
			t.Errorf("the path table has %d folders", len(little))
		}
		for i, f := range little {
			folder := volume[int(f.block)*iso9660.Sector:]
			self, parent := record(folder), record(folder[folder[0]:])
			if self.block != f.block || self.name != "\x00" || parent.name != "\x01" || f.parent < 1 || f.parent > i+1 || parent.block != little[f.parent-1].block {
				t.Fatalf("folder %d, %q: %+v; its entries say %+v and %+v", i+1, f.name, f, self, parent)
			}
			if i > 0 && !has(volume, parent, f) {
				t.Errorf("folder %d, %q, is not in its parent", i+1, f.name)
			}
		}
	}
	catalogue := image[int(binary.LittleEndian.Uint32(image[17*iso9660.Sector+71:]))*iso9660.Sector:]
	var sum uint16
	for i := 0; i < 32; i += 2 {
		sum += binary.LittleEndian.Uint16(catalogue[i:])
	}
	if sum != 0 {
		t.Errorf("the words of El Torito's first entry add up to %#x", sum)
	}
	if pad := layout.Size - layout.EFI.End(); pad < 150*iso9660.Sector+v.Tail || bytes.ContainsFunc(image[layout.EFI.End():], func(r rune) bool { return r != 0 }) {
		t.Errorf("%d bytes of padding", pad)
	}
}

// folder is an entry of a path table (ECMA-119 9.4) or of a folder (9.1).
type folder struct {
	name   string
	block  uint32
	bytes  uint32
	parent int
}

func pathTable(volume []byte, block, size uint32, order binary.ByteOrder) []folder {
	var list []folder
	b := volume[block*iso9660.Sector:][:size]
	for len(b) > 0 {
		n := int(b[0])
		list = append(list, folder{name: string(b[8 : 8+n]), block: order.Uint32(b[2:]), parent: int(order.Uint16(b[6:]))})
		b = b[8+n+n%2:]
	}
	return list
}

func record(b []byte) folder {
	return folder{name: string(b[33 : 33+int(b[32])]), block: binary.LittleEndian.Uint32(b[2:]), bytes: binary.LittleEndian.Uint32(b[10:])}
}

// has says whether a folder has the entry, and its entries are in order.
func has(volume []byte, parent, want folder) bool {
	found, last := false, ""
	b := volume[parent.block*iso9660.Sector:][:parent.bytes]
	for at := 0; at < len(b); {
		if b[at] == 0 {
			at = (at/iso9660.Sector + 1) * iso9660.Sector
			continue
		}
		r := record(b[at:])
		found = found || r.name == want.name && r.block == want.block
		if name, _, _ := strings.Cut(r.name, "."); name < last {
			return false
		} else {
			last = name
		}
		at += int(b[at])
	}
	return found
}

// Alignment is what a file asks for.
func TestAlign(t *testing.T) {
	v := iso9660.Image{Time: when, Files: []disk.File{disk.Bytes("a", []byte("x")), {Path: "b", Size: 1, Align: 1 << 20, Open: disk.Bytes("", []byte("y")).Open}}}
	image, layout := write(t, v)
	if at := layout.Files["b"].Offset; at != 1<<20 || image[at] != 'y' {
		t.Errorf("b is at %d", at)
	}
}

func TestRefused(t *testing.T) {
	file := func(names ...string) (list []disk.File) {
		for _, n := range names {
			list = append(list, disk.Bytes(n, []byte("x")))
		}
		return list
	}
	for name, c := range map[string]struct {
		image iso9660.Image
		want  string
	}{
		"volume's name":    {iso9660.Image{Time: when, Name: "bee"}, "A-Z"},
		"long name":        {iso9660.Image{Time: when, Name: strings.Repeat("A", 33)}, "32"},
		"application":      {iso9660.Image{Time: when, Application: "ä"}, "A-Z"},
		"year":             {iso9660.Image{Time: time.Date(2156, 1, 1, 0, 0, 0, 0, time.UTC)}, "2156"},
		"FAT volume":       {iso9660.Image{Time: when, EFI: 32 << 20}, "El Torito"},
		"part of a block":  {iso9660.Image{Time: when, EFI: 512}, "multiple"},
		"tail":             {iso9660.Image{Time: when, Tail: 1 << 20}, "padding"},
		"no boot image":    {iso9660.Image{Time: when, BIOS: "x", Files: file("y")}, "not among"},
		"small boot image": {iso9660.Image{Time: when, BIOS: "x", Files: file("x")}, "2048"},
		"twice":            {iso9660.Image{Time: when, Files: file("a/x", "a/x")}, "twice"},
		"file and folder":  {iso9660.Image{Time: when, Files: file("a", "a/x")}, "a file and a folder"},
		"folder and file":  {iso9660.Image{Time: when, Files: file("a/x", "a")}, "twice"},
		"short names":      {iso9660.Image{Time: when, Files: file("x-y", "x+y")}, "X_Y"},
		"deep":             {iso9660.Image{Time: when, Files: file("1/2/3/4/5/6/7/8")}, "deep"},
		"path":             {iso9660.Image{Time: when, Files: file("../x")}, "not a path"},
		"root":             {iso9660.Image{Time: when, Files: file(".")}, "not a path"},
		"name":             {iso9660.Image{Time: when, Files: file(strings.Repeat("x", 200))}, "too long"},
		"huge":             {iso9660.Image{Time: when, Files: []disk.File{{Path: "x", Size: 1 << 32, Open: file("x")[0].Open}}}, "4294967295"},
		"alignment":        {iso9660.Image{Time: when, Files: []disk.File{{Path: "x", Align: 3}}}, "power of two"},
		"no content":       {iso9660.Image{Time: when, Files: []disk.File{{Path: "x", Size: 3}}}, "no content"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.image.Plan(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if _, err := c.image.Write(t.Context(), nil); err == nil {
				t.Error("it was written")
			}
		})
	}
}

// What changes, fails or is cancelled while an image is written is an error that
// names it.
func TestFails(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	image := func(f disk.File) iso9660.Image { return iso9660.Image{Time: when, Files: []disk.File{f}} }
	four := disk.Bytes("", []byte("four")).Open
	broken := errors.New("broken")
	for want, f := range map[string]disk.File{
		"longer than the 3": {Path: "x", Size: 3, Open: four},
		"4 of the 5 bytes":  {Path: "x", Size: 5, Open: four},
		"broken":            {Path: "x", Size: 5, Open: func() (io.ReadCloser, error) { return nil, broken }},
	} {
		if _, err := image(f).Write(t.Context(), out); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "file x") {
			t.Errorf("%v; want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err := image(disk.Bytes("x", []byte("x"))).Write(ctx, out); !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := image(disk.Bytes("x", []byte("x"))).Write(t.Context(), out); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
