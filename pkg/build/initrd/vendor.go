package initrd

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
)

// VendorTools is the folder of the checkout for programs of hardware's makers,
// one folder an architecture. It is not called vendor: Go would take that for
// copies of its modules. Nothing in it is part of the project.
const VendorTools = "vendor-tools"

// addVendor adds the makers' programs that somebody laid there.
func addVendor(c Config, t *tree, b *bom.BOM) error {
	dir := filepath.Join(c.Vendor, c.Arch)
	if c.Vendor == "" {
		dir = filepath.Join(c.Root, VendorTools, c.Arch)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("add makers' programs: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !slices.Contains(bom.VendorTools, e.Name()) {
			return fmt.Errorf("add makers' programs: nothing on the node asks %s; the audit knows %s; remove it", filepath.Join(dir, e.Name()), strings.Join(bom.VendorTools, ", "))
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return fmt.Errorf("add makers' programs: %w", err)
		}
		if err := t.add(node{path: path.Join(bom.VendorDir, e.Name()), mode: typeFile | 0o755, text: text}); err != nil {
			return err
		}
		b.Vendor = append(b.Vendor, bom.Blob{Path: e.Name(), Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256(text))})
	}
	return nil
}
