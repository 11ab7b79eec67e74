package burn

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
)

// paper is a disk of a test.
type paper struct {
	bad    map[int64]bool // offsets in units of retryBytes
	slow   int64          // regions from here on are slow
	once   *int           // reads that fail once
	direct bool
}

func (p paper) ReadAt(b []byte, at int64) (int, error) {
	if p.once != nil && *p.once == 0 {
		*p.once++
		return 0, syscall.EIO
	}
	for u := at / retryBytes; u*retryBytes < at+int64(len(b)); u++ {
		if p.bad[u] {
			return 0, syscall.EIO
		}
	}
	d := 500 * time.Microsecond
	if p.slow > 0 && at >= p.slow {
		d *= 20
	}
	time.Sleep(d)
	return len(b), nil
}
func (p paper) Close() error { return nil }
func (p paper) Direct() bool { return p.direct }

func burnPaper(t *testing.T, p paper, args ...string) (*job, error) {
	t.Helper()
	root := fstest.MapFS{
		"sys/block/loop0/size":       {Data: []byte("1000\n")},
		"sys/block/sda/size":         {Data: []byte("819200\n")}, // 400 MiB
		"sys/block/sda/device/model": {Data: []byte("PAPER 1\n")},
		"sys/block/sda/device/wwid":  {Data: []byte("naa.5000\n")},
		"sys/block/sr0/size":         {Data: []byte("1000\n")},
		"sys/block/sr0/device/model": {Data: []byte("CD\n")},
		"sys/block/sdb/size":         {Data: []byte("0\n")},
		"sys/block/sdb/device/model": {Data: []byte("EMPTY\n")},
	}
	o, err := parse(append([]string{"disk-read", "--time", "1s"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	j := &job{host: host{root: root, open: func(name string) (disk, error) {
		if name != "sda" {
			t.Errorf("%s is opened", name)
		}
		return p, nil
	}}, options: o, started: time.Now()}
	return j, burnDisks(t.Context(), j)
}

func TestDisks(t *testing.T) {
	for _, c := range []struct {
		name  string
		disk  paper
		codes string
		says  string
	}{
		{"sound", paper{direct: true}, "", ""},
		{"cached", paper{}, "burn.cached", ""},
		{"bad block", paper{direct: true, bad: map[int64]bool{100: true}}, "burn.io-error", "the first at byte 6553600"},
		{"all bad", paper{direct: true, bad: everything()}, "burn.io-error", "the rest was not read"},
		{"bad once", paper{direct: true, once: new(int)}, "burn.io-error", "the first at byte 0"},
		{"slow end", paper{direct: true, slow: 380 << 20}, "burn.slow-region", "slow from byte "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j, err := burnPaper(t, c.disk)
			if err != nil || len(j.parts) != 1 || j.parts[0].ID != "disk:naa.5000" || j.parts[0].Name != "sda PAPER 1" || j.parts[0].Untested != "" {
				t.Fatalf("%v %+v", err, j.parts)
			}
			said := ""
			for _, f := range j.findings {
				if f.Code != c.codes && f.Code != "burn.partly-read" {
					t.Errorf("%+v", f)
				}
				said += f.Message + "\n"
			}
			if !strings.Contains(said, c.says) || c.codes != "" && len(j.findings) == 0 {
				t.Errorf("no %q in %q", c.says, said)
			}
			if r := j.parts[0].Tests[0]; c.codes != "burn.io-error" && (r.Errors != 0 || r.Rate.Or(0) == 0 || r.Iterations < 1 && r.Tested == 0) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func everything() map[int64]bool {
	m := make(map[int64]bool)
	for i := range int64(400 << 20 / retryBytes) {
		m[i] = true
	}
	return m
}

// TestMultipath: of a namespace with two paths the namespace is read, and the
// paths, which have no device node, are not.
func TestMultipath(t *testing.T) {
	const virtual, path = "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/nvme0c0n1"
	root := fstest.MapFS{
		virtual + "/size":                {Data: []byte("1000\n")},
		virtual + "/hidden":              {Data: []byte("0\n")},
		path + "/size":                   {Data: []byte("1000\n")},
		path + "/hidden":                 {Data: []byte("1\n")},
		path + "/device/model":           {Data: []byte("NVME\n")},
		"sys/devices/virtual/ram0/size":  {Data: []byte("1000\n")},
		"sys/devices/pci0/sda/size":      {Data: []byte("1000\n")},
		"sys/devices/pci0/sda/hidden":    {Data: []byte("0\n")},
		"sys/devices/pci0/sda/device/id": {Data: []byte("1\n")},
		"sys/block/nvme0n1":              {Data: []byte("../../" + virtual), Mode: fs.ModeSymlink},
		"sys/block/nvme0c0n1":            {Data: []byte("../../" + path), Mode: fs.ModeSymlink},
		"sys/block/ram0":                 {Data: []byte("../devices/virtual/ram0"), Mode: fs.ModeSymlink},
		"sys/block/sda":                  {Data: []byte("../devices/pci0/sda"), Mode: fs.ModeSymlink},
	}
	if names, err := findDisks(root); err != nil || !slices.Equal(names, []string{"nvme0n1", "sda"}) {
		t.Errorf("%q, %v", names, err)
	}
}

// TestPartlyRead: who names a disk wants all of it read.
func TestPartlyRead(t *testing.T) {
	for severity, args := range map[hwreport.Severity][]string{hwreport.Info: nil, hwreport.Warning: {"sda"}} {
		j, err := burnPaper(t, paper{direct: true, slow: 1}, args...)
		if err != nil || len(j.findings) != 1 || j.findings[0].Code != "burn.partly-read" || j.findings[0].Severity != severity {
			t.Errorf("%q: %v %+v", args, err, j.findings)
		}
	}
}

func TestNoSuchDisk(t *testing.T) {
	if _, err := burnPaper(t, paper{}, "sdq"); err == nil || !strings.Contains(err.Error(), `there is no disk "sdq"; there is sda`) {
		t.Error(err)
	}
}

// TestDiskIsNeverWritten reads a loop device where there is one, and holds it
// against what it was.
func TestDiskIsNeverWritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "image")
	image := bytes.Repeat([]byte("bee."), 2<<20)
	if err := os.WriteFile(name, image, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", name).Output()
	if err != nil {
		skip(t, "there is no loop device to read: %v", err)
	}
	loop := filepath.Base(strings.TrimSpace(string(out)))
	defer exec.Command("losetup", "-d", "/dev/"+loop).Run()
	o, _ := parse([]string{"disk-read", "--time", "1s"})
	root := fstest.MapFS{"sys/block/" + loop + "/size": {Data: []byte("16384\n")}, "sys/block/" + loop + "/device/x": {}}
	j := &job{host: host{root: root, open: openDisk}, options: o, started: time.Now()}
	if err := burnDisks(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if p := j.parts[0]; p.Untested != "" || p.Tests[0].Tested != 8<<20 || p.Tests[0].Errors != 0 {
		t.Errorf("%+v", p)
	}
	d, err := openDisk(loop)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := syscall.Write(d.(device).fd, make([]byte, 4096)); !errors.Is(err, syscall.EBADF) {
		t.Errorf("the disk can be written: %v", err)
	}
	if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, image) {
		t.Error("the disk has changed")
	}
}
