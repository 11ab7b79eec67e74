package artifact

import (
	"bytes"
	"context"
	"os"
	"path/filepath"

	"github.com/bee-os/bee/pkg/build/manifest"
)

// ipxe is a folder that a TFTP or HTTP server gives to machines which start from
// the network: iPXE, PXELINUX, UEFI HTTP boot, and shim with GRUB where Secure
// Boot is on: images/ipxe/<arch>/.
var ipxe = Family{
	Name: "ipxe", Summary: "a folder for TFTP and HTTP servers: iPXE, PXELINUX, UEFI HTTP boot, Secure Boot",
	Arches: Arches, Build: buildIPXE,
}

// Files of the family that DHCP servers name.
const (
	iPXEScript = "boot.ipxe"
	buildID    = "build-id"
)

func buildIPXE(ctx context.Context, w *Work) error {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return err
	}
	loader, err := w.openLoader(ctx)
	if err != nil {
		return err
	}
	network, err := loader.Network()
	if err != nil {
		return err
	}
	files := append(loaderFiles(network),
		mediumFile{path: KernelFile, source: parts.Kernel}, mediumFile{path: InitrdFile, source: parts.Initrd}, mediumFile{path: buildID, text: []byte(m.ID[len("id-"):] + "\n")})
	// autoexec.ipxe is what iPXE asks for by itself where nobody tells it more.
	texts := [][2]string{{iPXEScript, "boot.ipxe"}, {"autoexec.ipxe", "autoexec.ipxe"}, {"grub/grub.cfg", "grub-net.cfg"}}
	if loader.HasBIOS() {
		texts = append(texts, [2]string{"pxelinux.cfg/default", "pxelinux.cfg"})
	}
	for _, t := range texts {
		text, err := w.render(t[1], m)
		if err != nil {
			return err
		}
		files = append(files, mediumFile{path: t[0], text: text})
	}
	if err := w.writeFiles(files); err != nil {
		return err
	}
	for _, f := range files {
		role := "boot loader"
		switch {
		case f.path == KernelFile:
			role = "kernel"
		case f.path == InitrdFile:
			role = "initrd"
		case f.source == "":
			role = "configuration"
		}
		w.made(f.path, role, manifest.Options{})
	}
	w.carries(loader.ForNetwork()...)
	w.boot = manifest.Boot{CommandLine: m.Cmdline, Editable: true, How: "boot.ipxe, grub/grub.cfg and pxelinux.cfg/default on the server"}
	w.rests = netParts
	names := "ipxe.efi (UEFI) or shim*.efi (Secure Boot)"
	if loader.HasBIOS() {
		names = "undionly.kpxe (BIOS), " + names
	}
	w.say("%d files, for a TFTP or HTTP server; DHCP names %s", len(files), names)
	return nil
}

// writeFiles puts files into the family's folder.
func (w *Work) writeFiles(files []mediumFile) error {
	for _, f := range files {
		name := w.file(f.path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if f.source != "" {
			if err := copyFile(name, f.source); err != nil {
				return err
			}
			continue
		}
		if err := replace(name, bytes.NewReader(f.text)); err != nil {
			return err
		}
	}
	return nil
}
