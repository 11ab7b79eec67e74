package artifact

import (
	"context"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/bootloader"
	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/disk/iso9660"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/paramblock"
)

// iso is an ISO 9660 image that starts as a CD and as a USB stick, from BIOS and
// from UEFI, there under Secure Boot too: images/iso/<arch>/bee.iso.
var iso = Family{
	Name: "iso", Summary: "CD and USB stick, BIOS and UEFI",
	Arches: Arches, Build: buildISO,
}

// ISOFile is the family's file, in its folder.
const ISOFile = "bee.iso"

// elTorito is the file of an ISO image that a BIOS starts.
const elTorito = "boot/grub/eltorito.img"

// espLabel names the EFI system partition of media.
const espLabel = "BEE_ESP"

func buildISO(ctx context.Context, w *Work) error {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return err
	}
	loader, err := w.openLoader(ctx)
	if err != nil {
		return err
	}
	uefi, err := loader.UEFI()
	if err != nil {
		return err
	}
	find, err := w.render("grub-find.cfg", m)
	if err != nil {
		return err
	}
	esp, err := w.isoESP(uefi, find)
	if err != nil {
		return err
	}
	files, err := w.mediumFiles(m, parts)
	if err != nil {
		return err
	}
	image := iso9660.Image{Name: volumeID(bom.Version), Application: "BEE", Time: w.Date, EFI: esp.Size, Tail: gpt.TailSize}
	if image.Files, err = diskFiles(files); err != nil {
		return err
	}
	table := gpt.Table{Active: true}
	if loader.HasBIOS() {
		if err := w.isoCore(ctx, loader, find, &image, &table); err != nil {
			return err
		}
	}
	layout, err := image.Plan()
	if err != nil {
		return err
	}
	seed, err := parts.seed(m)
	if err != nil {
		return err
	}
	table.Disk = gpt.Derive(seed, "disk")
	table.Partitions = []gpt.Partition{
		{Type: gpt.BasicData, ID: gpt.Derive(seed, "iso"), Name: "bee", Start: layout.Volume.Offset, Size: layout.Volume.Size, Attributes: gpt.ReadOnly},
		{Type: gpt.ESP, ID: gpt.Derive(seed, "esp"), Name: "bee ESP", Start: layout.EFI.Offset, Size: layout.EFI.Size},
	}
	head, tail, err := table.Encode(layout.Size)
	if err != nil {
		return err
	}
	sum, err := writeHashed(w.file(ISOFile), layout.Size, func(f io.WriterAt) error { // in rising order
		if _, err := f.WriteAt(head, 0); err != nil {
			return err
		}
		if _, err := image.Write(ctx, f); err != nil {
			return err
		}
		if err := writeVolume(ctx, f, layout.EFI.Offset, esp); err != nil {
			return err
		}
		_, err := f.WriteAt(tail, layout.Size-int64(len(tail)))
		return err
	})
	if err != nil {
		return err
	}
	contents, err := parts.contents(map[string]int64{mediumKernel: layout.Files[mediumKernel].Offset, mediumInitrd: layout.Files[mediumInitrd].Offset})
	if err != nil {
		return err
	}
	w.made(ISOFile, "iso", manifest.Options{Contents: contents, SHA256: sum})
	if err := w.findBlocks(); err != nil {
		return err
	}
	w.carries(loader.ForMedia()...)
	w.boot = w.grubBoot(m)
	w.rests = chainParts(loader.HasBIOS())
	if w.pcrs, err = chainPCRs(uefi, parts.Kernel); err != nil {
		return err
	}
	w.say("%s, %.1f MiB", ISOFile, float64(layout.Size)/(1<<20))
	return nil
}

// isoESP is the EFI system partition of an ISO image. It holds what firmware
// starts and a line that finds the rest, which is not there twice.
func (w *Work) isoESP(uefi []bootloader.File, find []byte) (fat.Volume, error) {
	files := append(loaderFiles(uefi), mediumFile{path: mediumConfig, text: slices.Concat(find, []byte("configfile $prefix/grub.cfg\n"))})
	list, err := diskFiles(files)
	if err != nil {
		return fat.Volume{}, err
	}
	v := fat.Volume{Bits: 16, Label: espLabel, Serial: uint32(w.Date.Unix()), Time: w.Date, Files: list}
	v.Size, err = v.MinSize()
	return v, err
}

// isoCore adds GRUB for BIOS to an image, whose place in it GRUB must know, and
// gives the table its boot code.
func (w *Work) isoCore(ctx context.Context, loader *bootloader.Loader, find []byte, image *iso9660.Image, table *gpt.Table) error {
	box, err := w.tools(ctx)
	if err != nil {
		return err
	}
	core, err := loader.Core(ctx, box, w.Cache, string(find), true)
	if err != nil {
		return err
	}
	files := image.Files
	image.BIOS, image.Files = elTorito, append(slices.Clone(files), disk.Bytes(elTorito, core))
	layout, err := image.Plan()
	if err != nil {
		return err
	}
	boot, core, err := loader.OnISO(core, uint32(layout.Files[elTorito].Offset/iso9660.Sector))
	if err != nil {
		return err
	}
	image.Files = append(files, disk.Bytes(elTorito, core)) // of the same size
	table.Boot = boot[:]
	return nil
}

// mediumFiles are what every medium holds beside its boot loader.
func (w *Work) mediumFiles(m mediumText, parts *Parts) ([]mediumFile, error) {
	config, err := w.render("grub.cfg", m)
	if err != nil {
		return nil, err
	}
	block, err := paramblock.New(nil)
	if err != nil {
		return nil, err
	}
	bomFile := filepath.Join(filepath.Dir(parts.Kernel), BOMFile)
	return []mediumFile{
		{path: mediumConfig, text: config},
		{path: mediumKernel, source: parts.Kernel},
		{path: mediumInitrd, source: parts.Initrd},
		{path: "bee/" + BOMFile, source: bomFile},
		{path: mediumParams, text: block[:]},
		{path: "bee/" + m.ID, text: []byte("bee " + m.Version + "\n")},
	}, nil
}

// volumeID is the name of a volume: d-characters (ECMA-119, 7.4.1), 32 at most.
func volumeID(version string) string {
	return "BEE_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_", "+", "_").Replace(version))
}
