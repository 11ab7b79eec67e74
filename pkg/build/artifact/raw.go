package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bee-os/bee/pkg/build/bootloader"
	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/fat"
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
	d, err := w.bootDisk(ctx)
	if err != nil {
		return err
	}
	sum, err := writeHashed(w.file(RawFile), d.size, func(f io.WriterAt) error { return d.write(ctx, f) })
	if err != nil {
		return err
	}
	w.made(RawFile, "disk", manifest.Options{Contents: d.contents, SHA256: sum})
	if err := w.findBlocks(); err != nil {
		return err
	}
	w.say("%s, %d MiB", RawFile, d.size>>20)
	return nil
}

// bootDisk is a disk that was laid out.
type bootDisk struct {
	size       int64  // bytes
	head, tail []byte // partition tables
	core       []byte // GRUB for BIOS, in the first partition; nil: none
	table      gpt.Table
	volume     fat.Volume // in the last partition
	contents   []manifest.Content
}

// write writes the disk, in rising order.
func (d *bootDisk) write(ctx context.Context, f io.WriterAt) error {
	if _, err := f.WriteAt(d.head, 0); err != nil {
		return err
	}
	if d.core != nil {
		if _, err := f.WriteAt(d.core, d.table.Partitions[0].Start); err != nil {
			return err
		}
	}
	if err := writeVolume(ctx, f, d.esp(), d.volume); err != nil {
		return err
	}
	_, err := f.WriteAt(d.tail, d.size-int64(len(d.tail)))
	return err
}

// esp is where the last partition begins, bytes.
func (d *bootDisk) esp() int64 { return d.table.Partitions[len(d.table.Partitions)-1].Start }

// bootDisk lays out the disk that GRUB starts, and says how.
func (w *Work) bootDisk(ctx context.Context) (*bootDisk, error) {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return nil, err
	}
	loader, err := w.openLoader(ctx)
	if err != nil {
		return nil, err
	}
	uefi, err := loader.UEFI()
	if err != nil {
		return nil, err
	}
	files, err := w.mediumFiles(m, parts)
	if err != nil {
		return nil, err
	}
	seed, err := parts.seed(m)
	if err != nil {
		return nil, err
	}
	d := &bootDisk{table: gpt.Table{Disk: gpt.Derive(seed, "disk")}}
	if d.volume, err = w.volume(espLabel, parts, append(files, loaderFiles(uefi)...)); err != nil {
		return nil, err
	}
	if loader.HasBIOS() {
		d.table.Partitions = append(d.table.Partitions, gpt.Partition{Type: gpt.BIOSBoot, ID: gpt.Derive(seed, "bios"), Name: "BIOS boot", Size: biosSize})
	}
	d.table.Partitions = append(d.table.Partitions, gpt.Partition{Type: gpt.ESP, ID: gpt.Derive(seed, "esp"), Name: "bee", Size: d.volume.Size})
	if d.size, err = w.diskSize(d.table.Partitions); err != nil {
		return nil, err
	}
	if err := d.table.Place(d.size); err != nil {
		return nil, err
	}
	if loader.HasBIOS() {
		if d.core, err = w.biosCore(ctx, loader, m, &d.table); err != nil {
			return nil, err
		}
	}
	if d.head, d.tail, err = d.table.Encode(d.size); err != nil {
		return nil, err
	}
	if d.contents, err = w.inVolume(parts, d.volume, d.esp(), mediumKernel, mediumInitrd); err != nil {
		return nil, err
	}
	w.carries(loader.ForMedia()...)
	w.boot = w.grubBoot(m)
	w.rests = chainParts(loader.HasBIOS())
	w.pcrs, err = chainPCRs(uefi, parts.Kernel)
	return d, err
}

// diskSize is that of a disk with the partitions, bytes: as disk_size says, or
// with space for a partition of the node's own.
func (w *Work) diskSize(partitions []gpt.Partition) (int64, error) {
	size := int64(gpt.Alignment)
	for _, p := range partitions {
		size += p.Size
	}
	least := size + gpt.Alignment // the second table is behind the partitions
	if w.DiskSize == 0 {
		return size + stateSpace, nil
	}
	if w.DiskSize < least {
		return 0, fmt.Errorf("make a disk of %d MiB, as disk_size says: what lies in it takes %d MiB; give it more, or nothing", w.DiskSize>>20, (least+1<<20-1)>>20)
	}
	return w.DiskSize / gpt.SectorSize * gpt.SectorSize, nil
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

// writeHashed makes a file of size bytes, sparse where write leaves holes, whole or
// not at all, by a writer that goes from the beginning to the end; it gives the
// SHA-256 of what was written. A size of -1 is as much as write writes.
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
