package bootloader

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// SectorSize is that of disks as BIOS sees them, bytes.
const SectorSize = 512

// BootCodeSize is how much of the first sector is code; behind it lie the disk's
// signature and the partition table (UEFI specification, 5.2.1).
const BootCodeSize = 440

// grubBIOS is the folder of GRUB for BIOS in its package.
const grubBIOS = "usr/lib/grub/i386-pc"

// coreModules are what GRUB needs to find and read its configuration, and what
// the configuration uses.
var coreModules = []string{
	"biosdisk", "part_gpt", "part_msdos", "fat", "iso9660", "normal", "configfile", "search", "search_fs_file",
	"linux", "echo", "test", "true", "serial", "terminal", "ls", "cat", "halt", "reboot", "sleep", "all_video", "gfxterm", "minicmd",
}

// Core makes GRUB's core for BIOS with grub-mkimage. It runs script first, which
// must set root and prefix. For an ISO image it begins with the loader that El
// Torito starts. box has the tools of group tools-image; what was made is kept
// below the folder cache.
func (l *Loader) Core(ctx context.Context, box *sandbox.Sandbox, cache, script string, elTorito bool) ([]byte, error) {
	modules, err := l.find(grubBIOS + "/moddep.lst")
	if err != nil {
		return nil, err
	}
	format := "i386-pc"
	if elTorito {
		format = "i386-pc-eltorito"
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s %q %q %s", format, coreModules, script, box.Tree()))
	for _, e := range l.Entries {
		key = sha256.Sum256(append(key[:], e.SHA256...))
	}
	kept := filepath.Join(cache, "grub", hex.EncodeToString(key[:16])+".img")
	if core, err := os.ReadFile(kept); err == nil && len(core) > SectorSize {
		return core, nil
	}
	dir, err := os.MkdirTemp("", "bee-grub-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "early.cfg"), []byte(script), 0o644); err != nil {
		return nil, err
	}
	args := append([]string{"grub-mkimage", "-O", format, "-d", "/modules", "-c", "/made/early.cfg", "-o", "/made/core.img", "-p", "/boot/grub"}, coreModules...)
	err = box.Run(ctx, sandbox.Step{Args: args,
		Ro: []sandbox.Bind{{Host: filepath.Dir(modules), Path: "/modules"}}, Rw: []sandbox.Bind{{Host: dir, Path: "/made"}}})
	if err != nil {
		return nil, fmt.Errorf("make GRUB's core for BIOS: %w", err)
	}
	core, err := os.ReadFile(filepath.Join(dir, "core.img"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return nil, err
	}
	return core, renameio.WriteFile(kept, core, 0o644) // several builds share the cache
}

// Places in GRUB's boot.img and in the first sector of its core (diskboot.img)
// that grub-install fills in: grub-core/boot/i386/pc/boot.S, diskboot.S and
// include/grub/i386/pc/boot.h (GRUB_BOOT_MACHINE_*).
const (
	kernelSectorAt = 0x5c  // u64: where the core begins
	driveCheckAt   = 0x66  // two bytes: a jump around a fix for floppies
	blockListAt    = 0x1f4 // u64 first sector, u16 count, u16 segment of the rest of the core
	coreSegment    = 0x820 // where the rest is loaded: 0x8200 behind the first sector
)

// OnDisk makes GRUB for BIOS fit to a disk whose BIOS boot partition begins at
// the sector first: the boot code of the first sector, and the core as it is
// written into that partition. core is as Core made it, not for El Torito.
func (l *Loader) OnDisk(core []byte, first uint64) (boot [BootCodeSize]byte, patched []byte, err error) {
	name, err := l.find(grubBIOS + "/boot.img")
	if err != nil {
		return boot, nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return boot, nil, err
	}
	if len(text) != SectorSize || len(core) < 2*SectorSize {
		return boot, nil, fmt.Errorf("fit GRUB to a disk: boot.img has %d bytes, the core %d: these are not what grub-pc-bin ships", len(text), len(core))
	}
	binary.LittleEndian.PutUint64(text[kernelSectorAt:], first)
	text[driveCheckAt], text[driveCheckAt+1] = 0x90, 0x90 // nop: BIOSes that report the drive wrongly
	copy(boot[:], text)

	patched = append([]byte(nil), core...)
	for len(patched)%SectorSize != 0 {
		patched = append(patched, 0)
	}
	rest := len(patched)/SectorSize - 1
	if rest > 0xffff || strings.Count(string(patched[blockListAt:SectorSize]), "\x00") == SectorSize-blockListAt {
		return boot, nil, errors.New("fit GRUB to a disk: the core's first sector has no block list: it was made for another medium")
	}
	binary.LittleEndian.PutUint64(patched[blockListAt:], first+1)
	binary.LittleEndian.PutUint16(patched[blockListAt+8:], uint16(rest))
	binary.LittleEndian.PutUint16(patched[blockListAt+10:], coreSegment)
	return boot, patched, nil
}

// Places in GRUB's boot_hybrid.img and in a core for El Torito, whose first
// sectors are cdboot.img, that xorrisofs(1) fills in with --grub2-mbr,
// -boot-info-table and --grub2-boot-info; a sector of a CD is four of a disk.
const (
	hybridCoreAt = 0x1b0             // u64: sector of the disk where cdboot.img ends
	infoTableAt  = 8                 // u32 each: the volume descriptor's block, the core's, its size, a sum; 40 bytes for others
	infoSumFrom  = 64                // what the sum begins with
	elToritoAt   = 5*SectorSize - 12 // u64: sector of the disk where diskboot.img's list begins
	blockSize    = 2048
	descriptor   = 16
)

// OnISO makes GRUB for BIOS fit to an ISO image, in which core, made for El
// Torito, begins at a block of 2048 bytes: the boot code for a first sector, so
// that the image starts as a disk too, and the core as it is written.
func (l *Loader) OnISO(core []byte, block uint32) (boot [BootCodeSize]byte, patched []byte, err error) {
	name, err := l.find(grubBIOS + "/boot_hybrid.img")
	if err != nil {
		return boot, nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return boot, nil, err
	}
	if len(text) != SectorSize || len(core) < blockSize+2*SectorSize {
		return boot, nil, fmt.Errorf("fit GRUB to an ISO image: boot_hybrid.img has %d bytes, the core %d: these are not what grub-pc-bin ships", len(text), len(core))
	}
	const perBlock = blockSize / SectorSize
	le := binary.LittleEndian
	copy(boot[:], text)
	le.PutUint64(boot[hybridCoreAt:], (uint64(block)+1)*perBlock)

	patched = append([]byte(nil), core...)
	le.PutUint64(patched[elToritoAt:], (uint64(block)+1)*perBlock+1)
	for i, n := range []uint32{descriptor, block, uint32(len(core)), sum32(patched[infoSumFrom:])} {
		le.PutUint32(patched[infoTableAt+4*i:], n)
	}
	clear(patched[infoTableAt+16 : infoSumFrom])
	return boot, patched, nil
}

// sum32 adds words of 32 bits; the last is filled up with zeros.
func sum32(b []byte) uint32 {
	var sum uint32
	for len(b) > 0 {
		var word [4]byte
		n := copy(word[:], b)
		sum += binary.LittleEndian.Uint32(word[:])
		b = b[n:]
	}
	return sum
}
