package blkid_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/node/blkid"
)

// box holds the tools that make file systems and the one that judges.
func box(t *testing.T) *sandbox.Sandbox {
	t.Helper()
	root := "../../.."
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sandbox.Open(t.Context(), l, os.Stderr, "amd64", "tools-judge")
	if errors.Is(err, sandbox.ErrUnavailable) && os.Getenv("CI") == "" && os.Getenv("BEE_NO_SKIP") == "" {
		t.Skipf("SKIPPED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tool runs one in a folder that it sees as /out.
func tool(t *testing.T, b *sandbox.Sandbox, dir string, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	cmd, err := b.Command(t.Context(), sandbox.Step{Args: args, Rw: []sandbox.Bind{{Host: dir, Path: "/out"}}, Stdout: &out, Stderr: &out})
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Run()
	return out.String(), err
}

// said reads one value of blkid -o export.
func said(export, name string) string {
	for line := range strings.Lines(export) {
		if v, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name+"="); ok {
			return strings.ReplaceAll(v, `\`, "") // blanks are escaped
		}
	}
	return ""
}

// xfsImage is the superblock of an XFS of version 4: the tools that make one are
// not at hand, and blkid checks what it needs to.
func xfsImage(size int) []byte {
	b := make([]byte, size)
	be := binary.BigEndian
	copy(b, "XFSB")
	be.PutUint32(b[4:], 4096)               // block size
	be.PutUint64(b[8:], uint64(size)/4096)  // blocks
	be.PutUint32(b[80:], 1)                 // real-time extent
	be.PutUint32(b[84:], uint32(size)/4096) // blocks of a group
	be.PutUint32(b[88:], 1)                 // groups
	be.PutUint16(b[100:], 4)                // version
	be.PutUint16(b[102:], 512)              // sector
	be.PutUint16(b[104:], 256)              // inode
	be.PutUint16(b[106:], 16)               // inodes of a block
	copy(b[108:], "twelve-chars")
	b[120], b[121], b[122], b[123], b[124] = 12, 9, 8, 4, 12 // logarithms of the above
	b[127] = 25                                              // share of inodes, percent
	return b
}

// btrfsImage is the first superblock of a btrfs, with its checksum.
func btrfsImage(size int) []byte {
	b := make([]byte, size)
	s := b[64<<10:]
	copy(s[0x40:], "_BHRfS_M")
	le := binary.LittleEndian
	le.PutUint64(s[0x30:], 64<<10)
	le.PutUint32(s[0x90:], 4096) // sector
	copy(s[0x12b:], "bee.machines.fast")
	le.PutUint32(s, crc32.Checksum(s[0x20:4096], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// TestAgainstBlkid makes file systems with their own tools and holds what Probe
// says against util-linux.
func TestAgainstBlkid(t *testing.T) {
	b := box(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "tree"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"meta-data", "user-data"} {
		if err := os.WriteFile(filepath.Join(dir, "tree", name), []byte("#cloud-config\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		size  int
		image []byte // instead of a tool
		make  []string
		kind  string
		label string
	}{
		{name: "vfat12", size: 1 << 20, make: []string{"mkfs.vfat", "-F", "12", "-n", "CIDATA"}, kind: "vfat", label: "CIDATA"},
		{name: "vfat16", size: 16 << 20, make: []string{"mkfs.vfat", "-F", "16", "-n", "cidata"}, kind: "vfat", label: "cidata"},
		{name: "vfat32", size: 64 << 20, make: []string{"mkfs.vfat", "-F", "32", "-n", "TWO WORDS"}, kind: "vfat", label: "TWO WORDS"},
		{name: "vfat sectors", size: 64 << 20, make: []string{"mkfs.vfat", "-S", "4096", "-n", "BIG"}, kind: "vfat", label: "BIG"},
		{name: "vfat bare", size: 1 << 20, make: []string{"mkfs.vfat"}, kind: "vfat"},
		{name: "iso plain", make: []string{"genisoimage", "-quiet", "-volid", "cidata", "-o"}, kind: "iso9660", label: "cidata"},
		{name: "iso", make: []string{"genisoimage", "-quiet", "-volid", "CIDATA", "-joliet", "-rock", "-o"}, kind: "iso9660", label: "CIDATA"},
		{name: "ext2", size: 8 << 20, make: []string{"mke2fs", "-q", "-t", "ext2", "-L", "bee.state"}, kind: "ext2", label: "bee.state"},
		{name: "ext3", size: 8 << 20, make: []string{"mke2fs", "-q", "-t", "ext3", "-L", "sixteen letters!"}, kind: "ext3", label: "sixteen letters!"},
		{name: "ext4", size: 8 << 20, make: []string{"mke2fs", "-q", "-t", "ext4", "-L", "bee.state"}, kind: "ext4", label: "bee.state"},
		{name: "ext4 without journal", size: 8 << 20, make: []string{"mke2fs", "-q", "-t", "ext4", "-O", "^has_journal"}, kind: "ext4"},
		{name: "swap", size: 1 << 20, make: []string{"mkswap", "-q", "-L", "paging"}, kind: "swap", label: "paging"},
		{name: "swap of arm64", size: 4 << 20, make: []string{"mkswap", "-q", "-p", "65536", "-L", "paging"}, kind: "swap", label: "paging"},
		{name: "xfs", image: xfsImage(16 << 20), kind: "xfs", label: "twelve-chars"},
		{name: "btrfs", image: btrfsImage(16 << 20), kind: "btrfs", label: "bee.machines.fast"},
		{name: "nothing", image: make([]byte, 1<<20)},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := strings.ReplaceAll(c.name, " ", "-")
			host := filepath.Join(dir, file)
			image := c.image
			if image == nil {
				image = make([]byte, c.size)
			}
			if err := os.WriteFile(host, image, 0o600); err != nil {
				t.Fatal(err)
			}
			if c.make != nil {
				args := append(c.make, "/out/"+file)
				if c.make[0] == "genisoimage" {
					args = append(args, "/out/tree")
				}
				if out, err := tool(t, b, dir, args...); err != nil {
					t.Fatalf("%v: %v: %s", args, err, out)
				}
			}
			export, err := tool(t, b, dir, "blkid", "-p", "-o", "export", "/out/"+file)
			if (err != nil) != (c.kind == "") { // it exits with 2 where it knows nothing
				t.Fatalf("blkid: %v: %s", err, export)
			}
			if kind, label := said(export, "TYPE"), said(export, "LABEL"); kind != c.kind || label != c.label {
				t.Fatalf("the image is not what the test takes it for: blkid says %q, %q\n%s", kind, label, export)
			}
			f, err := os.Open(host)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := blkid.Probe(f)
			if c.kind == "" {
				if !errors.Is(err, blkid.ErrNone) {
					t.Errorf("got %+v, %v, want ErrNone", info, err)
				}
				return
			}
			if err != nil || info != (blkid.Info{Type: c.kind, Label: c.label}) {
				t.Errorf("got %+v, %v, blkid says %s %q", info, err, c.kind, c.label)
			}
		})
	}
}

// TestTwo: what both blkid and Probe refuse to choose between.
func TestTwo(t *testing.T) {
	b := box(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), btrfsImage(16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "x"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(xfsImage(16 << 20)[:512], 0); err != nil {
		t.Fatal(err)
	}
	if out, err := tool(t, b, dir, "blkid", "-p", "/out/x"); err == nil || strings.Contains(out, "TYPE=") {
		t.Errorf("blkid chose: %v: %s", err, out)
	}
	if info, err := blkid.Probe(f); err == nil || errors.Is(err, blkid.ErrNone) || !strings.Contains(err.Error(), "btrfs and xfs") {
		t.Errorf("got %+v, %v", info, err)
	}
}

// broken cannot be read.
type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestUnreadable(t *testing.T) {
	if _, err := blkid.Probe(broken{}); err == nil || errors.Is(err, blkid.ErrNone) {
		t.Errorf("a device that cannot be read: %v", err)
	}
	if _, err := blkid.Probe(bytes.NewReader([]byte("short"))); !errors.Is(err, blkid.ErrNone) {
		t.Errorf("five bytes: %v", err)
	}
}

func FuzzProbe(f *testing.F) {
	f.Add(xfsImage(64 << 10))
	f.Add(btrfsImage(128 << 10))
	page := make([]byte, 128<<10)
	copy(page[4086:], "SWAPSPACE2")
	f.Add(page)
	ext := make([]byte, 4096)
	binary.LittleEndian.PutUint16(ext[1024+0x38:], 0xef53)
	f.Add(ext)
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := blkid.Probe(bytes.NewReader(b))
		if (err == nil) != (info.Type != "") {
			t.Errorf("%+v, %v", info, err)
		}
	})
}
