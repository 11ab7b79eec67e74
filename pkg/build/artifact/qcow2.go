package artifact

import (
	"context"
	"io"

	"github.com/bee-os/bee/pkg/build/disk/qcow2"
	"github.com/bee-os/bee/pkg/build/manifest"
)

// qcow2Disk is the disk of raw as hypervisors import it: images/qcow2/<arch>/bee.qcow2.
// A key comes by NoCloud: a second disk labelled cidata.
var qcow2Disk = Family{
	Name: "qcow2", Summary: "disk for hypervisors; takes a key by NoCloud",
	Arches: Arches, Build: buildQCOW2,
}

// QCOW2File is the family's file, in its folder.
const QCOW2File = "bee.qcow2"

func buildQCOW2(ctx context.Context, w *Work) error {
	d, err := w.bootDisk(ctx)
	if err != nil {
		return err
	}
	used, err := qcow2.NewMap(d.size)
	if err != nil {
		return err
	}
	if err := d.write(ctx, used); err != nil {
		return err
	}
	sum, err := writeHashed(w.file(QCOW2File), used.Size(), func(f io.WriterAt) error {
		out, err := used.Writer(f)
		if err != nil {
			return err
		}
		return d.write(ctx, out)
	})
	if err != nil {
		return err
	}
	for i := range d.contents {
		d.contents[i].Offset = nil // depends on the format's tables: found by path
	}
	w.made(QCOW2File, "qcow2", manifest.Options{Contents: d.contents, SHA256: sum})
	if err := w.findBlocks(); err != nil {
		return err
	}
	w.say("%s, %.1f MiB, %d MiB for the guest", QCOW2File, float64(used.Size())/(1<<20), d.size>>20)
	return nil
}
