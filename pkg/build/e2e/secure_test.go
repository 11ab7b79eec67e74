package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/authenticode"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/uki"
	"github.com/bee-os/bee/pkg/build/vm"
)

// owner names who enrolled the keys; any number will do.
const owner = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"

// secureLab is a lab whose machines have Secure Boot on: their firmware trusts
// the user's certificate and no other.
type secureLab struct {
	*lab
	user   authenticode.Pair
	vars   string // the firmware's variables, with the keys
	client *ssh.Client
	image  string // unified kernel image, not signed
}

// makePair makes a key and its certificate.
func makePair(t *testing.T, dir, name string) authenticode.Pair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(1700000000, 0), NotAfter: time.Unix(4000000000, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	p := authenticode.Pair{Key: filepath.Join(dir, name+".key"), Cert: filepath.Join(dir, name+".pem")}
	for file, block := range map[string]*pem.Block{p.Key: {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}, p.Cert: {Type: "CERTIFICATE", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func makeSecureLab(t *testing.T) *secureLab {
	t.Helper()
	skip(t)
	b, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, dir := t.Context(), t.TempDir()
	box, err := sandbox.Open(ctx, l, os.Stderr, arch, "tools-vm", "tools-test", "tools-hardware")
	if err != nil {
		t.Fatal(err)
	}
	s := &secureLab{lab: &lab{sandbox: box, images: b.images, accel: b.accel}, user: makePair(t, dir, "user"), vars: filepath.Join(dir, "vars.fd"), image: filepath.Join(dir, "bee.efi")}
	if s.client, err = ssh.New(ctx, box, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	enrol(t, l, dir, s.firmware("OVMF_VARS_4M.fd"))
	s.assemble(t)
	return s
}

// enrol writes vars.fd into a folder: variables with the certificate user.pem of
// the folder, under keys that nobody needs any more, and Secure Boot turned on. No
// key of Microsoft's is there; the empty variables are the firmware's.
func enrol(t *testing.T, l *lock.File, dir, empty string) {
	t.Helper()
	tools, err := sandbox.Open(t.Context(), l, os.Stderr, arch, "tools-uefi")
	if err != nil {
		t.Fatal(err)
	}
	makePair(t, dir, "pk")
	makePair(t, dir, "kek")
	err = tools.Run(t.Context(), sandbox.Step{
		Args: []string{"virt-fw-vars", "--input", "/vars", "--output", "/keys/vars.fd", "--set-pk", owner, "/keys/pk.pem", "--add-kek", owner, "/keys/kek.pem", "--add-db", owner, "/keys/user.pem", "--secure-boot"},
		Ro:   []sandbox.Bind{{Host: empty, Path: "/vars"}}, Rw: []sandbox.Bind{{Host: dir, Path: "/keys"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// firmware is a file of the package ovmf.
func (s *secureLab) firmware(name string) string {
	return filepath.Join(s.sandbox.Tree(), "usr/share/OVMF", name)
}

// assemble makes the image, with a command line that lets the test in.
func (s *secureLab) assemble(t *testing.T) {
	t.Helper()
	key, err := s.client.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	err = uki.Build(t.Context(), uki.Config{
		Stub: s.loader(t, "systemd-boot-efi", "usr/lib/systemd/boot/efi/linuxx64.efi.stub"), Kernel: filepath.Join(s.images, artifact.KernelFile), Initrd: filepath.Join(s.images, artifact.InitrdFile),
		Cmdline: "console=ttyS0 " + bootparam.Render(bootparam.Params{SSHKeys: []string{key}}), OSRelease: []byte("ID=bee\nPRETTY_NAME=bee\n"), Out: s.image,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sign signs the image with a pair and returns its file.
func (s *secureLab) sign(t *testing.T, p authenticode.Pair) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "signed.efi")
	if err := authenticode.Sign(s.image, out, p); err != nil {
		t.Fatal(err)
	}
	return out
}

// removable is where firmware looks for what a medium starts.
const removable = "EFI/BOOT/BOOTX64.EFI"

// fatMedium writes a FAT file system with these files.
func fatMedium(t *testing.T, disk string, files map[string]string) {
	t.Helper()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	judge, err := sandbox.Open(t.Context(), l, os.Stderr, arch, "tools-judge")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(disk, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 256<<20); err != nil {
		t.Fatal(err)
	}
	run := func(file string, args ...string) {
		t.Helper()
		step := sandbox.Step{Args: args, Rw: []sandbox.Bind{{Host: disk, Path: "/disk"}}}
		if file != "" {
			step.Ro = []sandbox.Bind{{Host: file, Path: "/file"}}
		}
		if err := judge.Run(t.Context(), step); err != nil {
			t.Fatal(err)
		}
	}
	run("", "mformat", "-F", "-c", "4", "-i", "/disk", "::")
	run("", "mmd", "-i", "/disk", "::/EFI", "::/EFI/BOOT", "::/EFI/debian")
	for name, file := range files {
		run(file, "mcopy", "-i", "/disk", "/file", "::/"+name)
	}
}

// boot starts a machine that has nothing to boot from but a medium with these
// files, and firmware with these variables.
func (s *secureLab) boot(t *testing.T, vars string, files map[string]string, nics ...vm.NIC) *machine {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), bootTime, fmt.Errorf("not within %v", bootTime))
	t.Cleanup(cancel)
	m := &machine{t: t, ctx: ctx, lab: s.lab, client: s.client}
	folder := t.TempDir()
	fatMedium(t, filepath.Join(folder, "disk"), files)
	text, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "vars"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	tpm := startTPM(t, s.sandbox, folder)
	m.process, err = vm.Start(ctx, s.sandbox, vm.Machine{
		Name: "secure boot", Arch: arch, Accel: s.accel, NICs: nics, Folder: folder,
		UEFI: vm.UEFI{Code: s.firmware("OVMF_CODE_4M.secboot.fd"), Vars: filepath.Join(folder, "vars"), Secure: true},
		Args: []string{"-chardev", "socket,id=tpmchar,path=" + tpm, "-tpmdev", "emulator,id=tpm0,chardev=tpmchar", "-device", "tpm-crb,tpmdev=tpm0",
			"-drive", "if=none,id=esp,format=raw,file=" + vm.FolderPath + "/disk", "-device", "virtio-blk-pci,drive=esp,bootindex=0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the console said last:\n%s", m.process.Console.Tail(60))
		}
		if err := m.process.Close(); err != nil {
			t.Errorf("end the machine: %v", err)
		}
	})
	if len(nics) > 0 {
		if m.port, err = m.process.Port(ctx, 22); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// forwarded is a network card with SSH made reachable.
func forwarded() vm.NIC {
	return vm.NIC{MAC: mac, User: &vm.User{Forward: []int{22}, Restrict: true}}
}

// loader is a file of a pinned boot loader.
func (s *secureLab) loader(t *testing.T, name, file string) string {
	t.Helper()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	e, err := l.Get(name, arch)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := debian.NewStore(f).Tree(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(tree, file)
}
