package artifact

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/bootloader"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/paramblock"
	"github.com/bee-os/bee/pkg/build/pcr"
)

// Places on a medium.
const (
	mediumKernel = "bee/vmlinuz"
	mediumInitrd = "bee/initrd.img"
	mediumParams = "bee/params.cfg" // the parameter block
	mediumConfig = "boot/grub/grub.cfg"
)

// consoles are the kernel's, by architecture; the last is /dev/console, and bee
// speaks on all of them. On arm64 the firmware knows the serial one: ACPI's SPCR
// table, or stdout-path of a device tree, which the kernel follows only where
// the command line names no console at all (of_console_check,
// drivers/of/base.c). bee adds the screen then.
var consoles = map[string]string{
	"amd64": "console=ttyS0,115200 console=tty0",
	"arm64": "",
}

// words are the kernel's command line of media, as far as it does not depend on
// the boot loader.
func (p *project) words() []string {
	return slices.Concat(strings.Fields("quiet "+consoles[p.Arch]), p.Parameters)
}

// kernelLine puts words onto a command line as the kernel reads them (lib/cmdline.c,
// next_arg): one with a blank stands in double quotes.
func kernelLine(words []string) string {
	line := slices.Clone(words)
	for i, w := range line {
		if strings.ContainsAny(w, " \t") {
			line[i] = `"` + w + `"`
		}
	}
	return strings.Join(line, " ")
}

// grubLine puts words into GRUB's configuration; none holds a quote, which
// paramblock.Check makes sure of.
func grubLine(words []string) string {
	line := slices.Clone(words)
	for i, w := range line {
		line[i] = "'" + w + "'"
	}
	return strings.Join(line, " ")
}

// mediumText is what the templates of media may name.
type mediumText struct {
	Version   string
	ID        string // names a file that only this medium has
	InitrdMiB int
	Cmdline   string // as the kernel reads it
	Words     string // as GRUB does
	Loud      string // the same, and the kernel says more
	Default   string // definition of the function that a parameter block replaces
	Kernel    string // file names beside the script
	Initrd    string
	Script    string
}

// medium is what every medium has: the texts, and a name that tells it from all
// others.
func (p *project) medium(ctx context.Context) (mediumText, *Parts, error) {
	parts, err := p.mediaParts(ctx)
	if err != nil {
		return mediumText{}, nil, err
	}
	fi, err := os.Stat(parts.Initrd)
	if err != nil {
		return mediumText{}, nil, err
	}
	words := p.words()
	line := kernelLine(words)
	id := sha256.Sum256([]byte(parts.KernelSum + parts.InitrdSum + line))
	return mediumText{
		Version: bom.Version, ID: "id-" + hex.EncodeToString(id[:8]), InitrdMiB: int((fi.Size() + 1<<20 - 1) >> 20),
		Cmdline: line, Words: grubLine(words), Loud: grubLine(words[1:]), Default: strings.TrimSuffix(paramblock.Default, "\n"), Kernel: KernelFile, Initrd: InitrdFile, Script: iPXEScript,
	}, parts, nil
}

// render fills in a file of templates/.
func (p *project) render(name string, data any) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(p.Root, "templates", name))
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	var out bytes.Buffer
	if err := t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("render templates/%s: %w", name, err)
	}
	return out.Bytes(), nil
}

// sumFile is the SHA-256 of a file.
func sumFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hash %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// mediumFile is a file of a medium: its bytes, or the file that has them.
type mediumFile struct {
	path, source string
	text         []byte
}

// loaderFiles are a boot loader's files as a medium's.
func loaderFiles(files []bootloader.File) []mediumFile {
	var list []mediumFile
	for _, f := range files {
		list = append(list, mediumFile{path: f.Path, source: f.Source})
	}
	return list
}

// openLoader brings the boot loaders.
func (p *project) openLoader(ctx context.Context) (*bootloader.Loader, error) {
	if p.loader != nil {
		return p.loader, nil
	}
	store, err := p.openStore()
	if err != nil {
		return nil, err
	}
	p.loader, err = bootloader.Open(ctx, p.Lock, store, p.Arch)
	return p.loader, err
}

// carries says which packages have a part of themselves in the artifact, beside
// those of the image inside.
func (w *Work) carries(entries ...lock.Entry) { w.carried = append(w.carried, entries...) }

// grubBoot is how media start that GRUB starts.
func (w *Work) grubBoot(m mediumText) manifest.Boot {
	return manifest.Boot{CommandLine: m.Cmdline, Editable: true, How: "the parameter block: go tool mage patch IMAGE 'bee.ip=…'"}
}

// findBlocks notes where the outputs have their parameter blocks.
func (w *Work) findBlocks() error {
	for i, o := range w.outputs {
		f, err := os.Open(w.file(o.Name))
		if err != nil {
			return err
		}
		defer f.Close()
		fi, err := f.Stat()
		if err != nil {
			return err
		}
		if w.outputs[i].Block, err = paramblock.Find(f, fi.Size()); err != nil {
			return err
		}
		if len(w.outputs[i].Block) == 0 {
			return fmt.Errorf("find the parameter block in %s: there is none, and every medium has one", o.Name)
		}
	}
	return nil
}

// chainPCRs is what a TPM's register 4 holds when firmware's first boot option is
// the medium: shim, GRUB and the kernel, in this order. What GRUB reads and runs
// (8 and 9) depends on the entry that is chosen.
func chainPCRs(uefi []bootloader.File, kernel string) (manifest.PCRs, error) {
	var hashes []pcr.Digest
	for _, name := range []string{uefi[0].Source, uefi[1].Source, kernel} {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		fi, err := f.Stat()
		if err != nil {
			return nil, err
		}
		h, err := pcr.Application(f, fi.Size())
		if err != nil {
			return nil, fmt.Errorf("predict PCR %d: %s: %w", pcr.BootLoader, name, err)
		}
		hashes = append(hashes, h)
	}
	return bank(pcr.Applications(hashes...)), nil
}

// bank are the registers that events lead to, as a manifest has them.
func bank(events []pcr.Event) manifest.PCRs {
	values := make(map[string]string)
	for register, value := range pcr.Predict(events) {
		values[strconv.Itoa(register)] = value.String()
	}
	return manifest.PCRs{"sha256": values}
}
