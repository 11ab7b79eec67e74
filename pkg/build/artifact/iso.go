package artifact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/bootloader"
	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/iso9660"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/paramblock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// iso is an ISO 9660 image that starts as a CD and as a USB stick, from BIOS and
// from UEFI, there under Secure Boot too: images/iso/<arch>/bee.iso.
var iso = Family{
	Name: "iso", Summary: "CD and USB stick, BIOS and UEFI",
	Arches: Arches, Build: buildISO,
}

// ISOFile is the family's file, in its folder.
const ISOFile = "bee.iso"

// Files inside an ISO image that only boot needs.
const (
	elTorito = "boot/grub/eltorito.img"
	espLabel = "BEE_ESP"
)

func buildISO(ctx context.Context, w *Work) (err error) {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return err
	}
	loader, err := w.openLoader(ctx)
	if err != nil {
		return err
	}
	box, err := w.tools(ctx)
	if err != nil {
		return err
	}
	find, err := w.render("grub-find.cfg", m)
	if err != nil {
		return err
	}
	files, err := w.mediumFiles(m, parts)
	if err != nil {
		return err
	}
	stage, err := os.MkdirTemp(w.Dir, "stage-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }() // beside the image it would be taken for a part of it
	if err := w.isoESP(ctx, loader, find, filepath.Join(stage, "efi.img")); err != nil {
		return err
	}
	step := isoStep{box: box, dir: stage, work: w, epoch: w.Date.Unix()}
	if loader.HasBIOS() {
		core, err := loader.Core(ctx, box, w.Cache, string(find), true)
		if err != nil {
			return err
		}
		files = append(files, mediumFile{path: elTorito, text: core})
		if step.mbr, err = loader.HybridMBR(); err != nil {
			return err
		}
	}
	if err := step.run(ctx, files, w.file(ISOFile)); err != nil {
		return err
	}
	fi, err := os.Stat(w.file(ISOFile))
	if err != nil {
		return err
	}
	contents, err := w.inISO(parts, fi.Size())
	if err != nil {
		return err
	}
	w.made(ISOFile, "iso", manifest.Options{Contents: contents})
	if err := w.findBlocks(); err != nil {
		return err
	}
	w.carries(loader.ForMedia()...)
	w.boot = w.grubBoot(m)
	w.rests = chainParts(loader.HasBIOS())
	uefi, err := loader.UEFI()
	if err != nil {
		return err
	}
	if w.pcrs, err = chainPCRs(uefi, parts.Kernel); err != nil {
		return err
	}
	w.say("%s, %.1f MiB", ISOFile, float64(fi.Size())/(1<<20))
	return nil
}

// isoESP makes the EFI system partition of an ISO image. It holds what firmware
// starts and a line that finds the rest, which is not there twice.
func (w *Work) isoESP(ctx context.Context, loader *bootloader.Loader, find []byte, out string) error {
	uefi, err := loader.UEFI()
	if err != nil {
		return err
	}
	files := append(loaderFiles(uefi), mediumFile{path: mediumConfig, text: slices.Concat(find, []byte("configfile $prefix/grub.cfg\n"))})
	list, err := fatFiles(files)
	if err != nil {
		return err
	}
	v := fat.Volume{Bits: 16, Label: espLabel, Serial: uint32(w.Date.Unix()), Time: w.Date, Files: list}
	if v.Size, err = v.MinSize(); err != nil {
		return err
	}
	return writeWhole(out, v.Size, func(f io.WriterAt) error { return w.writeVolume(ctx, f, 0, v) })
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

// inISO says where kernel and initramfs lie in the image.
func (w *Work) inISO(parts *Parts, size int64) ([]manifest.Content, error) {
	f, err := os.Open(w.file(ISOFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	offsets := make(map[string]int64)
	for _, e := range iso9660.Walk(f, size) {
		if name := strings.TrimPrefix(e.Path, "/"); name == mediumKernel || name == mediumInitrd {
			offsets[name] = e.Start
		}
	}
	return parts.contents(offsets)
}

// isoStep runs xorriso.
type isoStep struct {
	work  *Work
	box   *sandbox.Sandbox
	dir   string // holds efi.img, and texts while it runs
	mbr   string // file; empty: no BIOS
	epoch int64
}

// run writes the image. Options are those of xorrisofs(1); the recipe is that of
// grub-mkrescue, with the EFI system partition behind the file system, where
// both tables and El Torito point at it.
func (s isoStep) run(ctx context.Context, files []mediumFile, out string) error {
	stamp := s.work.Date.UTC().Format("20060102150405") + "00"
	args := []string{"xorriso", "-report_about", "WARNING", "-as", "mkisofs", "-iso-level", "3", "-rational-rock", "-volid", volumeID(bom.Version),
		"-appid", "bee", "-preparer", "bee", "--modification-date=" + stamp, "--set_all_file_dates", "=" + strconv.FormatInt(s.epoch, 10),
		"-partition_offset", "16", "-append_partition", "2", "0xef", "/stage/efi.img", "-appended_part_as_gpt"}
	ro := []sandbox.Bind{}
	if s.mbr != "" {
		args = append(args, "--grub2-mbr", "/mbr", "--mbr-force-bootable",
			"-eltorito-boot", elTorito, "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot")
		ro = append(ro, sandbox.Bind{Host: s.mbr, Path: "/mbr"})
	}
	args = append(args, "-e", "--interval:appended_partition_2:all::", "-no-emul-boot",
		"-output", "/out/"+filepath.Base(out), "-graft-points")
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b mediumFile) int { return strings.Compare(a.path, b.path) })
	for i, f := range files {
		inside := fmt.Sprintf("/file%d", i)
		if f.source == "" {
			f.source = filepath.Join(s.dir, fmt.Sprintf("text%d", i))
			if err := os.WriteFile(f.source, f.text, 0o644); err != nil {
				return err
			}
		}
		ro = append(ro, sandbox.Bind{Host: f.source, Path: inside})
		args = append(args, "/"+path.Clean(f.path)+"="+inside)
	}
	ro = append(ro, sandbox.Bind{Host: s.dir, Path: "/stage"})
	err := s.box.Run(ctx, sandbox.Step{Args: args, Ro: ro, Rw: []sandbox.Bind{{Host: filepath.Dir(out), Path: "/out"}}})
	if err != nil && strings.Contains(err.Error(), "exceeds free space") { // as xorriso says it
		err = fmt.Errorf("%w: %w", syscall.ENOSPC, err)
	}
	if err != nil {
		return fmt.Errorf("write the ISO image: %w", err)
	}
	return nil
}

// volumeID is the name of a volume: d-characters (ECMA-119, 7.4.1), 32 at most.
func volumeID(version string) string {
	return "BEE_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_", "+", "_").Replace(version))
}
