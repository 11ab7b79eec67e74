package paramblock

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/vm"
)

const root = "../../.."

// odd are words with every character that a word may have.
var odd = []string{
	"bee.ip=192.0.2.7/24@eth0,192.0.2.1",
	"bee.ssh_key=ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB+/xyz== me@host",
	"bee.password_hash=$6$salt$hash.of/a",
	"bee.module=nbd nbds_max=4 max_part=8",
	"bee.hostname=rack7-u12",
	"bee.ntp=!#$%&()*+,-./:;<=>?@[]^_`{|}~,${x},$(y),$?,*,a#b",
	"dyndbg=file drivers/x.c +p",
	"audit=0",
}

// open opens a sandbox with groups of the lock.
func open(t *testing.T, groups ...string) (*lock.File, *sandbox.Sandbox) {
	t.Helper()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", groups...)
	if errors.Is(err, sandbox.ErrUnavailable) {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l, box
}

func write(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustNew(t *testing.T, words ...string) []byte {
	t.Helper()
	b, err := New(words)
	if err != nil {
		t.Fatal(err)
	}
	return b[:]
}

// GRUB's own parser takes what is written, and refuses what is not closed.
func TestScriptCheck(t *testing.T) {
	_, box := open(t, "tools-image")
	dir := t.TempDir()
	for name, text := range map[string][]byte{"none": mustNew(t), "odd": mustNew(t, odd...), "default": []byte(Default), "broken": mustNew(t, odd...)[:200]} {
		// A script of definitions alone is refused as one that does nothing.
		write(t, filepath.Join(dir, name), append(text, "\n"+Function+" /bee/vmlinuz quiet\n"...))
		err := box.Run(t.Context(), sandbox.Step{Args: []string{"grub-script-check", "/in/" + name}, Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}})
		if (err != nil) != (name == "broken") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A real GRUB, started by SeaBIOS from a CD, sources the block, and the kernel
// says what it got: every word is there as it was written, for the node's own
// reader, and bee.block finds nothing to warn of.
func TestBoot(t *testing.T) {
	if testing.Short() {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal("-short leaves out the boot of GRUB, and CI must not")
		}
		t.Skip("SKIPPED: -short leaves out the boot of GRUB")
	}
	l, tools := open(t, "tools-image", "tools-judge", "bootloaders")
	_, qemu := open(t, "tools-vm")
	dir := t.TempDir()
	image := kernelImage(t, l)
	for name, c := range map[string]struct {
		block []byte // nil: no file
		want  []string
		warns bool
	}{
		"odd":    {mustNew(t, odd...), append(slices.Clone(odd), bootparam.BlockName+"="+bootparam.BlockSum(odd)), false},
		"none":   {mustNew(t), nil, false},
		"gone":   {nil, nil, false},
		"edited": {bytes.Replace(mustNew(t, "bee.ip=dhcp"), []byte("=dhcp"), []byte("=dhcq"), 1), []string{"bee.ip=dhcq", bootparam.BlockName + "=" + bootparam.BlockSum([]string{"bee.ip=dhcp"})}, true},
	} {
		t.Run(name, func(t *testing.T) {
			iso := makeCD(t, tools, filepath.Join(dir, name), image, c.block)
			line := commandLine(t, qemu, iso)
			words := bootparam.Split(line)
			want := append([]string{"BOOT_IMAGE=/bee/vmlinuz", "console=ttyS0", "panic=-1"}, c.want...)
			if d := cmp.Diff(want, words); d != "" {
				t.Errorf("%s: %s", line, d)
			}
			_, warnings := bootparam.Parse(line)
			warned := slices.ContainsFunc(warnings, func(w bootparam.Warning) bool { return strings.HasPrefix(w.Param, bootparam.BlockName) })
			if warned != c.warns {
				t.Errorf("warnings: %v", warnings)
			}
		})
	}
}

func kernelImage(t *testing.T, l *lock.File) string {
	t.Helper()
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	e, err := kernel.Find(l, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	k, err := kernel.Open(t.Context(), debian.NewStore(f), f.Cache, e, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return k.Image
}

// grubConfig is as a medium's, as far as the block is concerned.
const grubConfig = "serial\nterminal_output serial\n" + Default + `
if [ -f ` + Path + ` ]; then
source ` + Path + `
fi
` + Function + ` /bee/vmlinuz console=ttyS0 panic=-1
boot
`

// makeCD makes a CD with GRUB, the kernel and the block.
func makeCD(t *testing.T, box *sandbox.Sandbox, dir, image string, block []byte) string {
	t.Helper()
	text, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	cd, out := filepath.Join(dir, "cd"), filepath.Join(dir, "out")
	write(t, filepath.Join(cd, "bee/vmlinuz"), text)
	write(t, filepath.Join(cd, "boot/grub/grub.cfg"), []byte(grubConfig))
	if err := os.MkdirAll(out, 0o755); err != nil {
		t.Fatal(err)
	}
	if block != nil {
		write(t, filepath.Join(cd, Path), block)
	}
	binds := []sandbox.Bind{{Host: out, Path: "/out"}, {Host: cd, Path: "/cd"}}
	for _, args := range [][]string{
		{"grub-mkimage", "-O", "i386-pc-eltorito", "-d", "/usr/lib/grub/i386-pc", "-p", "/boot/grub", "-o", "/cd/eltorito.img",
			"biosdisk", "iso9660", "normal", "configfile", "linux", "test", "boot", "serial", "terminal"},
		{"xorriso", "-as", "mkisofs", "-quiet", "-R", "-b", "eltorito.img", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "-o", "/out/cd.iso", "/cd"},
	} {
		if err := box.Run(t.Context(), sandbox.Step{Args: args, Rw: binds}); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(out, "cd.iso")
}

var commandLineSaid = regexp.MustCompile(`Kernel command line: ([^\r\n]*)\r?\n`)

// commandLine boots the CD and reads what the kernel says that it was told.
func commandLine(t *testing.T, box *sandbox.Sandbox, iso string) string {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, fmt.Errorf("not within 3 minutes"))
	defer cancel()
	p, err := vm.Start(ctx, box, vm.Machine{Name: "grub", Folder: filepath.Dir(iso), Args: []string{"-cdrom", vm.FolderPath + "/" + filepath.Base(iso)}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Console.Expect(ctx, commandLineSaid)
	if closeErr := p.Close(); closeErr != nil && err == nil {
		t.Error(closeErr)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Console.Text())
	}
	return m.Groups[0]
}
