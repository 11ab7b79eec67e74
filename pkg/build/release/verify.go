// Package release is what is done with artifacts once they are built: they are
// verified, published, flashed, patched, and built a second time to see that the
// bytes are the same. It joins packages that do not know each other; each
// function is the body of a target of mage.
package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/oci"
	"github.com/bee-os/bee/pkg/build/paramblock"
	"github.com/bee-os/bee/pkg/build/publish"
	"github.com/bee-os/bee/pkg/build/verify"
)

// Verify checks a folder images/<family>/<arch>/, or an image in a registry
// (registry/repository:tag or @sha256:…), against the key that BEE_COSIGN_PUB
// names, or the identity of BEE_CERTIFICATE_IDENTITY. Without either a folder is
// held against its own lists alone, which the report says; an image of a registry
// is refused.
func Verify(ctx context.Context, getenv func(string) string, target string, out io.Writer) error {
	who, err := readTrusted(getenv)
	if err != nil {
		return err
	}
	fi, err := os.Stat(target)
	switch {
	case err == nil && fi.IsDir():
		return verifyFolder(ctx, target, who, out)
	case err == nil:
		return fmt.Errorf("verify %s: it is a file; name the folder that it lies in, which has its manifest", target)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case !strings.ContainsAny(target, ":@"):
		return fmt.Errorf("verify %s: there is no such folder, and a reference into a registry has a tag or a digest", target)
	}
	config, err := publish.FromEnv(getenv)
	if err != nil {
		return err
	}
	return verifyImage(ctx, publish.Registry{PlainHTTP: config.PlainHTTP, Progress: out}, target, who, out)
}

func verifyFolder(ctx context.Context, dir string, who *trusted, out io.Writer) error {
	c := verify.Config{Dir: dir, Block: func(block []byte) (string, error) {
		words, err := paramblock.Parse(block)
		return paramblock.Line(words), err // what the report says may be logged: no secret is in it
	}}
	if who != nil {
		c.CheckBundle = func(_ context.Context, bundle []byte) (verify.Signature, error) {
			text, s, err := who.statement(bundle)
			if err != nil {
				return verify.Signature{}, err
			}
			signature := verify.Signature{By: who.by, Statement: text}
			for _, subject := range s.Subject {
				signature.Digests = append(signature.Digests, subject.Digest["sha256"])
			}
			return signature, nil
		}
	}
	return verify.Dir(ctx, c, out)
}

// verifyImage checks who signed an image, then everything in it, by digest.
func verifyImage(ctx context.Context, r publish.Registry, ref string, who *trusted, out io.Writer) error {
	if who == nil {
		return fmt.Errorf("verify %s: whoever can write to the registry can change the image, and nobody is named whose signature could tell; %s", ref, howToName)
	}
	immutable, err := who.image(ctx, r, ref)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ok   signature  %s\n", immutable)
	dir, err := os.MkdirTemp("", "bee-verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	layout := filepath.Join(dir, "layout")
	if _, err := r.Pull(ctx, immutable, layout); err != nil {
		return err
	}
	images, err := oci.Inspect(ctx, layout)
	if err != nil {
		return err
	}
	for _, i := range images {
		fmt.Fprintf(out, "ok   image      %s, kernel %s, %s\n", i.Arch, i.Release, i.Digest)
		for _, name := range slices.Sorted(maps.Keys(i.Files)) {
			fmt.Fprintf(out, "ok   file       %x  %s\n", i.Files[name], name)
		}
	}
	fmt.Fprintf(out, "GOOD: pull it by digest, %s\n", immutable)
	return nil
}
