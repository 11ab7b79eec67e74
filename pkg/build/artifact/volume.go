package artifact

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/bee-os/bee/pkg/build/disk"
	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// Sizes of the FAT32 volume of a disk, bytes. Below minVolume its clusters would
// be smaller than 4 KiB, and firmware walks their chain slowly.
const (
	minVolume = 264 << 20
	spare     = 32 << 20 // for what an operator lays there
)

// diskFiles are a medium's files as those of a file system.
func diskFiles(files []mediumFile) ([]disk.File, error) {
	var list []disk.File
	for _, f := range files {
		if f.source == "" {
			list = append(list, disk.Bytes(f.path, f.text))
			continue
		}
		file, err := disk.FromHost(f.path, f.source)
		if err != nil {
			return nil, err
		}
		list = append(list, file)
	}
	return list, nil
}

// volume is the FAT32 volume of a disk.
func (w *Work) volume(label string, parts *Parts, files []mediumFile) (fat.Volume, error) {
	list, err := diskFiles(files)
	if err != nil {
		return fat.Volume{}, err
	}
	serial, err := hex.DecodeString(parts.InitrdSum[:8])
	if err != nil {
		return fat.Volume{}, err
	}
	v := fat.Volume{Bits: 32, Label: label, Serial: binary.BigEndian.Uint32(serial), Time: w.Date, Files: list}
	least, err := v.MinSize()
	if err != nil {
		return fat.Volume{}, err
	}
	v.Size = max(least+spare, minVolume)
	if w.ESPSize != 0 {
		if v.Size = w.ESPSize / (1 << 20) << 20; v.Size < least {
			return fat.Volume{}, fmt.Errorf("make an EFI system partition of %d MiB, as esp_size says: what lies in it takes %d MiB; give it more, or nothing", v.Size>>20, (least+1<<20-1)>>20)
		}
	}
	return v, nil
}

// inVolume says where kernel and initramfs lie on a disk, whose volume begins at
// an offset in bytes.
func (w *Work) inVolume(parts *Parts, v fat.Volume, at int64, kernel, initrd string) ([]manifest.Content, error) {
	layout, err := v.Plan()
	if err != nil {
		return nil, err
	}
	contents, err := parts.contents(map[string]int64{mediumKernel: at + layout.Files[kernel].Offset, mediumInitrd: at + layout.Files[initrd].Offset})
	if err != nil {
		return nil, err
	}
	contents[0].Path, contents[1].Path = kernel, initrd
	return contents, nil
}

// writeVolume writes the volume into a disk, at an offset in bytes.
func writeVolume(ctx context.Context, disk io.WriterAt, at int64, v fat.Volume) error {
	v.Hidden = uint32(at / 512)
	_, err := v.Write(ctx, io.NewOffsetWriter(disk, at))
	return err
}
