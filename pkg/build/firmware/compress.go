package firmware

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Suffix is what the kernel's firmware loader looks for beside the plain name
// (CONFIG_FW_LOADER_COMPRESS_ZSTD).
const Suffix = ".zst"

// window bounds what the kernel needs to unpack a file, bytes (zstd's window).
const window = 1 << 20

// Compressed gives a file with f packed for the kernel's loader, made below
// cache where it is not there yet: packages are content-addressed, and what is
// made of them by the version of the packer too, as another one may give other
// bytes.
func Compressed(cache string, f File) (string, error) {
	name := filepath.Join(cache, "firmware", packer(), f.From.SHA256, f.Path+Suffix)
	if _, err := os.Stat(name); err == nil {
		return name, nil
	}
	text, err := os.ReadFile(f.Source)
	if err != nil {
		return "", fmt.Errorf("compress firmware: %w", err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return "", fmt.Errorf("compress firmware %s: %w", f.Path, err)
	}
	packed := enc.EncodeAll(text, nil)
	if err := writeFile(name, packed); err != nil {
		return "", fmt.Errorf("compress firmware %s: %w", f.Path, err)
	}
	return name, nil
}

// packer names the version of the library that packs, as this program has it.
var packer = sync.OnceValue(func() string {
	info, _ := debug.ReadBuildInfo()
	return packerOf(info)
})

// packerOf reads a program's build information; that of a test has no modules.
func packerOf(info *debug.BuildInfo) string {
	if info != nil {
		for _, d := range info.Deps {
			if d.Path == "github.com/klauspost/compress" {
				return "zstd-" + d.Version
			}
		}
	}
	return "zstd"
}

// writeFile writes a file of the cache, whole or not at all.
func writeFile(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = t.Write(b)
	err = errors.Join(err, t.Chmod(0o644), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	return nil
}
