package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bee-os/bee/pkg/build/bootloader"
	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// raw is a disk that is written with dd or `mage flash`: GPT, a BIOS boot
// partition, an EFI system partition with everything in it, and space for a
// partition bee.state: images/raw/<arch>/bee.img.
var raw = Family{
	Name: "raw", Summary: "disk or USB stick, written with dd or mage flash; BIOS and UEFI",
	Arches: []string{"amd64"}, Build: buildRaw,
}

// arm64UEFI is the same for arm64, where there is no BIOS:
// images/disk-image-arm64-uefi/arm64/bee.img.
var arm64UEFI = Family{
	Name: "disk-image-arm64-uefi", Summary: "disk for arm64 servers and boards with UEFI",
	Arches: []string{"arm64"}, Build: buildRaw,
}

// RawFile is the family's file, in its folder.
const RawFile = "bee.img"

// Sizes on the disk, bytes.
const (
	biosSize   = 1 << 20
	stateSpace = 64 << 20 // left free behind the partitions; on a larger disk the rest is free too
)

func buildRaw(ctx context.Context, w *Work) error {
	size, err := w.writeDisk(ctx, w.file(RawFile))
	if err != nil {
		return err
	}
	if err := w.findBlocks(); err != nil {
		return err
	}
	w.say("%s, %d MiB", RawFile, size>>20)
	return nil
}

// writeDisk writes the disk, lists it as an output and returns its size in bytes.
func (w *Work) writeDisk(ctx context.Context, out string) (int64, error) {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return 0, err
	}
	loader, err := w.openLoader(ctx)
	if err != nil {
		return 0, err
	}
	w.carries(loader.ForMedia()...)
	uefi, err := loader.UEFI()
	if err != nil {
		return 0, err
	}
	files, err := w.mediumFiles(m, parts)
	if err != nil {
		return 0, err
	}
	volume, err := w.volume(espLabel, parts, append(files, loaderFiles(uefi)...))
	if err != nil {
		return 0, err
	}
	seed, err := parts.seed(m)
	if err != nil {
		return 0, err
	}
	table := gpt.Table{Disk: gpt.Derive(seed, "disk")}
	if loader.HasBIOS() {
		table.Partitions = append(table.Partitions, gpt.Partition{Type: gpt.BIOSBoot, ID: gpt.Derive(seed, "bios"), Name: "BIOS boot", Size: biosSize})
	}
	table.Partitions = append(table.Partitions, gpt.Partition{Type: gpt.ESP, ID: gpt.Derive(seed, "esp"), Name: "bee", Size: volume.Size})
	size := int64(gpt.Alignment)
	for _, p := range table.Partitions {
		size += p.Size
	}
	least := size + gpt.Alignment // the second table is behind the partitions
	if size += stateSpace; w.DiskSize != 0 {
		if w.DiskSize < least {
			return 0, fmt.Errorf("make a disk of %d MiB, as disk_size says: what lies in it takes %d MiB; give it more, or nothing", w.DiskSize>>20, (least+1<<20-1)>>20)
		}
		size = w.DiskSize / gpt.SectorSize * gpt.SectorSize
	}
	if err := table.Place(size); err != nil {
		return 0, err
	}
	var core []byte
	if loader.HasBIOS() {
		if core, err = w.biosCore(ctx, loader, m, &table); err != nil {
			return 0, err
		}
	}
	esp := table.Partitions[len(table.Partitions)-1].Start
	head, tail, err := table.Encode(size)
	if err != nil {
		return 0, err
	}
	sum, err := writeHashed(out, size, func(f io.WriterAt) error { // in rising order
		if _, err := f.WriteAt(head, 0); err != nil {
			return err
		}
		if core != nil {
			if _, err := f.WriteAt(core, table.Partitions[0].Start); err != nil {
				return err
			}
		}
		if err := w.writeVolume(ctx, f, esp, volume); err != nil {
			return err
		}
		_, err := f.WriteAt(tail, size-int64(len(tail)))
		return err
	})
	if err != nil {
		return 0, err
	}
	contents, err := w.inVolume(parts, volume, esp, mediumKernel, mediumInitrd)
	if err != nil {
		return 0, err
	}
	w.made(filepath.Base(out), "disk", manifest.Options{Contents: contents, SHA256: sum})
	w.boot = w.grubBoot(m)
	w.rests = chainParts(loader.HasBIOS())
	if w.pcrs, err = chainPCRs(uefi, parts.Kernel); err != nil {
		return 0, err
	}
	return size, nil
}

// seed is what a medium's GUIDs are derived from.
func (p *Parts) seed(m mediumText) ([]byte, error) {
	seed, err := hex.DecodeString(p.KernelSum + p.InitrdSum)
	return append(seed, m.Cmdline...), err
}

// biosCore makes GRUB for BIOS, which lies in the table's first partition, and
// gives the table its boot code.
func (w *Work) biosCore(ctx context.Context, loader *bootloader.Loader, m mediumText, table *gpt.Table) ([]byte, error) {
	box, err := w.tools(ctx)
	if err != nil {
		return nil, err
	}
	find, err := w.render("grub-find.cfg", m)
	if err != nil {
		return nil, err
	}
	made, err := loader.Core(ctx, box, w.Cache, string(find), false)
	if err != nil {
		return nil, err
	}
	boot, core, err := loader.OnDisk(made, uint64(table.Partitions[0].Start/gpt.SectorSize))
	if err != nil {
		return nil, err
	}
	if int64(len(core)) > table.Partitions[0].Size {
		return nil, fmt.Errorf("fit GRUB's core of %d bytes into the BIOS boot partition of %d: make the partition larger (pkg/build/artifact/raw.go)", len(core), table.Partitions[0].Size)
	}
	table.Boot = boot[:]
	return core, nil
}

// writeWhole makes a file of size bytes, sparse where write leaves holes, whole
// or not at all.
func writeWhole(name string, size int64, write func(f io.WriterAt) error) error {
	_, err := writeHashed(name, size, write)
	return err
}

// writeHashed is writeWhole for writers that go from the beginning to the end, and
// gives the SHA-256 of what was written. A size of -1 is as much as write writes.
func writeHashed(name string, size int64, write func(f io.WriterAt) error) (string, error) {
	f, err := os.Create(name + ".new")
	if err != nil {
		return "", err
	}
	if size >= 0 {
		err = f.Truncate(size)
	}
	h := &disk.Hasher{W: f, H: sha256.New()}
	if err == nil {
		err = write(h)
	}
	if err == nil && size < 0 {
		size, err = f.Seek(0, io.SeekEnd)
	}
	var sum []byte
	if err == nil {
		sum, err = h.Sum(size)
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return hex.EncodeToString(sum), nil
}
