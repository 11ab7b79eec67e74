package release

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/flash"
	"github.com/bee-os/bee/pkg/build/paramblock"
)

// Flash writes an image to a disk: the one that IMAGE names, default the raw
// disk of the architecture. BEE_FLASH_YES=<device> answers for a script.
func Flash(ctx context.Context, getenv func(string) string, device string, in io.Reader, out io.Writer) error {
	image, err := flashed(getenv)
	if err != nil {
		return err
	}
	return flash.Flash(ctx, flash.Job{Device: device, Image: image, Yes: getenv("BEE_FLASH_YES"), In: in, Out: out})
}

// flashed is the image that Flash writes.
func flashed(getenv func(string) string) (string, error) {
	if image := getenv("IMAGE"); image != "" {
		return image, nil
	}
	c, err := artifact.Load(".", getenv)
	if err != nil {
		return "", err
	}
	arch := cmp.Or(c.Arch, "amd64")
	family := map[string]string{"amd64": "raw", "arm64": "disk-image-arm64-uefi"}[arch]
	return filepath.Join(artifact.Dir(images(c), family, arch), artifact.RawFile), nil
}

// Patch writes parameters into the blocks of a medium that is built already.
// BEE_PATCH_FORCE=1 overwrites a block that cannot be read too.
func Patch(ctx context.Context, getenv func(string) string, image, parameters string, out io.Writer) error {
	words, err := paramblock.Fields(parameters)
	if err != nil {
		return fmt.Errorf("read the parameters: %w", err)
	}
	force := getenv("BEE_PATCH_FORCE")
	if force != "" && force != "1" {
		return fmt.Errorf("read BEE_PATCH_FORCE: %q is unknown; 1 is all it can be", force)
	}
	return paramblock.Patch(ctx, paramblock.Job{File: image, Words: words, Force: force == "1", Out: out})
}
