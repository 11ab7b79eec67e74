package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bee-os/bee/pkg/build/disk/fat"
	"github.com/bee-os/bee/pkg/build/disk/gpt"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// xorriso makes a plain ISO image of the tree of ours: no boot loader, no second
// partition.
func (p *mediaPeers) xorriso(ctx context.Context, image string) (entrant, error) {
	tree, err := p.folder("tree")
	if err != nil {
		return entrant{}, err
	}
	err = p.judge.Run(ctx, sandbox.Step{
		Args: []string{"xorriso", "-report_about", "WARNING", "-osirrox", "on", "-indev", "/in/" + filepath.Base(image), "-extract", "/", "/out/iso"},
		Ro:   []sandbox.Bind{{Host: filepath.Dir(image), Path: "/in"}}, Rw: []sandbox.Bind{{Host: tree, Path: "/out"}},
	})
	return p.entrant("xorriso alone, the same files", "plain.iso", []sandbox.Step{{
		Args: []string{"xorriso", "-report_about", "WARNING", "-as", "mkisofs", "-iso-level", "3", "-rational-rock", "-output", "/out/plain.iso", "/in/iso"},
		Ro:   []sandbox.Bind{{Host: tree, Path: "/in"}},
	}}), err
}

// mtools makes a disk of the same layout and files with sgdisk, mformat and
// mcopy; without boot code.
func (p *mediaPeers) mtools(_ context.Context, image string) (entrant, error) {
	tree, err := p.folder("tree")
	if err != nil {
		return entrant{}, err
	}
	size, table, err := readDisk(image, tree)
	if err != nil {
		return entrant{}, err
	}
	sgdisk := []string{"sgdisk", "--set-alignment=1"}
	var esp gpt.Partition
	for i, part := range table.Partitions {
		n := strconv.Itoa(i + 1)
		sgdisk = append(sgdisk, fmt.Sprintf("--new=%s:%d:%d", n, part.Start/gpt.SectorSize, part.End()/gpt.SectorSize-1), "--typecode="+n+":"+part.Type.String())
		if part.Type == gpt.ESP {
			esp = part
		}
	}
	volume := fmt.Sprintf("/out/plain.img@@%d", esp.Start)
	mcopy := []string{"mcopy", "-i", volume, "-s", "-Q"}
	top, err := os.ReadDir(tree)
	if err != nil {
		return entrant{}, err
	}
	for _, e := range top {
		mcopy = append(mcopy, "/in/"+e.Name())
	}
	steps := []sandbox.Step{
		{Args: append(sgdisk, "/out/plain.img")},
		{Args: []string{"mformat", "-i", volume, "-F", "-T", strconv.FormatInt(esp.Size/gpt.SectorSize, 10), "-v", "BEE", "::"}},
		{Args: append(mcopy, "::/"), Ro: []sandbox.Bind{{Host: tree, Path: "/in"}}},
	}
	for i := range steps {
		steps[i].Env = []string{"MTOOLS_SKIP_CHECK=1"}
	}
	e := p.entrant("sgdisk, mformat and mcopy, the same files", "plain.img", steps)
	remove := e.before
	e.before = func() error {
		if err := remove(); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(p.dir, "plain.img"))
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(size), f.Close())
	}
	return e, nil
}

// readDisk reads the table of a disk and copies the files of its EFI system
// partition into a folder.
func readDisk(image, tree string) (int64, *gpt.Table, error) {
	f, err := os.Open(image)
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	table, err := gpt.Read(f, fi.Size())
	if err != nil {
		return 0, nil, err
	}
	for _, part := range table.Partitions {
		if part.Type != gpt.ESP {
			continue
		}
		volume, err := fat.Open(offset{f, part.Start}, part.Size)
		if err != nil {
			return 0, nil, err
		}
		return fi.Size(), table, os.CopyFS(tree, volume)
	}
	return 0, nil, fmt.Errorf("read %s: it has no EFI system partition", image)
}

// offset is a part of a disk.
type offset struct {
	disk *os.File
	at   int64
}

// ReadAt implements io.ReaderAt.
func (o offset) ReadAt(p []byte, at int64) (int, error) { return o.disk.ReadAt(p, o.at+at) }

// qemuImg converts the same disk, which is laid out ready beside.
func (p *mediaPeers) qemuImg(ctx context.Context, image string) (entrant, error) {
	tree, err := p.folder("tree")
	if err != nil {
		return entrant{}, err
	}
	err = p.judge.Run(ctx, sandbox.Step{
		Args: []string{"qemu-img", "convert", "-O", "raw", "/in/" + filepath.Base(image), "/out/disk.img"},
		Ro:   []sandbox.Bind{{Host: filepath.Dir(image), Path: "/in"}}, Rw: []sandbox.Bind{{Host: tree, Path: "/out"}},
	})
	return p.entrant("qemu-img convert of the raw disk", "plain.qcow2", []sandbox.Step{{
		Args: []string{"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "/in/disk.img", "/out/plain.qcow2"},
		Ro:   []sandbox.Bind{{Host: tree, Path: "/in"}},
	}}), err
}

// folder makes an empty one.
func (p *mediaPeers) folder(name string) (string, error) {
	dir := filepath.Join(p.dir, name)
	return dir, errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755))
}

// entrant runs steps that write /out/<file>.
func (p *mediaPeers) entrant(name, file string, steps []sandbox.Step) entrant {
	out := filepath.Join(p.dir, file)
	return entrant{
		name:   name,
		before: func() error { return os.RemoveAll(out) },
		run: func(ctx context.Context) (int64, error) {
			for _, s := range steps {
				s.Rw = []sandbox.Bind{{Host: p.dir, Path: "/out"}}
				if err := p.judge.Run(ctx, s); err != nil {
					return 0, err
				}
			}
			return sizeOf(out)
		},
	}
}
