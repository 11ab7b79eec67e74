package flash

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// tree is a /sys with block devices, each line "path: content"; "path -> target"
// is a link and a path that ends in '/' a folder.
func tree(t *testing.T, lines string) fstest.MapFS {
	t.Helper()
	m := make(fstest.MapFS)
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if name, target, ok := strings.Cut(line, " -> "); ok {
			m[name] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
		} else if name, text, ok := strings.Cut(line, ": "); ok {
			m[name] = &fstest.MapFile{Data: []byte(text + "\n")}
		} else if line != "" {
			m[strings.TrimSuffix(line, "/")] = &fstest.MapFile{Mode: fs.ModeDir}
		}
	}
	return m
}

// server is the layout of a server with a system on LVM over RAID over two
// disks, an NVMe disk with an encrypted partition, and two sticks.
const server = `
block/sda -> ../devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/dev: 8:0
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/size: 2000000
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/ro: 0
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/device/vendor: ATA
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/device/model: SAMSUNG MZ7L
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/device/vpd_pg80: ....S6KLNX0T
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1/partition: 1
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1/dev: 8:1
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1/start: 2048
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda1/size: 1000
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2/partition: 2
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2/dev: 8:2
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2/start: 4096
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2/size: 1990000
devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2/holders/md0/
block/md0/dev: 9:0
block/md0/size: 1990000
block/md0/ro: 0
block/md0/slaves/sda2/
block/md0/holders/dm-0/
block/dm-0/dev: 253:0
block/dm-0/size: 1900000
block/dm-0/ro: 0
block/dm-0/dm/name: vg-root
block/dm-0/slaves/md0/
block/dm-1/dev: 253:1
block/dm-1/size: 1900000
block/dm-1/ro: 0
block/dm-1/dm/name: vg-swap
block/dm-1/slaves/md0/
block/sdb -> ../devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/dev: 8:16
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/size: 60063744
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/ro: 0
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/diskseq: 12
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/device/vendor: SanDisk
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/device/model: Ultra
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1/partition: 1
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1/dev: 8:17
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1/start: 2048
devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1/size: 60000000
block/nvme0n1/dev: 259:0
block/nvme0n1/size: 4000000
block/nvme0n1/ro: 0
block/nvme0n1/device/model: Micron 7450
block/nvme0n1/device/serial: 2231E
block/nvme0n1/nvme0n1p1/partition: 1
block/nvme0n1/nvme0n1p1/dev: 259:1
block/nvme0n1/nvme0n1p1/start: 2048
block/nvme0n1/nvme0n1p1/size: 3900000
block/nvme0n1/nvme0n1p1/holders/dm-2/
block/dm-2/dev: 253:2
block/dm-2/size: 3900000
block/dm-2/ro: 0
block/dm-2/dm/name: secret
block/dm-2/slaves/nvme0n1p1/
block/sr0/dev: 11:0
block/sr0/size: 100000
block/sr0/ro: 1
block/sdc/dev: 8:32
block/sdc/size: 4000
block/sdc/ro: 0
block/sdd/dev: 8:48
block/sdd/size: 4000000
block/sdd/ro: 0
block/sdd/sdd1/partition: 1
block/sdd/sdd1/dev: 8:49
block/sdd/sdd1/start: 2048
block/sdd/sdd1/size: 3000000
`

const mounts = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw,discard
28 27 8:1 / /boot/efi rw - vfat /dev/sda1 rw
29 27 0:44 / /media/my\040stick rw - btrfs /dev/sdd1 rw,subvol=/
30 27 0:22 / /sys rw shared:2 master:1 - sysfs sysfs rw
`

const swaps = `Filename				Type		Size		Used		Priority
/dev/dm-1                               partition	949996	0	-2
`

func proc(mounts, swaps string) fstest.MapFS {
	return fstest.MapFS{"self/mountinfo": {Data: []byte(mounts)}, "swaps": {Data: []byte(swaps)}}
}

func TestJudge(t *testing.T) {
	j := Job{Sys: tree(t, server), Proc: proc(mounts, swaps)}
	for dev, want := range map[string][]string{
		"8:16":  nil,
		"8:17":  {"it is a partition", "/dev/sdb"},
		"7:7":   {"no disk with the number 7:7"},
		"8:0":   {`sda2 (as part of dm-0, vg-root) is mounted on "/": this machine runs from it`, `sda1 is mounted on "/boot/efi": this machine runs from it`, "sda2 (as part of dm-1, vg-swap) is used as swap; swapoff", "sda2 is held by md0"},
		"9:0":   {"made of other devices (sda2)", "md0 is held by dm-0, vg-root"},
		"259:0": {"nvme0n1p1 is held by dm-2, secret"},
		"253:2": {"made of other devices (nvme0n1p1)"},
		"11:0":  {"read-only"},
		"8:32":  {"it has 2.0 MiB (2048000 bytes), and the image needs 4.0 MiB (4194304 bytes)"},
		"8:48":  {`sdd1 is mounted on "/media/my stick"; unmount it first`},
	} {
		_, err := j.judge(dev, 4<<20)
		if want == nil {
			if err != nil {
				t.Errorf("%s: %v", dev, err)
			}
			continue
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", dev, err, w)
			}
		}
	}
	for name, broken := range map[string]Job{
		"no mountinfo": {Sys: j.Sys, Proc: fstest.MapFS{"swaps": {}}},
		"no swaps":     {Sys: j.Sys, Proc: fstest.MapFS{"self/mountinfo": {}}},
		"odd mounts":   {Sys: j.Sys, Proc: proc("hello\n", swaps)},
		"no block":     {Sys: fstest.MapFS{}, Proc: j.Proc},
		"odd size":     {Sys: tree(t, "block/sdb/dev: 8:16\nblock/sdb/size: many\nblock/sdb/ro: 0"), Proc: j.Proc},
	} {
		if _, err := broken.judge("8:16", 1); err == nil {
			t.Errorf("%s: the disk was taken", name)
		}
	}
}

func TestReadDisks(t *testing.T) {
	disks, err := readDisks(tree(t, server))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, d := range disks {
		got += fmt.Sprintf("%s %s %q %q %q %s %d\n", d.name, d.dev, d.vendor, d.model, d.serial, d.transport(), len(d.partitions))
	}
	want := `dm-0 253:0 "" "" "" unknown transport 0
dm-1 253:1 "" "" "" unknown transport 0
dm-2 253:2 "" "" "" unknown transport 0
md0 9:0 "" "" "" unknown transport 0
nvme0n1 259:0 "" "Micron 7450" "2231E" unknown transport 1
sda 8:0 "ATA" "SAMSUNG MZ7L" "S6KLNX0T" SATA 2
sdb 8:16 "SanDisk" "Ultra" "" USB 1
sdc 8:32 "" "" "" unknown transport 0
sdd 8:48 "" "" "" unknown transport 1
sr0 11:0 "" "" "" unknown transport 0
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// The disk that this machine's own root lies on is refused, as far as its file
// system has one. Nothing is opened.
func TestOwnRoot(t *testing.T) {
	uses, err := readUses(os.DirFS("/proc"))
	if err != nil {
		t.Fatal(err)
	}
	disks, err := readDisks(os.DirFS("/sys"))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, d := range disks {
		for _, u := range uses {
			if d.under(u, disks) == "" {
				continue
			}
			checked++
			if err := refuse(d, disks, uses, 0); err == nil || !strings.Contains(err.Error(), u.how) {
				t.Errorf("%s: %v", d.name, err)
			}
		}
	}
	t.Logf("%d disks, %d uses, %d of them of a disk", len(disks), len(uses), checked)
}

func FuzzParseMounts(f *testing.F) {
	f.Add(mounts)
	f.Add(`1 2 3:4 / /a\04 x - y z`)
	f.Fuzz(func(t *testing.T, text string) {
		uses, err := parseMounts(text)
		if err == nil && len(uses) != strings.Count(strings.TrimSuffix(text, "\n"), "\n")+1 && text != "" {
			t.Errorf("%q: %d uses", text, len(uses))
		}
		parseSwaps(text)
	})
}
