package artifact

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bee-os/bee/pkg/build/disk/qcow2"
)

// qcow2Disk is the disk of raw as hypervisors import it: images/qcow2/<arch>/bee.qcow2.
// A key comes by NoCloud: a second disk labelled cidata.
var qcow2Disk = Family{
	Name: "qcow2", Summary: "disk for hypervisors; takes a key by NoCloud",
	Arches: Arches, Build: buildQCOW2,
}

// QCOW2File is the family's file, in its folder.
const QCOW2File = "bee.qcow2"

func buildQCOW2(ctx context.Context, w *Work) (err error) {
	disk := filepath.Join(w.Dir, ".disk") // sparse, and gone at the end
	size, err := w.writeDisk(ctx, disk)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(disk)) }()
	in, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(w.file(QCOW2File))
	if err != nil {
		return err
	}
	written, err := qcow2.Write(ctx, out, in, size, qcow2.Options{})
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("write %s: %w", QCOW2File, err)
	}
	// Where the parts lie depends on the format's tables: they are found by path.
	for i := range w.outputs {
		w.outputs[i].Name, w.outputs[i].Role, w.outputs[i].SHA256 = QCOW2File, "qcow2", "" // the disk's
		for j := range w.outputs[i].Contents {
			w.outputs[i].Contents[j].Offset = nil
		}
	}
	if err := w.findBlocks(); err != nil {
		return err
	}
	w.say("%s, %.1f MiB, %d MiB for the guest", QCOW2File, float64(written)/(1<<20), size>>20)
	return nil
}
