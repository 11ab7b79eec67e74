package bootloader

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/disk/iso9660"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

func open(t *testing.T, arch string) (*Loader, *lock.File) {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	loader, err := Open(t.Context(), l, debian.NewStore(f), arch)
	if err != nil {
		t.Fatal(err)
	}
	return loader, l
}

// TestFiles: what the packages have is what firmware of that machine starts, and
// signed where it must be.
func TestFiles(t *testing.T) {
	machines := map[string]uint16{"amd64": pe.IMAGE_FILE_MACHINE_AMD64, "arm64": pe.IMAGE_FILE_MACHINE_ARM64}
	for arch, machine := range machines {
		l, _ := open(t, arch)
		uefi, err := l.UEFI()
		if err != nil {
			t.Fatal(err)
		}
		network, err := l.Network()
		if err != nil {
			t.Fatal(err)
		}
		if uefi[0].Path != "EFI/BOOT/"+l.Boot() {
			t.Errorf("%s: firmware looks for %s, and the first file is %s", arch, l.Boot(), uefi[0].Path)
		}
		for _, f := range append(uefi, network...) {
			if !strings.HasSuffix(strings.ToLower(f.Path), ".efi") {
				continue
			}
			p, err := pe.Open(f.Source)
			if err != nil {
				t.Errorf("%s %s: %v", arch, f.Path, err)
				continue
			}
			if p.Machine != machine {
				t.Errorf("%s %s is for machine %#x", arch, f.Path, p.Machine)
			}
			security := p.OptionalHeader.(*pe.OptionalHeader64).DataDirectory[pe.IMAGE_DIRECTORY_ENTRY_SECURITY]
			if unsigned := strings.Contains(f.Path, "ipxe") || strings.Contains(f.Path, "snponly"); (security.Size == 0) != unsigned {
				t.Errorf("%s %s: a signature of %d bytes", arch, f.Path, security.Size)
			}
			p.Close()
		}
		if _, err := l.Stub(); err != nil {
			t.Error(err)
		}
		if l.HasBIOS() != (arch == "amd64") || len(l.ForMedia()) < 3 || len(l.ForNetwork()) < 3 {
			t.Errorf("%s: BIOS %v, media %v, network %v", arch, l.HasBIOS(), l.ForMedia(), l.ForNetwork())
		}
	}
	if _, err := Open(t.Context(), &lock.File{}, nil, "amd64"); err == nil || !strings.Contains(err.Error(), "mage lock") {
		t.Errorf("an empty lock: %v", err)
	}
	if _, err := Open(t.Context(), &lock.File{}, nil, "sparc"); err == nil {
		t.Error("sparc has boot loaders")
	}
}

// TestBIOS makes the core twice and fits it to a disk. That it starts is shown
// end to end.
func TestBIOS(t *testing.T) {
	l, locked := open(t, "amd64")
	box, err := sandbox.Open(t.Context(), locked, os.Stderr, runtime.GOARCH, "tools-image")
	if err != nil {
		t.Fatal(err)
	}
	const script = "set prefix=($root)/boot/grub\n"
	one, err := l.Core(t.Context(), box, t.TempDir(), script, false)
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	two, err := l.Core(t.Context(), box, cache, script, false)
	if err != nil || !bytes.Equal(one, two) {
		t.Fatalf("made twice it differs, or %v", err)
	}
	if kept, err := l.Core(t.Context(), box, cache, script, false); err != nil || !bytes.Equal(kept, two) {
		t.Errorf("from the cache it differs, or %v", err)
	}
	if other, err := l.Core(t.Context(), box, cache, script+"#\n", false); err != nil || bytes.Equal(other, two) {
		t.Errorf("another script gives the same core, or %v", err)
	}
	const first = 2048
	boot, core, err := l.OnDisk(one, first)
	if err != nil {
		t.Fatal(err)
	}
	// boot.img loads the sector at 0x5c; its first byte is a jump, as BIOS wants.
	if boot[0] != 0xeb || binary.LittleEndian.Uint64(boot[0x5c:]) != first || boot[0x66] != 0x90 || boot[0x67] != 0x90 {
		t.Errorf("boot code %x", boot[:0x70])
	}
	// diskboot.img loads the rest: sectors behind it, all of them, to 0x8200.
	sectors := uint16(len(core)/SectorSize - 1)
	if len(core)%SectorSize != 0 || binary.LittleEndian.Uint64(core[0x1f4:]) != first+1 || binary.LittleEndian.Uint16(core[0x1fc:]) != sectors || binary.LittleEndian.Uint16(core[0x1fe:]) != 0x820 {
		t.Errorf("block list %x of %d sectors", core[0x1f4:0x200], sectors)
	}
	if _, _, err := l.OnDisk(make([]byte, 100), first); err == nil {
		t.Error("100 bytes are a core")
	}
	cd, err := l.Core(t.Context(), box, cache, script, true)
	if err != nil || bytes.Equal(cd, one) {
		t.Errorf("the core for El Torito is that for disks, or %v", err)
	}
}

// TestOnISO: the same core, fitted to an ISO image by us and by xorriso.
func TestOnISO(t *testing.T) {
	l, locked := open(t, "amd64")
	box, err := sandbox.Open(t.Context(), locked, os.Stderr, runtime.GOARCH, "tools-image", "tools-judge")
	if err != nil {
		t.Fatal(err)
	}
	core, err := l.Core(t.Context(), box, t.TempDir(), "set prefix=(cd)/boot/grub\n", true)
	if err != nil {
		t.Fatal(err)
	}
	mbr, err := l.find(grubBIOS + "/boot_hybrid.img")
	if err != nil {
		t.Fatal(err)
	}
	in, out := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(in, "core.img"), core, 0o644); err != nil {
		t.Fatal(err)
	}
	err = box.Run(t.Context(), sandbox.Step{
		Args: []string{"xorriso", "-as", "mkisofs", "-quiet", "-R", "--grub2-mbr", "/mbr", "-b", "core.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info", "-o", "/out/a.iso", "/in"},
		Ro:   []sandbox.Bind{{Host: in, Path: "/in"}, {Host: mbr, Path: "/mbr"}}, Rw: []sandbox.Bind{{Host: out, Path: "/out"}}})
	if err != nil {
		t.Fatal(err)
	}
	iso, err := os.ReadFile(filepath.Join(out, "a.iso"))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := iso9660.Open(bytes.NewReader(iso), int64(len(iso)), "/core.img")
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(theirs)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(iso, want)
	boot, got, err := l.OnISO(core, uint32(at/iso9660.Sector))
	if err != nil {
		t.Fatal(err)
	}
	if at%iso9660.Sector != 0 || !bytes.Equal(got, want) {
		t.Errorf("at byte %d the core begins with %x, xorriso's with %x", at, got[:infoSumFrom], want[:infoSumFrom])
	}
	if !bytes.Equal(boot[:], iso[:BootCodeSize]) {
		t.Errorf("boot code %x, xorriso's is %x", boot[hybridCoreAt:], iso[hybridCoreAt:BootCodeSize])
	}
	if _, _, err := l.OnISO(make([]byte, 100), 50); err == nil {
		t.Error("100 bytes are a core")
	}
}
