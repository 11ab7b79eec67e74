package artifact

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/bee-os/bee/pkg/build/authenticode"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/pcr"
	"github.com/bee-os/bee/pkg/build/uki"
)

// unified is one EFI program with kernel, initramfs and command line in it:
// images/uki/<arch>/bee.efi. Signed with a key of yours it is the one whose every
// byte firmware checks.
var unified = Family{
	Name: "uki", Summary: "unified kernel image, signed with your key: UEFI checks every byte of it",
	Arches: Arches, Build: buildUKI,
}

// UKIFile is the family's file, in its folder.
const UKIFile = "bee.efi"

func buildUKI(ctx context.Context, w *Work) error {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return err
	}
	loader, err := w.openLoader(ctx)
	if err != nil {
		return err
	}
	stub, err := loader.Stub()
	if err != nil {
		return err
	}
	w.carries(loader.Package("systemd-boot-efi")...)
	release := fmt.Sprintf("ID=bee\nVERSION_ID=%s\nPRETTY_NAME=\"bee %s\"\n", m.Version, m.Version)
	out := w.file(UKIFile)
	err = uki.Build(ctx, uki.Config{Stub: stub, Kernel: parts.Kernel, Initrd: parts.Initrd, Cmdline: m.Cmdline, OSRelease: []byte(release), Uname: parts.BOM.Kernel, Out: out})
	if err != nil {
		return err
	}
	who, signed := "", w.SecureBoot != (authenticode.Pair{})
	if signed {
		if who, err = signUKI(out, w.SecureBoot); err != nil {
			return err
		}
	}
	if w.pcrs, err = predict(out); err != nil {
		return err
	}
	contents, err := parts.contents(nil)
	if err != nil {
		return err
	}
	for i, section := range []string{".linux", ".initrd"} {
		contents[i].Path = section
	}
	w.made(UKIFile, "uki", manifest.Options{Contents: contents})
	w.boot = manifest.Boot{CommandLine: m.Cmdline, How: "it is inside the signed program; build anew with the key parameters of bee.toml"}
	w.rests = ukiParts(signed, who)
	state := "not signed: set BEE_SB_KEY and BEE_SB_CERT for Secure Boot"
	if signed {
		state = "signed by " + who
	}
	w.say("%s, %s", UKIFile, state)
	return nil
}

// signUKI signs the image in place, checks it, and says in whose name.
func signUKI(file string, pair authenticode.Pair) (string, error) {
	unsigned := file + ".unsigned"
	if err := os.Rename(file, unsigned); err != nil {
		return "", err
	}
	if err := errors.Join(authenticode.Sign(unsigned, file, pair), os.Remove(unsigned)); err != nil {
		return "", err
	}
	text, err := os.ReadFile(pair.Cert)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", fmt.Errorf("read certificate %s: it is not PEM", pair.Cert)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", fmt.Errorf("read certificate %s: %w", pair.Cert, err)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	return cert.Subject.String(), authenticode.Verify(f, fi.Size(), cert)
}

// predict says what a TPM holds after firmware started the image from a
// removable medium: register 11 is systemd-stub's alone; register 4 holds where
// firmware starts nothing before.
func predict(file string) (manifest.PCRs, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	events, err := pcr.UKI(f, fi.Size())
	if err != nil {
		return nil, err
	}
	return bank(events), nil
}
