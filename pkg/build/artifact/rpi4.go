package artifact

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// rpi4 is an SD card for a Raspberry Pi 4: one FAT partition with the board's
// firmware, kernel, device tree and initramfs:
// images/disk-image-rpi4/arm64/bee.img. The parameters are in cmdline.txt, which
// any computer can edit.
var rpi4 = Family{
	Name: "disk-image-rpi4", Summary: "SD card for a Raspberry Pi 4",
	Arches: []string{"arm64"}, Build: buildRPi4,
}

// What the board's firmware is in its package, and the device tree in the
// kernel's.
const (
	rpiFirmware = "usr/lib/raspi-firmware"
	rpiTree     = "bcm2711-rpi-4-b.dtb"
	piConsole   = " console=tty0 console=ttyS1,115200" // the screen, and the UART on the header as Debian's kernel calls it
)

func buildRPi4(ctx context.Context, w *Work) error {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return err
	}
	store, err := w.openStore()
	if err != nil {
		return err
	}
	k, err := openKernel(ctx, w.Config, w.Lock, store)
	if err != nil {
		return err
	}
	e, err := w.Lock.Get("raspi-firmware", w.Arch)
	if err != nil {
		return err
	}
	tree, err := store.Tree(ctx, e)
	if err != nil {
		return err
	}
	w.carries(e)
	files := []mediumFile{
		{path: KernelFile, source: parts.Kernel},
		{path: InitrdFile, source: parts.Initrd},
		{path: BOMFile, source: filepath.Join(filepath.Dir(parts.Kernel), BOMFile)},
		{path: rpiTree, source: filepath.Join(k.DeviceTrees(), "broadcom", rpiTree)},
	}
	for _, name := range []string{"start4.elf", "fixup4.dat"} {
		files = append(files, mediumFile{path: name, source: filepath.Join(tree, rpiFirmware, name)})
	}
	for _, t := range []string{"config.txt", "cmdline.txt"} {
		text, err := w.render(path.Join("rpi4", t), m)
		if err != nil {
			return err
		}
		files = append(files, mediumFile{path: t, text: text})
	}
	volume, err := w.volume("BEE", parts, files)
	if err != nil {
		return err
	}
	seed, err := hex.DecodeString(parts.InitrdSum[:8])
	if err != nil {
		return err
	}
	size := gpt.Alignment + volume.Size + stateSpace
	table := gpt.MBR{
		Signature:  uint32(seed[0])<<24 | uint32(seed[1])<<16 | uint32(seed[2])<<8 | uint32(seed[3]),
		Partitions: []gpt.MBRPartition{{Type: gpt.FAT32LBA, Active: true, Start: gpt.Alignment, Size: volume.Size}},
	}
	sum, err := writeHashed(w.file(RawFile), size, func(f io.WriterAt) error {
		if err := table.Write(f, size); err != nil {
			return err
		}
		return writeVolume(ctx, f, gpt.Alignment, volume)
	})
	if err != nil {
		return fmt.Errorf("make the SD card: %w", err)
	}
	contents, err := w.inVolume(parts, volume, gpt.Alignment, KernelFile, InitrdFile)
	if err != nil {
		return err
	}
	w.made(RawFile, "disk", manifest.Options{Contents: contents, SHA256: sum})
	w.boot = manifest.Boot{CommandLine: m.Cmdline + piConsole, Editable: true, How: "cmdline.txt on the card, with any editor"}
	w.rests = piParts
	w.say("%s, %d MiB", RawFile, size>>20)
	return nil
}
