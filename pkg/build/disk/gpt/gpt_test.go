package gpt

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/disk/judge"
)

const mib = 1 << 20

// sample is a table as a raw image has it.
func sample() *Table {
	inputs := []byte("inputs")
	return &Table{
		Disk: Derive(inputs, "disk"),
		Boot: bytes.Repeat([]byte{0x90}, bootSize),
		Partitions: []Partition{
			{Type: BIOSBoot, ID: Derive(inputs, "bios"), Name: "bios", Size: mib, Attributes: LegacyBoot},
			{Type: ESP, ID: Derive(inputs, "esp"), Name: "EFI system", Size: 40 * mib},
			{Type: LinuxData, ID: Derive(inputs, "state"), Name: "bee.state 🐝 ä"},
		},
	}
}

// image writes a table to a new sparse file.
func image(t *testing.T, size int64, write func(io.WriterAt) error) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := write(f); err != nil {
		t.Fatal(err)
	}
	return f
}

// sfdisk is what sfdisk --json says.
type sfdisk struct {
	Table struct {
		Label, ID  string
		FirstLBA   int64
		LastLBA    int64
		Partitions []struct {
			Start, Size            int64
			Type, UUID, Name, Attr string
			Attrs                  string
			Bootable               bool
		}
	} `json:"partitiontable"`
}

func askSfdisk(t *testing.T, dir string) sfdisk {
	t.Helper()
	said := judge.Run(t, dir, "sfdisk", "--json", judge.In+"/disk.img")
	var s sfdisk
	if err := json.Unmarshal([]byte(said), &s); err != nil {
		t.Fatalf("%v in %s", err, said)
	}
	return s
}

// sgdisk and sfdisk take the table as it is meant, on a small disk and on one
// beyond what an MBR can say.
func TestWrite(t *testing.T) {
	for _, size := range []int64{64 * mib, 64*mib + SectorSize, 3 << 40} {
		table := sample()
		if err := table.Place(size); err != nil {
			t.Fatal(err)
		}
		f := image(t, size, func(w io.WriterAt) error { return table.Write(w, size) })
		dir := filepath.Dir(f.Name())
		said := judge.Run(t, dir, "sgdisk", "-v", "-p", judge.In+"/disk.img")
		if !strings.Contains(said, "No problems found") || regexp.MustCompile(`(?i)caution|warning|problem:|invalid`).MatchString(said) {
			t.Errorf("%d bytes: sgdisk says:\n%s", size, said)
		}
		if want := table.Disk.String(); !strings.Contains(said, want) {
			t.Errorf("sgdisk does not see disk %s:\n%s", want, said)
		}
		verify, err := judge.Try(t, dir, "sfdisk", "--verify", judge.In+"/disk.img")
		if err != nil || !strings.Contains(verify, "No errors detected.") {
			t.Errorf("sfdisk --verify: %v\n%s", err, verify)
		}
		got := askSfdisk(t, dir).Table
		if got.Label != "gpt" || got.ID != table.Disk.String() || len(got.Partitions) != 3 {
			t.Fatalf("%+v", got)
		}
		for i, p := range table.Partitions {
			g := got.Partitions[i]
			if g.Start*SectorSize != p.Start || g.Size*SectorSize != p.Size || g.Type != p.Type.String() || g.UUID != p.ID.String() || g.Name != p.Name {
				t.Errorf("partition %d: sfdisk sees %+v, want %+v", i+1, g, p)
			}
			if p.Start%Alignment != 0 {
				t.Errorf("partition %d begins at %d", i+1, p.Start)
			}
		}
		if !strings.Contains(got.Partitions[0].Attrs, "LegacyBIOSBootable") {
			t.Errorf("attributes %q", got.Partitions[0].Attrs)
		}
		back, err := Read(f, size)
		if err != nil || !reflect.DeepEqual(back, table) {
			t.Errorf("read back %+v, %v; want %+v", back, err, table)
		}
	}
}

// A table that sgdisk made is read as it is meant.
func TestReadForeign(t *testing.T) {
	const size = 32 * mib
	f := image(t, size, func(io.WriterAt) error { return nil })
	judge.Run(t, filepath.Dir(f.Name()), "sgdisk", "-o", "-U", "01234567-89AB-CDEF-0123-456789ABCDEF", "-n", "1:2048:4095", "-t", "1:ef02", "-c", "1:grub",
		"-u", "1:11111111-2222-3333-4444-555555555555", "-n", "2:4096:0", "-t", "2:ef00", judge.In+"/disk.img")
	table, err := Read(f, size)
	if err != nil {
		t.Fatal(err)
	}
	p := table.Partitions
	if len(p) != 2 || table.Disk.String() != "01234567-89AB-CDEF-0123-456789ABCDEF" || table.Boot != nil {
		t.Fatalf("%+v", table)
	}
	if p[0].Type != BIOSBoot || p[0].Start != mib || p[0].Size != mib || p[0].Name != "grub" || p[0].ID.String() != "11111111-2222-3333-4444-555555555555" {
		t.Errorf("%+v", p[0])
	}
	if p[1].Type != ESP || p[1].Start != 2*mib {
		t.Errorf("%+v", p[1])
	}
}

// An image's table fits a larger disk.
func TestLargerDisk(t *testing.T) {
	const small, large = 64 * mib, 100*mib + 7*SectorSize
	table := sample()
	if err := table.Place(small); err != nil {
		t.Fatal(err)
	}
	f := image(t, large, func(w io.WriterAt) error { return table.Write(w, small) })
	read, err := Read(f, small)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Read(f, large); err == nil {
		t.Error("a second copy that is not at the disk's end was taken")
	}
	if err := read.Write(f, large); err != nil {
		t.Fatal(err)
	}
	if said := judge.Run(t, filepath.Dir(f.Name()), "sgdisk", "-v", judge.In+"/disk.img"); !strings.Contains(said, "No problems found") {
		t.Error(said)
	}
}

// The protective MBR holds the boot code and what UEFI wants.
func TestProtectiveMBR(t *testing.T) {
	table := sample()
	if err := table.Place(64 * mib); err != nil {
		t.Fatal(err)
	}
	head, tail, err := table.Encode(64 * mib)
	if err != nil || len(head) != HeadSize || len(tail) != TailSize {
		t.Fatal(len(head), len(tail), err)
	}
	want := append(bytes.Repeat([]byte{0x90}, 440), 0, 0, 0, 0, 0, 0, // boot code, signature, unknown
		0, 0, 2, 0, 0xee, 0x28, 0x20, 0x08, 1, 0, 0, 0, 0xff, 0xff, 1, 0) // CHS of sector 131071: cylinder 8, head 40, sector 32
	if !bytes.Equal(head[:len(want)], want) {
		t.Errorf("% x", head[440:512])
	}
}

func TestMBR(t *testing.T) {
	const size = 4 << 30
	m := MBR{Boot: make([]byte, bootSize), Signature: 0xbeebee01, Partitions: []MBRPartition{
		{Type: FAT32LBA, Active: true, Start: mib, Size: 300 * mib}, {Type: 0x83, Start: 301 * mib, Size: size - 301*mib}}}
	f := image(t, size, func(w io.WriterAt) error { return m.Write(w, size) })
	got := askSfdisk(t, filepath.Dir(f.Name())).Table
	if got.Label != "dos" || got.ID != "0xbeebee01" || len(got.Partitions) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, p := range m.Partitions {
		if g := got.Partitions[i]; g.Start*SectorSize != p.Start || g.Size*SectorSize != p.Size || g.Bootable != p.Active || g.Type != []string{"c", "83"}[i] {
			t.Errorf("sfdisk sees %+v, want %+v", g, p)
		}
	}
	if said := judge.Run(t, filepath.Dir(f.Name()), "sfdisk", "--verify", judge.In+"/disk.img"); !strings.Contains(said, "No errors detected.") {
		t.Error(said)
	}
	if back, err := ReadMBR(f, size); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("read back %+v, %v", back, err)
	}
	if _, err := Read(f, size); err == nil || !strings.Contains(err.Error(), "protective") {
		t.Errorf("a plain MBR was read as a GUID partition table: %v", err)
	}
}

func TestGUID(t *testing.T) {
	a, b := Derive([]byte("x"), "disk"), Derive([]byte("x"), "esp")
	if a == b || a == Derive([]byte("y"), "disk") || a != Derive([]byte("x"), "disk") {
		t.Error("GUIDs do not follow their inputs")
	}
	if Derive([]byte("ab"), "c") == Derive([]byte("a"), "bc") {
		t.Error("two pairs of inputs run into one")
	}
	if s := a.String(); s[14] != '8' || !strings.Contains("89AB", s[19:20]) {
		t.Errorf("%s is not of version 8", s)
	}
	// An image that was made once keeps its GUIDs.
	if want := "65A2A12C-689B-8EA2-8362-914C82A206A0"; a.String() != want {
		t.Errorf("%s, want %s", a, want)
	}
	if got, err := ParseGUID(strings.ToLower(ESP.String())); err != nil || got != ESP || ESP.String() != "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "C12A7328F81F11D2BA4B00A0C93EC93B", "C12A7328-F81F-11D2-BA4B-00A0C93EC93", "G12A7328-F81F-11D2-BA4B-00A0C93EC93B"} {
		if _, err := ParseGUID(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// The empty entry that BIOSes want disturbs no tool, and is read back.
func TestActive(t *testing.T) {
	const size = 64 * mib
	table := sample()
	table.Active = true
	if err := table.Place(size); err != nil {
		t.Fatal(err)
	}
	f := image(t, size, func(w io.WriterAt) error { return table.Write(w, size) })
	sector := make([]byte, SectorSize)
	if _, err := f.ReadAt(sector, 0); err != nil {
		t.Fatal(err)
	}
	if e := sector[mbrRecords+mbrRecord:]; e[0] != 0x80 || e[4] != 0 || !bytes.Equal(e[8:16], []byte{0, 0, 0, 0, 1, 0, 0, 0}) {
		t.Errorf("the second entry is %x", e[:mbrRecord])
	}
	if said := judge.Run(t, filepath.Dir(f.Name()), "sgdisk", "-v", judge.In+"/disk.img"); !strings.Contains(said, "No problems found") {
		t.Error(said)
	}
	if s := askSfdisk(t, filepath.Dir(f.Name())); s.Table.Label != "gpt" || len(s.Table.Partitions) != 3 {
		t.Errorf("sfdisk says %+v", s)
	}
	if got, err := Read(f, size); err != nil || !reflect.DeepEqual(got, table) {
		t.Errorf("read back: %+v, %v", got, err)
	}
}
