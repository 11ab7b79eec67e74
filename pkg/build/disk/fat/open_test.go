package fat

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/judge"
)

func openVolume(t testing.TB, r io.ReaderAt, size int64) *FS {
	t.Helper()
	f, err := Open(r, size)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What was written is read, by the rules of fs.FS.
func TestOpen(t *testing.T) {
	for _, v := range both() {
		file, layout := create(t, v)
		f := openVolume(t, file, v.Size)
		if f.Bits != v.bits() || f.Label != v.Label || f.Serial != v.Serial || f.Size != v.Size {
			t.Errorf("FAT%d %q %x of %d bytes", f.Bits, f.Label, f.Serial, f.Size)
		}
		for _, w := range v.Files {
			if strings.HasSuffix(w.Path, "/") {
				continue
			}
			got, err := fs.ReadFile(f, w.Path)
			if err != nil || !bytes.Equal(got, content(t, w)) {
				t.Errorf("%s differs: %v", w.Path, err)
			}
			at, err := f.Extents(w.Path)
			if want := layout.Files[w.Path]; err != nil || w.Size > 0 && !slices.Equal(at, []disk.Extent{want}) {
				t.Errorf("%s is at %v, %v; want %v", w.Path, at, err, want)
			}
			if st, err := fs.Stat(f, w.Path); err != nil || !st.ModTime().Equal(when) {
				t.Errorf("%s: %v, %v", w.Path, st, err)
			}
		}
	}
	// TestFS reads byte by byte: small files are enough for it.
	v := sample()
	v.Files = slices.DeleteFunc(v.Files, func(w disk.File) bool { return w.Size > 5000 || strings.HasPrefix(w.Path, "many") })
	file, _ := create(t, v)
	if err := fstest.TestFS(openVolume(t, file, v.Size), "EFI/BOOT/grub.cfg", "empty/folder", "bee/Ünïcödé 🐝.txt"); err != nil {
		t.Error(err)
	}
}

// Volumes that mkfs.fat made and mtools filled, with files in pieces and names
// in small letters that have no long form.
func TestOpenForeign(t *testing.T) {
	for _, bits := range []string{"16", "32"} {
		dir := t.TempDir()
		img := filepath.Join(dir, "fat.img")
		if err := os.WriteFile(img, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(img, 64*mib); err != nil {
			t.Fatal(err)
		}
		want := map[string][]byte{}
		judge.Run(t, dir, "mkfs.fat", "-F", bits, "-n", "FOREIGN", "-i", "12345678", judge.In+"/fat.img")
		mcopy := func(name string, text []byte) {
			if err := os.WriteFile(filepath.Join(dir, "f"), text, 0o644); err != nil {
				t.Fatal(err)
			}
			judge.Run(t, dir, "mcopy", "-i", judge.In+"/fat.img", judge.In+"/f", "::/"+name)
			want[name] = text
		}
		judge.Run(t, dir, "mmd", "-i", judge.In+"/fat.img", "::/EFI", "::/EFI/Long Folder Name")
		for i := range 20 {
			mcopy(fmt.Sprintf("hole%d.tmp", i), random(uint64(i), 1_000_000))
		}
		mcopy("filler", random(98, 45_500_000)) // so that there is room in the holes alone
		for i := 0; i < 20; i += 2 {
			name := fmt.Sprintf("hole%d.tmp", i)
			judge.Run(t, dir, "mdel", "-i", judge.In+"/fat.img", "::/"+name)
			delete(want, name)
		}
		mcopy("EFI/Long Folder Name/in pieces.bin", random(99, 5_000_001))
		mcopy("lower.cfg", []byte("lower"))
		mcopy("UPPER.CFG", []byte("upper"))
		file, err := os.Open(img)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		f := openVolume(t, file, 64*mib)
		if f.Label != "FOREIGN" || f.Serial != 0x12345678 || fmt.Sprint(f.Bits) != bits {
			t.Errorf("FAT%d %q %x", f.Bits, f.Label, f.Serial)
		}
		for name, text := range want {
			if got, err := fs.ReadFile(f, name); err != nil || !bytes.Equal(got, text) {
				t.Errorf("%s differs: %v", name, err)
			}
		}
		if at, err := f.Extents("EFI/Long Folder Name/in pieces.bin"); err != nil || len(at) < 2 {
			t.Errorf("the file lies in %d pieces, %v: this tests too little", len(at), err)
		}
	}
}

// Where names what stands at a byte.
func TestWhere(t *testing.T) {
	v := sample()
	file, layout := create(t, v)
	f := openVolume(t, file, v.Size)
	first := layout.Files["EFI/BOOT/BOOTX64.EFI"]
	cluster := (first.Offset-f.dataStart())/layout.Cluster + 2
	for off, want := range map[int64]string{
		11: "boot sector, byte 11", 512 + 488: "reserved sector 1, byte 488",
		first.Offset + 17:                     "file EFI/BOOT/BOOTX64.EFI, byte 17",
		first.Offset + first.Size:             "behind the end of file EFI/BOOT/BOOTX64.EFI",
		f.g.reserved*sectorSize + cluster*4:   fmt.Sprintf("FAT 1, cluster %d (/EFI/BOOT/BOOTX64.EFI)", cluster),
		(f.g.reserved+f.g.fat)*sectorSize + 4: "FAT 2, cluster 1 (free)",
		f.dataStart() + 33:                    "folder /, entry 1",
		v.Size - 10*mib:                       "free cluster",
		v.Size - 1:                            "cluster",
	} {
		if got := f.Where(off); !strings.Contains(got, want) {
			t.Errorf("byte %d: %q; want %q", off, got, want)
		}
	}
}

// Damage is named and never followed for ever.
func TestDamage(t *testing.T) {
	v := Volume{Size: 8 * mib, Bits: 16, Time: when, Files: []disk.File{
		disk.Bytes("a/one.txt", random(1, 5000)), disk.Bytes("a/two.txt", random(2, 5000)), disk.Bytes("b/three.txt", nil)}}
	file, layout := create(t, v)
	whole, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	f := openVolume(t, file, v.Size)
	fat := f.g.reserved * sectorSize
	cluster := func(name string) int64 { return (layout.Files[name].Offset-f.dataStart())/layout.Cluster + 2 }
	one, two := cluster("a/one.txt"), cluster("a/two.txt")
	a := int64(2) // the first folder
	u16 := func(b []byte, off, value int64) { binary.LittleEndian.PutUint16(b[off:], uint16(value)) }
	for _, c := range []struct {
		name   string
		damage func(b []byte)
		want   string
	}{
		{"no boot sector", func(b []byte) { b[510] = 0 }, "not a boot sector"},
		{"no FAT", func(b []byte) { u16(b, 22, 0) }, "makes no sense"},
		{"short FAT", func(b []byte) { u16(b, 22, 1) }, "do not fit each other"},
		{"cut off", func(b []byte) { b[19], b[20], b[35] = 0, 0, 1 }, "cut off"},
		{"FAT12", func(b []byte) { b[13] = 64 }, "FAT12 is not read"},
		{"round", func(b []byte) { u16(b, fat+(one+2)*2, one) }, "a/one.txt has cluster"},
		{"folder round", func(b []byte) { u16(b, fat+a*2, a) }, "a has cluster 2"},
		{"crossed", func(b []byte) { u16(b, fat+(one+2)*2, two+3) }, "crossed"},
		{"out", func(b []byte) { u16(b, fat+one*2, 0x7000) }, "which the volume has not"},
		{"free", func(b []byte) { u16(b, fat+one*2, 0) }, "cluster 0"},
		{"short chain", func(b []byte) { u16(b, fat+one*2, 0xffff) }, "1 clusters of the 5"},
		{"folder in itself", func(b []byte) { u16(b, f.offset(a)+2*32+26, a); b[f.offset(a)+2*32+11] = attrFolder }, "crossed"},
	} {
		b := slices.Clone(whole)
		c.damage(b)
		if _, err := Open(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want something about %q", c.name, err, c.want)
		}
	}
}

// parts is a volume of zeros with something at a few places.
type parts struct {
	size int64
	at   map[int64][]byte
}

func (p parts) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.size-off)]
	clear(b)
	for at, data := range p.at {
		if from := at - off; from >= 0 && from < int64(len(b)) {
			copy(b[from:], data)
		} else if from < 0 && -from < int64(len(data)) {
			copy(b, data[-from:])
		}
	}
	return len(b), nil
}

// Foreign bytes make errors, and neither a panic nor a loop: what opens can be
// walked through and read to its end. The parts are the boot sector, the
// beginning of the FAT, and the first clusters.
func FuzzOpen(f *testing.F) {
	files := []disk.File{disk.Bytes("EFI/BOOT/a long name.efi", random(1, 3000)), disk.Bytes("EFI/BOOT/grub.cfg", []byte("x")), disk.Bytes("empty", nil)}
	v16 := Volume{Size: 4 * mib, Bits: 16, Label: "FUZZ", Time: when, Files: files}
	v32 := Volume{Size: 34 * mib, Label: "FUZZ", Time: when, Files: files}
	places := map[bool][]int64{}
	for large, v := range map[bool]Volume{false: v16, true: v32} {
		var m memory
		if _, err := v.Write(f.Context(), &m); err != nil {
			f.Fatal(err)
		}
		o := openVolume(f, parts{v.Size, map[int64][]byte{0: m.b}}, v.Size)
		places[large] = []int64{0, o.g.reserved * sectorSize, o.rootStart()}
		f.Add(m.b[:sectorSize], m.b[places[large][1]:][:64], m.b[places[large][2]:min(int64(len(m.b)), o.dataStart()+3*o.g.clusterSize())], large)
	}
	f.Fuzz(func(t *testing.T, boot, table, folders []byte, large bool) {
		at := places[large]
		p := parts{v16.Size, map[int64][]byte{at[0]: boot[:min(len(boot), sectorSize)], at[1]: table[:min(len(table), 4096)], at[2]: folders}}
		if large {
			p.size = v32.Size
		}
		v, err := Open(p, p.size)
		if err != nil {
			return
		}
		err = fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			_, err = fs.ReadFile(v, name)
			return err
		})
		if err != nil {
			t.Error(err)
		}
		for off := int64(0); off < p.size; off += 20_011 {
			v.Where(off)
		}
	})
}

// memory is a file in memory, as long as it was written.
type memory struct{ b []byte }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if need := off + int64(len(p)) - int64(len(m.b)); need > 0 {
		m.b = append(m.b, make([]byte, need)...)
	}
	return copy(m.b[off:], p), nil
}
