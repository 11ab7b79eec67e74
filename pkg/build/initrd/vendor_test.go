package initrd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/bom"
)

func TestVendorTools(t *testing.T) {
	root := t.TempDir()
	var b bom.BOM
	var tr tree
	if err := addVendor(Config{Root: root, Arch: "amd64"}, &tr, &b); err != nil || b.Vendor != nil {
		t.Errorf("without the folder: %v, %v", b.Vendor, err)
	}
	dir := filepath.Join(root, VendorTools, "amd64")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "storcli64"), []byte("program"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := addVendor(Config{Root: root, Arch: "arm64"}, &tr, &b); err != nil || b.Vendor != nil {
		t.Errorf("of another architecture: %v, %v", b.Vendor, err)
	}
	if err := addVendor(Config{Root: root, Arch: "amd64"}, &tr, &b); err != nil || len(b.Vendor) != 1 || b.Vendor[0].Path != "storcli64" || b.Vendor[0].Size != 7 {
		t.Errorf("%+v, %v", b.Vendor, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "megacli"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := addVendor(Config{Root: root, Arch: "amd64"}, &tree{}, &b); err == nil || !strings.Contains(err.Error(), "megacli") || !strings.Contains(err.Error(), "storcli64") {
		t.Errorf("a program that nobody asks: %v", err)
	}
}
