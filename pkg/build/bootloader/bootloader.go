// Package bootloader gives the builder what firmware starts: Debian's shim and
// GRUB, signed as Debian ships them, GRUB's core for BIOS, iPXE, PXELINUX and a
// Raspberry Pi's own firmware. All of it comes from pinned packages; nothing is
// installed, and the few bytes that grub-install would write are patched here.
package bootloader

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/lock"
)

// Store brings unpacked packages: *debian.Store.
type Store interface {
	Trees(ctx context.Context, entries []lock.Entry) (dirs []string, err error)
}

// File is one file of a boot medium.
type File struct {
	Path   string // on the medium, slashes, relative to its root
	Source string // file on the host
}

// Loader is what one architecture's firmware starts.
type Loader struct {
	Entries []lock.Entry // the packages

	platform platform
	trees    []string
}

// platform is what differs between architectures. Names below EFI/BOOT are those
// of the UEFI specification, 3.5.1.1 (removable media).
type platform struct {
	group   string // of bee.lock
	suffix  string // of EFI programs: x64
	boot    string // what firmware starts from a removable medium
	signed  string // folder of the signed GRUB below usr/lib/grub
	ipxe    string // iPXE for UEFI
	stub    string // of unified kernel images
	hasBIOS bool
}

var platforms = map[string]platform{
	"amd64": {group: "bootloaders", suffix: "x64", boot: "BOOTX64.EFI", signed: "x86_64-efi-signed", ipxe: "ipxe-amd64.efi", stub: "linuxx64.efi.stub", hasBIOS: true},
	"arm64": {group: "bootloaders-arm64", suffix: "aa64", boot: "BOOTAA64.EFI", signed: "arm64-efi-signed", ipxe: "ipxe-arm64.efi", stub: "linuxaa64.efi.stub"},
}

// Open brings the boot loaders of an architecture, as Debian calls it.
func Open(ctx context.Context, l *lock.File, store Store, arch string) (*Loader, error) {
	p, ok := platforms[arch]
	if !ok {
		return nil, fmt.Errorf("open boot loaders: none are known for %q", arch)
	}
	entries := l.Group(p.group, arch)
	if len(entries) == 0 {
		return nil, fmt.Errorf("open boot loaders: group %s of %s has no package for %s; run `go tool mage lock`", p.group, lock.Name, arch)
	}
	trees, err := store.Trees(ctx, entries)
	if err != nil {
		return nil, fmt.Errorf("open boot loaders: %w", err)
	}
	return &Loader{Entries: entries, platform: p, trees: trees}, nil
}

// HasBIOS says whether machines of the architecture have a BIOS.
func (l *Loader) HasBIOS() bool { return l.platform.hasBIOS }

// find gives a file of the packages, by its path in them.
func (l *Loader) find(name string) (string, error) {
	for _, t := range l.trees {
		file := filepath.Join(t, name)
		if fi, err := os.Stat(file); err == nil && fi.Mode().IsRegular() {
			return file, nil
		}
	}
	var names []string
	for _, e := range l.Entries {
		names = append(names, e.String())
	}
	return "", fmt.Errorf("find %s: none of the pinned packages has it: %s", name, strings.Join(names, ", "))
}

// named finds several files; names alternates places on the medium and paths in
// the packages.
func (l *Loader) named(names ...string) ([]File, error) {
	var files []File
	for i := 0; i+1 < len(names); i += 2 {
		source, err := l.find(names[i+1])
		if err != nil {
			return nil, err
		}
		files = append(files, File{names[i], source})
	}
	return files, nil
}

// UEFI is what an EFI system partition needs to start GRUB, with and without
// Secure Boot: shim under the name that firmware looks for, MokManager, and the
// GRUB that Debian makes for CDs, because that one looks for its configuration
// in /boot/grub of the file system it was started from, and not in /EFI/debian.
func (l *Loader) UEFI() ([]File, error) {
	s := l.platform.suffix
	return l.named(
		"EFI/BOOT/"+l.platform.boot, "usr/lib/shim/shim"+s+".efi.signed",
		"EFI/BOOT/grub"+s+".efi", path.Join("usr/lib/grub", l.platform.signed, "gcd"+s+".efi.signed"),
		"EFI/BOOT/mm"+s+".efi", "usr/lib/shim/mm"+s+".efi.signed")
}

// Package gives the named packages' entries; one that the architecture has not is
// left out.
func (l *Loader) Package(names ...string) []lock.Entry {
	return slices.DeleteFunc(slices.Clone(l.Entries), func(e lock.Entry) bool { return !slices.Contains(names, e.Name) })
}

// ForMedia are the packages whose files lie on media: those of UEFI and of Core.
func (l *Loader) ForMedia() []lock.Entry {
	return l.Package("shim-signed", "shim-helpers-amd64-signed", "shim-helpers-arm64-signed", "grub-efi-amd64-signed", "grub-efi-arm64-signed", "grub-pc-bin")
}

// ForNetwork are the packages of Network.
func (l *Loader) ForNetwork() []lock.Entry {
	return l.Package("shim-signed", "grub-efi-amd64-signed", "grub-efi-arm64-signed", "ipxe", "pxelinux", "syslinux-common")
}

// Boot is the name below EFI/BOOT of what firmware starts from a removable
// medium.
func (l *Loader) Boot() string { return l.platform.boot }

// Network is what a TFTP or HTTP server gives to machines that start from it:
// iPXE for UEFI and for BIOS, PXELINUX, and shim with the GRUB that reads its
// configuration from grub/ on the server, which is the way under Secure Boot:
// iPXE is not signed.
func (l *Loader) Network() ([]File, error) {
	p := l.platform
	names := []string{
		"ipxe.efi", "usr/lib/ipxe/" + p.ipxe,
		"shim" + p.suffix + ".efi", "usr/lib/shim/shim" + p.suffix + ".efi.signed",
		"grub" + p.suffix + ".efi", path.Join("usr/lib/grub", p.signed, "grubnet"+p.suffix+".efi.signed"),
	}
	if p.hasBIOS {
		names = append(names,
			"undionly.kpxe", "usr/lib/ipxe/undionly.kpxe",
			"snponly.efi", "usr/lib/ipxe/snponly.efi",
			"pxelinux.0", "usr/lib/PXELINUX/pxelinux.0",
			"ldlinux.c32", "usr/lib/syslinux/modules/bios/ldlinux.c32")
	}
	return l.named(names...)
}

// Stub is the program in front of a unified kernel image: systemd-stub(7).
func (l *Loader) Stub() (string, error) {
	return l.find("usr/lib/systemd/boot/efi/" + l.platform.stub)
}
