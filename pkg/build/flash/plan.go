package flash

import (
	"bytes"
	"io"

	"github.com/bee-os/bee/pkg/build/disk/gpt"
)

// plan is what a disk shall hold: an image, and what is laid over it because
// the disk is larger.
type plan struct {
	image io.ReaderAt
	size  int64 // of the image, bytes
	disk  int64 // bytes
	over  []overlay
	note  string // what became of the partition table
}

// overlay stands in place of what the image has there, or beyond its end.
type overlay struct {
	at   int64
	text []byte
}

// newPlan lays the partition table's second copy at the end of the disk, where
// UEFI (2.10, 5.3.2) wants it, and takes it away from where it was in the
// image, an ISO's too. A table that another program wrote is left as it is, since
// not all of it would survive: then what an older table left at the disk's end
// is taken away.
func newPlan(image io.ReaderAt, size, disk int64) (plan, error) {
	p := plan{image: image, size: size, disk: disk}
	if disk == size {
		p.note = "the disk is exactly as large as the image"
		return p, nil
	}
	head, tail, err := moved(image, size, disk)
	if err != nil {
		return p, err
	}
	if head == nil {
		end := max(size, disk-gpt.TailSize)
		p.over = []overlay{{end, make([]byte, disk-end)}}
		p.note = "the partition table is the image's own, with its second copy where the image ends; what stood in the disk's last sectors is taken away"
		return p, nil
	}
	p.over = []overlay{
		{0, head},
		{size - gpt.TailSize, make([]byte, gpt.TailSize)},
		{disk - gpt.TailSize, tail}, // comes last: it may reach into the one before
	}
	p.note = "the second copy of the partition table goes to the disk's end"
	return p, nil
}

// moved makes the two ends of the table for the disk; nil where the table is
// not one that can be written again to the byte.
func moved(image io.ReaderAt, size, disk int64) (head, tail []byte, err error) {
	table, form := gpt.Read(image, size)
	if form != nil {
		return nil, nil, nil // none, or of another form
	}
	if head, tail, err = table.Encode(size); err != nil {
		return nil, nil, err
	}
	for _, part := range []overlay{{0, head}, {size - gpt.TailSize, tail}} {
		have := make([]byte, len(part.text))
		if _, err := image.ReadAt(have, part.at); err != nil && err != io.EOF {
			return nil, nil, err
		}
		if !bytes.Equal(have, part.text) {
			return nil, nil, nil
		}
	}
	return table.Encode(disk)
}

// ranges are what is written, in order: the image, then what lies beyond it.
func (p plan) ranges() []span {
	list := []span{{0, p.size}}
	for _, o := range p.over {
		if from, to := max(o.at, p.size), o.at+int64(len(o.text)); from < to {
			list = append(list, span{from, to})
		}
	}
	return list
}

// span is from a byte to before another.
type span struct{ from, to int64 }

// fill reads what the disk shall hold at a place. own gets what of it the image
// itself has, before anything is laid over it.
func (p plan) fill(buf []byte, at int64, own io.Writer) error {
	clear(buf)
	if at < p.size {
		part := buf[:min(int64(len(buf)), p.size-at)]
		if n, err := p.image.ReadAt(part, at); n < len(part) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if _, err := own.Write(part); err != nil {
			return err
		}
	}
	for _, o := range p.over {
		from, to := max(at, o.at), min(at+int64(len(buf)), o.at+int64(len(o.text)))
		if from < to {
			copy(buf[from-at:to-at], o.text[from-o.at:])
		}
	}
	return nil
}
