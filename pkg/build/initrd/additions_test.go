package initrd

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

const checkout = "../../.."

func TestWith(t *testing.T) {
	v := Variant{Name: "x", Core: []string{"cat"}, Node: []string{"sshd"}, Modules: []string{"virtio_net"}, Firmware: []string{"nic"}}
	got, err := v.with(t.Context(), checkout, Additions{Commands: []string{"base64", "burn", "cat", "sshd", "base64"}, Modules: []string{"nbd", "virtio_net"}, Firmware: []string{"nic", "storage"}})
	if err != nil {
		t.Fatal(err)
	}
	want := Variant{Name: "x", Core: []string{"cat", "base64"}, Node: []string{"sshd", "burn"}, Modules: []string{"virtio_net", "nbd"}, Firmware: []string{"nic", "storage"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for command, says := range map[string]string{"bas64": "do you mean base64?", "auditt": "do you mean audit?", "wget": "go get -tool", "../x": "neither cmds/node"} {
		if _, err := v.with(t.Context(), checkout, Additions{Commands: []string{command}}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error with %q", command, err, says)
		}
	}
}

// image is a tree as an image has it.
func image(t *testing.T) (first, rest *tree) {
	t.Helper()
	first, rest = new(tree), new(tree)
	for _, n := range append(slices.Clone(layout), node{path: "bin/bb", mode: typeFile | 0o755, text: []byte("bb")}) {
		if err := first.add(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := rest.add(node{path: "lib/firmware/a.bin", mode: typeFile | 0o644, text: []byte("a")}); err != nil {
		t.Fatal(err)
	}
	return first, rest
}

func TestAddFiles(t *testing.T) {
	source := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(source, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(path string, mode fs.FileMode) (*tree, bom.BOM, error) {
		t.Helper()
		first, rest := image(t)
		var into tree
		var b bom.BOM
		err := Additions{Files: []AddedFile{{source, path, mode}}}.addFiles(&into, []*tree{first, rest}, &b)
		return &into, b, err
	}
	for path, want := range map[string]string{
		"etc/site/motd": "etc/site/motd", "usr/bin/tool": "bin/tool", "sbin/tool": "bin/tool", "usr/lib/x/y": "lib/x/y", "usr/local/bin/z": "usr/local/bin/z",
		"root/.profile": "root/.profile", "lib/firmware/b.bin": "lib/firmware/b.bin",
	} {
		into, b, err := add(path, 0o750)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if d := cmp.Diff([]bom.Blob{{Path: want, Size: 4, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("text")))}}, b.Files); d != "" {
			t.Errorf("%s: %s", path, d)
		}
		for _, n := range into.nodes {
			if n.path == want && n.mode != typeFile|0o750 {
				t.Errorf("%s has the mode %o", path, n.mode)
			}
			if n.path == "root" || n.path == "etc" || n.path == "lib" || n.path == "lib/firmware" {
				t.Errorf("%s: the folder %s would lose its owner and permissions", path, n.path)
			}
		}
	}
	for path, says := range map[string]string{
		"bin/bb": "it is not replaced", "usr/sbin/bb": "it is not replaced", "lib/firmware/a.bin": "it is not replaced", "etc/mtab": "it is not replaced", bom.Path: "it is not replaced",
		"bin/bb/x": "/bin/bb is no folder", "run/x": "hide", "tmp/x": "hide", "dev/x": "hide", "../x": "below the image's root", "/x": "below the image's root", ".": "below the image's root", "": "below the image's root", "etc": "it is not replaced",
	} {
		if _, _, err := add(path, 0o644); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want an error with %q", path, err, says)
		}
	}
	if _, _, err := add("a", 0o755|fs.ModeSetuid); err == nil || !strings.Contains(err.Error(), "set-user-id") {
		t.Error(err)
	}
	source = filepath.Dir(source)
	if _, _, err := add("a", 0o644); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Error(err)
	}
	source = filepath.Join(source, "none")
	if _, _, err := add("a", 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A whole image with additions: Debian's lsinitramfs sees them, the bill of
// materials names them, and the budget holds for them too.
func TestBuildWithAdditions(t *testing.T) {
	if testing.Short() {
		if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
			t.Fatal("-short leaves out the build, and CI must not")
		}
		t.Skip("SKIPPED: -short leaves out the build")
	}
	l, err := lock.Load(os.DirFS(checkout), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	store := debian.NewStore(f)
	e, err := kernel.Find(l, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	k, err := kernel.Open(t.Context(), store, f.Cache, e, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "site")
	if err := os.WriteFile(source, []byte("site"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Root: root, Arch: "amd64", Variant: "thin", Lock: l, Store: store, Cache: f.Cache, Date: time.Unix(1790000000, 0).UTC(), Progress: os.Stderr,
		Add: Additions{Commands: []string{"base64"}, Modules: []string{"nbd"}, Firmware: []string{"management"}, Files: []AddedFile{{source, "usr/bin/site", 0o755}}}}
	out := filepath.Join(dir, "initrd.img")
	b, err := Build(t.Context(), c, k, out)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(b.Commands, "base64") || !slices.ContainsFunc(b.Modules, func(m bom.Module) bool { return m.Name == "nbd" }) || len(b.Files) != 1 || b.Files[0].Path != "bin/site" {
		t.Errorf("the bill of materials: %q, %v", b.Commands, b.Files)
	}
	listed := lsinitramfs(t, l, dir)
	for _, want := range []string{"bin/base64", "bin/site", "lib/modules/" + k.Release + "/kernel/drivers/block/nbd.ko.xz"} {
		if !slices.Contains(listed, want) {
			t.Errorf("lsinitramfs does not list %s", want)
		}
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(big, 80<<20); err != nil {
		t.Fatal(err)
	}
	c.Add.Files = []AddedFile{{big, "srv/big", 0o644}}
	var over *OverBudget
	if _, err := Build(t.Context(), c, k, filepath.Join(dir, "over.img")); !errors.As(err, &over) {
		t.Errorf("80 MiB more than there is room for: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "over.img")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the image is there all the same: %v", err)
	}
	c.Add = Additions{Modules: []string{"nbdd"}}
	if _, err := Build(t.Context(), c, k, filepath.Join(dir, "none.img")); err == nil || !strings.Contains(err.Error(), "what is added to it: nbdd") {
		t.Errorf("a module that is not there: %v", err)
	}
}

func lsinitramfs(t *testing.T, l *lock.File, dir string) []string {
	t.Helper()
	box, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", "peer-initrd")
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := box.Output(t.Context(), sandbox.Step{Args: []string{"lsinitramfs", "/in/initrd.img"}, Ro: []sandbox.Bind{{Host: dir, Path: "/in"}}})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
