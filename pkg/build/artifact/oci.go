package artifact

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/oci"
)

// ociImage is a container image in bootc's layout, for a registry:
// images/oci/<arch>/ is an OCI image layout (OCI image specification 1.1).
var ociImage = Family{
	Name: "oci", Summary: "container image in bootc's layout, for a registry",
	Arches: Arches, Build: buildOCI,
}

// OCIDir is the folder of the layout, in the family's folder.
const OCIDir = "layout"

func buildOCI(ctx context.Context, w *Work) error {
	m, parts, err := w.medium(ctx)
	if err != nil {
		return err
	}
	notes := map[string]string{"org.opencontainers.image.title": "bee", "org.opencontainers.image.version": m.Version}
	if w.source.Commit != "" && w.source.Clean { // with changes on top, it was not built of that commit
		notes["org.opencontainers.image.revision"] = w.source.Commit
	}
	digest, err := oci.Write(ctx, oci.Config{Kernel: parts.Kernel, Initrd: parts.Initrd, Release: parts.BOM.Kernel, Arch: w.Arch, Date: w.Date, Annotations: notes}, w.file(OCIDir))
	if err != nil {
		return err
	}
	contents, err := parts.contents(nil)
	if err != nil {
		return err
	}
	for i, name := range []string{"vmlinuz", "initramfs.img"} {
		contents[i].Path = "usr/lib/modules/" + parts.BOM.Kernel + "/" + name
	}
	// The largest blob is the layer, which holds both.
	var layer string
	var most int64
	err = filepath.WalkDir(w.file(OCIDir), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := os.Stat(name)
		if err == nil && fi.Size() > most {
			layer, most = name, fi.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	err = filepath.WalkDir(w.file(OCIDir), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(w.Dir, name)
		if err != nil {
			return err
		}
		if name == layer {
			w.made(filepath.ToSlash(rel), "layer", manifest.Options{Contents: contents})
		} else {
			w.made(filepath.ToSlash(rel), "oci", manifest.Options{})
		}
		return nil
	})
	if err != nil {
		return err
	}
	w.boot = manifest.Boot{CommandLine: m.Cmdline, Editable: true, How: "what boots the image gives the command line; this one is what other media have"}
	w.rests = looseParts
	w.say("%s, %s", OCIDir, digest)
	return nil
}
