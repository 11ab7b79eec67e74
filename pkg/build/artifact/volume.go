package artifact

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"

	"github.com/bee-os/bee/pkg/build/disk/fat"
)

// Sizes of the FAT32 volume of a disk, bytes. Below minVolume its clusters would
// be smaller than 4 KiB, and firmware walks their chain slowly.
const (
	minVolume = 264 << 20
	spare     = 32 << 20 // for what an operator lays there
)

// fatFiles are a medium's files as a FAT volume's.
func fatFiles(files []mediumFile) ([]fat.File, error) {
	var list []fat.File
	for _, f := range files {
		if f.source == "" {
			list = append(list, fat.Bytes(f.path, f.text))
			continue
		}
		file, err := fat.FromDisk(f.path, f.source)
		if err != nil {
			return nil, err
		}
		list = append(list, file)
	}
	return list, nil
}

// volume is the FAT32 volume of a disk.
func (w *Work) volume(label string, parts *Parts, files []mediumFile) (fat.Volume, error) {
	list, err := fatFiles(files)
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
	return v, nil
}

// writeVolume writes the volume into a disk, at an offset in bytes.
func (w *Work) writeVolume(ctx context.Context, disk io.WriterAt, at int64, v fat.Volume) error {
	v.Hidden = uint32(at / 512)
	_, err := v.Write(ctx, io.NewOffsetWriter(disk, at))
	return err
}
