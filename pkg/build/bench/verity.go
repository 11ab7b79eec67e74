package bench

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/verity"
)

// veritySize is the size in bytes of the file whose digest is computed.
const veritySize = 1 << 30

// judges is the group of bee.lock with the tools that tests hold images against.
const judges = "tools-judge"

// verity times the fs-verity digest of a file in the page cache, on two cores.
// Entering the sandbox is in the other's time: 0.01 s.
func (b *bench) verity(ctx context.Context, dir string) ([]string, error) {
	l, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return nil, err
	}
	box, err := sandbox.Open(ctx, l, os.Stderr, arch, judges)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "verity")
	if err := fill(file, veritySize); err != nil {
		return nil, err
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	var ours verity.Sum
	step := sandbox.Step{Args: []string{"fsverity", "digest", "/in/verity"}, Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}}
	list, err := contest(ctx, b.out, b.rounds, []entrant{
		{name: "pkg/verity, 2 goroutines", ours: "bee", run: func(context.Context) (int64, error) {
			f, err := os.Open(file)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			ours, err = verity.Digest(f, veritySize)
			return 0, err
		}},
		{name: "fsverity digest", run: func(ctx context.Context) (int64, error) {
			said, err := box.Output(ctx, step)
			if err == nil && !strings.HasPrefix(string(said), ours.String()) {
				err = fmt.Errorf("compare digests: fsverity says %q, pkg/verity %s", said, ours)
			}
			return 0, err
		}},
	})
	return []string{contestTable("fs-verity digest of 1 GiB in the page cache", list)}, errors.Join(err, os.Remove(file))
}

// fill writes size bytes that no file system stores shorter, and waits until
// they are on the disk: what is written back later would disturb the clock.
func fill(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.CopyN(w, rand.NewChaCha8(sha256.Sum256([]byte(name))), size)
	return errors.Join(err, w.Flush(), f.Sync(), f.Close())
}
