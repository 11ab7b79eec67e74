package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// made is one family's folder for one architecture.
type made struct {
	family artifact.Family
	arch   string
	dir    string
}

// media times the making of every family from ready parts, beside the writing
// and hashing of the same bytes and beside other tools that make the same kind
// of image of the same files.
func (b *bench) media(ctx context.Context, dir string) ([]string, error) {
	p, err := openMediaPeers(ctx, dir)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "media")
	var tables []string
	for _, f := range artifact.Families {
		if slices.Contains(artifact.Default, f.Name) {
			continue // the parts themselves
		}
		for _, on := range arches(f) {
			m := made{family: f, arch: on, dir: artifact.Dir(out, f.Name, on)}
			table, err := b.assembly(ctx, p, out, m)
			if err != nil {
				return nil, err
			}
			tables = append(tables, table)
		}
	}
	return tables, os.RemoveAll(out)
}

// arches are those that a family is made for and that the lock has a kernel for.
func arches(f artifact.Family) []string {
	return slices.DeleteFunc(slices.Clone(f.Arches), func(a string) bool { return !slices.Contains(artifact.Arches, a) })
}

// assembly times one family.
func (b *bench) assembly(ctx context.Context, p *mediaPeers, out string, m made) (string, error) {
	build := func(ctx context.Context) error {
		return artifact.Build(ctx, artifact.Config{Families: []string{m.family.Name}, Arch: m.arch, Out: out, Progress: io.Discard})
	}
	if err := build(ctx); err != nil { // makes the parts too
		return "", err
	}
	assemble, err := artifact.Assembler(ctx, artifact.Config{Arch: m.arch, Out: out, Progress: io.Discard}, m.family.Name)
	if err != nil {
		return "", err
	}
	alone, copies := filepath.Join(p.dir, "alone"), filepath.Join(p.dir, "copies")
	same, err := readFiles(m.dir)
	if err != nil {
		return "", err
	}
	peers, err := p.of(ctx, m, same)
	if err != nil {
		return "", err
	}
	all := append([]entrant{
		{name: "bee, from ready parts", ours: "bee", before: func() error { return errors.Join(os.RemoveAll(alone), os.Mkdir(alone, 0o755)) }, run: func(ctx context.Context) (int64, error) {
			return same.size(), assemble(ctx, alone)
		}},
		{name: "bee, with manifest, SBOM, provenance, fs-verity", ours: "whole", before: func() error { return os.RemoveAll(m.dir) }, run: func(ctx context.Context) (int64, error) {
			return same.size(), build(ctx)
		}},
		{name: "limit: writing and hashing the same bytes", before: func() error { return os.RemoveAll(copies) }, run: func(context.Context) (int64, error) {
			return same.size(), same.write(copies)
		}},
	}, peers...)
	list, err := contest(ctx, b.out, b.rounds, all)
	if err != nil {
		return "", err
	}
	return contestTable(m.family.Name+" "+m.arch, list), errors.Join(os.RemoveAll(copies), os.RemoveAll(alone))
}

// content is files by their paths.
type content map[string][]byte

// readFiles reads every file below a folder.
func readFiles(dir string) (content, error) {
	c := make(content)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		c[rel], err = os.ReadFile(name)
		return err
	})
	if err == nil && len(c) == 0 {
		err = fmt.Errorf("read %s: it holds no file", dir)
	}
	return c, err
}

// size is that of all files, in bytes.
func (c content) size() int64 {
	var sum int64
	for _, b := range c {
		sum += int64(len(b))
	}
	return sum
}

// largest is the name of the largest file.
func (c content) largest() string {
	var name string
	for n := range c {
		if len(c[n]) > len(c[name]) {
			name = n
		}
	}
	return name
}

// write writes the files into a folder and hashes every byte of them. As in an
// image that is made well, blocks of zeros are holes.
func (c content) write(dir string) error {
	for name, b := range c {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		err = writeSparse(f, b)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// block is the unit of holes, bytes.
const block = 64 << 10

func writeSparse(f *os.File, b []byte) error {
	if err := f.Truncate(int64(len(b))); err != nil {
		return err
	}
	zeros := make([]byte, block)
	h := sha256.New()
	for at := 0; at < len(b); at += block {
		part := b[at:min(at+block, len(b))]
		h.Write(part)
		if bytes.Equal(part, zeros[:len(part)]) {
			continue
		}
		if _, err := f.WriteAt(part, int64(at)); err != nil {
			return err
		}
	}
	return nil
}

// mediaPeers are the tools that make media of files.
type mediaPeers struct {
	dir   string // for what they make
	judge *sandbox.Sandbox
}

func openMediaPeers(ctx context.Context, dir string) (*mediaPeers, error) {
	l, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return nil, err
	}
	p := &mediaPeers{dir: filepath.Join(dir, "media-peers")}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return nil, err
	}
	p.judge, err = sandbox.Open(ctx, l, os.Stderr, arch, judges)
	return p, err
}

// of chooses the peers of a family: tools that make the same kind of image, of
// the family's largest file.
func (p *mediaPeers) of(ctx context.Context, m made, same content) ([]entrant, error) {
	peer, ok := map[string]func(context.Context, string) (entrant, error){
		"iso": p.xorriso, "raw": p.mtools, "disk-image-arm64-uefi": p.mtools, "qcow2": p.qemuImg,
	}[m.family.Name]
	if !ok {
		return nil, nil
	}
	e, err := peer(ctx, filepath.Join(m.dir, same.largest()))
	if err != nil {
		return nil, fmt.Errorf("prepare a peer of %s: %w", m.family.Name, err)
	}
	return []entrant{e}, nil
}
