package oci

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// layer writes the tar with kernel and initrd.
func (c Config) layer(ctx context.Context, dir string) (descriptor, error) {
	return putBlob(dir, mediaLayer, func(w io.Writer) error {
		t := tar.NewWriter(w)
		at := ""
		for _, part := range []string{"usr", "lib", "modules", c.Release} {
			at += part + "/"
			if err := t.WriteHeader(c.header(at, tar.TypeDir, 0o755, 0)); err != nil {
				return err
			}
		}
		for _, f := range []struct{ name, file string }{{"initramfs.img", c.Initrd}, {"vmlinuz", c.Kernel}} {
			if err := c.add(ctx, t, at+f.name, f.file); err != nil {
				return err
			}
		}
		return t.Close()
	})
}

// header has nothing in it that a machine or a user could change. USTAR
// (POSIX.1-1988) holds 8 GiB a file.
func (c Config) header(name string, kind byte, mode, size int64) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Mode: mode, Size: size, ModTime: c.Date.UTC().Truncate(time.Second), Format: tar.FormatUSTAR}
}

// add copies a file into the tar.
func (c Config) add(ctx context.Context, t *tar.Writer, name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return fmt.Errorf("%s is no file with something in it", file)
	}
	if err := t.WriteHeader(c.header(name, tar.TypeReg, 0o644, info.Size())); err != nil {
		return err
	}
	if n, err := io.Copy(t, reader{ctx, f}); err != nil {
		return fmt.Errorf("copy %s: %w", file, err)
	} else if n != info.Size() {
		return fmt.Errorf("copy %s: it shrank while it was read", file)
	}
	return nil
}

// reader ends when the context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

// putBlob writes a blob and gives it its name when it is whole.
func putBlob(dir, mediaType string, write func(io.Writer) error) (descriptor, error) {
	f, err := os.CreateTemp(filepath.Join(dir, blobDir), ".blob-")
	if err != nil {
		return descriptor{}, err
	}
	defer f.Close()
	var size counter
	sum := sha256.New()
	if err := write(io.MultiWriter(f, sum, &size)); err != nil {
		return descriptor{}, err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return descriptor{}, err
	}
	name := hex.EncodeToString(sum.Sum(nil))
	if err := os.Rename(f.Name(), filepath.Join(dir, blobDir, name)); err != nil {
		return descriptor{}, err
	}
	return descriptor{MediaType: mediaType, Digest: "sha256:" + name, Size: int64(size)}, nil
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// putJSON writes a document as a blob. Maps are written sorted (encoding/json).
func putJSON(dir, mediaType string, v any) (descriptor, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return putBlob(dir, mediaType, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

func writeFile(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// link puts the blobs of one layout into another.
func link(ctx context.Context, from, to string) error {
	entries, err := os.ReadDir(filepath.Join(from, blobDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		source, target := filepath.Join(from, blobDir, e.Name()), filepath.Join(to, blobDir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		err := os.Link(source, target)
		if err == nil || errors.Is(err, os.ErrExist) {
			continue
		}
		if err := copyFile(ctx, source, to); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a blob, and its name must come out the same.
func copyFile(ctx context.Context, source, to string) error {
	f, err := os.Open(source)
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := putBlob(to, "", func(w io.Writer) error {
		_, err := io.Copy(w, reader{ctx, f})
		return err
	})
	if err == nil && d.Digest != "sha256:"+filepath.Base(source) {
		err = fmt.Errorf("the blob %s has the digest %s", source, d.Digest)
	}
	return err
}
