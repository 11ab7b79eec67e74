package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/guest"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/vm"
)

// structure is one of SMBIOS: the area behind the header, and the strings.
type structure struct {
	kind    byte
	handle  uint16
	area    []byte
	strings []string
}

// bytes lays it out (DSP0134 6.1).
func (s structure) bytes() []byte {
	b := []byte{s.kind, byte(4 + len(s.area)), byte(s.handle), byte(s.handle >> 8)}
	b = append(b, s.area...)
	for _, t := range s.strings {
		b = append(append(b, t...), 0)
	}
	if len(s.strings) == 0 {
		b = append(b, 0)
	}
	return append(b, 0)
}

func words(v ...any) []byte {
	var b []byte
	for _, x := range v {
		switch x := x.(type) {
		case int:
			b = append(b, byte(x))
		case uint16:
			b = binary.LittleEndian.AppendUint16(b, x)
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, x)
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, x)
		case []byte:
			b = append(b, x...)
		}
	}
	return b
}

// server is the firmware of a two-socket server: 16 DIMM slots, 12 of them
// full, one of another part and one slower than it could; two power supplies,
// one without a cord; slots that name the devices of the machine below.
func server() []structure {
	list := []structure{
		{0, 0, words(1, 2, uint16(0xf000), 3, 0xff, uint64(0x8), 0x03, 0x0d, 5, 22, 0xff, 0xff, uint16(0x20)), []string{"American Megatrends", "3.2a", "03/17/2023"}},
		{1, 1, words(1, 2, 3, 4, []byte("\x44\x33\x22\x11\x66\x55\x88\x77\x99\xaa\xbb\xcc\xdd\xee\xff\x00"), 6, 5, 6), []string{"ACME", "Server-9000", "rev B", "SYS-77001", "SKU-1", "Enterprise"}},
		{2, 2, words(1, 2, 3, 4, 5, 9, 6, uint16(3), 10, 0), []string{"ACME", "Board-X", "1.02", "BRD-5521", "RACK-12", "Part Component"}},
		{3, 3, words(1, 23, 2, 3, 4, 3, 3, 3, 3, uint32(0), 2, 2, 0, 0), []string{"ACME", "chassis 1", "CHS-9981", "ASSET-42"}},
		{11, 5, words(1), []string{"node of a test"}},
		{32, 6, words(make([]byte, 6), 0), nil},
	}
	for i := range 2 {
		list = append(list, structure{4, uint16(0x40 + i), words(1, 3, 0xb3, 2, uint64(0x00000000000606a6), 3, 0x90, uint16(100), uint16(3500), uint16(2600), 0x41, 0x3a, uint16(0xffff), uint16(0xffff), uint16(0xffff), 4, 0, 5, 16, 16, 32, uint16(0xfc), uint16(0xb3)),
			[]string{fmt.Sprintf("CPU%d", i+1), "Intel(R) Corporation", "Intel(R) Xeon(R) Gold 6354", fmt.Sprintf("CPUSN%d", i+1), "PART"}})
	}
	list = append(list, structure{16, 0x10, words(3, 3, 6, uint32(0x80000000), uint16(0xfffe), uint16(16), uint64(4<<40)), nil})
	for i := range 16 {
		socket, channel := i/8+1, string(rune('A'+i%8))
		names := []string{fmt.Sprintf("P%d-DIMM%s1", socket, channel), fmt.Sprintf("P%d_Node%d_Channel%d_Dimm0", socket-1, socket-1, i%8)}
		if i%8 >= 6 { // empty
			list = append(list, structure{17, uint16(0x1100 + i), words(uint16(0x10), uint16(0xfffe), uint16(0xffff), uint16(0xffff), uint16(0), 9, 0, 1, 2, 2, uint16(4), uint16(0), 0, 0, 0, 0, 0, uint32(0), uint16(0), uint16(0), uint16(0), uint16(0)), names})
			continue
		}
		part, runs := "M393A4K40DB3-CWE", uint16(3200)
		if i == 3 {
			part = "HMA84GR7CJR4N-XN"
		}
		if i == 4 {
			runs = 2933
		}
		list = append(list, structure{17, uint16(0x1100 + i), words(uint16(0x10), uint16(0xfffe), uint16(72), uint16(64), uint16(0x7fff), 9, 0, 1, 2, 26, uint16(0x2080), uint16(3200), 3, 4, 5, 6, 2, uint32(32768), runs, uint16(1200), uint16(1200), uint16(1200)),
			append(names, "Samsung", fmt.Sprintf("03A1%04X", i), fmt.Sprintf("P%d-DIMM%s1_AssetTag", socket, channel), part)})
	}
	list = append(list,
		structure{19, 0x1300, words(uint32(0), uint32(12*32<<20-1), uint16(0x10), 1, uint64(0), uint64(0)), nil},
		structure{9, 0x900, words(1, 0xb6, 0x0d, 4, 4, uint16(1), 0x0c, 1, uint16(0), 0, 0x50), []string{"PCIe Slot 4"}},
		structure{41, 0x2900, words(1, 0x85, 1, uint16(0), 0, 0x18), []string{"Onboard LAN 1"}},
		structure{39, 0x3900, words(1, 1, 2, 3, 4, 5, 6, 7, uint16(1600), uint16(0b00_0001_0011_0000_011), uint16(0xffff), uint16(0xffff), uint16(0xffff)), []string{"PSU1 bay", "PSU1", "DELTA", "PSUSN-55", "A1", "DPS-1600", "r3"}},
		structure{39, 0x3901, words(2, 1, 2, 3, 4, 5, 6, 7, uint16(1600), uint16(0b00_0001_0011_0000_111), uint16(0xffff), uint16(0xffff), uint16(0xffff)), []string{"PSU2 bay", "PSU2", "DELTA", "PSUSN-56", "A2", "DPS-1600", "r3"}})
	return list
}

func sum(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// inventory is a FRU with a board and a product area, and a power supply's
// record where watts are given.
func inventory(watts uint16, board, product []string) []byte {
	area := func(head []byte, fields []string) []byte {
		for _, f := range fields {
			head = append(append(head, 0xc0|byte(len(f))), f...)
		}
		head = append(head, 0xc1)
		for (len(head)+1)%8 != 0 {
			head = append(head, 0)
		}
		head[1] = byte(len(head)+1) / 8
		return append(head, -sum(head))
	}
	b := area([]byte{1, 0, 25, 0, 0, 0}, board)
	p := area([]byte{1, 0, 25}, product)
	h := []byte{1, 0, 0, 1, byte(1 + len(b)/8), 0, 0}
	body := append(b, p...)
	if watts > 0 {
		h[5] = byte(1 + len(body)/8)
		r := make([]byte, 24)
		binary.LittleEndian.PutUint16(r, watts)
		r[17] = 8
		head := []byte{0, 0x82, 24, -sum(r)}
		body = append(append(append(body, head...), -sum(head)), r...)
	}
	return append(append(h, -sum(h)), body...)
}

// fullSensor is a threshold sensor's record (IPMI 2.0, 43.1).
func fullSensor(id, number, entity, instance, kind, unit byte, m int, name string, thresholds ...byte) []byte {
	b := make([]byte, 43)
	b[0], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[13] = 0x20, number, entity, instance, 0x63, 0x44, kind, 1, 0x3f
	b[14], b[16], b[19], b[20] = 0x3f, unit, byte(m), byte(m>>8)<<6
	copy(b[31:37], thresholds)
	b[42] = 0xc0 | byte(len(name))
	b = append(b, name...)
	return append([]byte{id, 0, 0x51, 1, byte(len(b))}, b...)
}

// compactSensor is a discrete sensor's record (43.2), the only kind of sensor
// that QEMU's controller lets be read.
func compactSensor(id, number, entity, instance, kind byte, name string) []byte {
	b := make([]byte, 27)
	b[0], b[2], b[3], b[4], b[5], b[6], b[7], b[8] = 0x20, number, entity, instance, 0x63, 0x40, kind, 0x6f
	b[9], b[11], b[13], b[15] = 0xff, 0xff, 0xff, 0xc0
	b[26] = 0xc0 | byte(len(name))
	b = append(b, name...)
	return append([]byte{id, 0, 0x51, 2, byte(len(b))}, b...)
}

func fruLocator(id, unit, entity, instance byte, name string) []byte {
	b := append([]byte{0x20, unit, 0x80, 0, 0, 0x10, 0, entity, instance, 0, 0xc0 | byte(len(name))}, name...)
	return append([]byte{id, 0, 0x51, 0x11, byte(len(b))}, b...)
}

const fruSize = 512

// comparers are the programs whose word bee's is held against.
var comparers = []string{"usr/sbin/dmidecode", "usr/bin/lspci", "usr/sbin/smartctl", "usr/sbin/nvme", "usr/bin/ipmitool", "usr/bin/lscpu", "usr/bin/lshw", "usr/sbin/hwinfo"}

// makersProgram stands for one of a maker's: it says, as StorCLI does, that a
// mirror of the controller in slot 5 is degraded.
const makersProgram = `#!/bin/sh
[ "$1 $2 $3" = "/call show all" ] || exit 1
echo '{"Controllers":[{"Response Data":{"Basics":{"Model":"Virtual 9266","Serial Number":"SV123","PCI Address":"00:00:05:00"},"VD LIST":[{"DG/VD":"0/0","TYPE":"RAID1","State":"Dgrd","Size":"256 MB"}],"PD LIST":[]}}]}'
`

// comparerImage is an initrd with them.
func comparerImage(t *testing.T, l *lock.File) string {
	t.Helper()
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	const group = "audit-peers"
	trees, err := debian.NewStore(f).Trees(t.Context(), l.Group(group, arch))
	if err != nil {
		t.Fatal(err)
	}
	p := guest.Programs{Trees: trees, Group: group}
	for _, name := range comparers {
		if err := p.Add(name); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(t.TempDir(), "peers.img")
	w, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	p.Records = append(p.Records, cpio.StaticFile("etc/smart_drivedb.h", "", 0o644), cpio.StaticFile(bom.VendorDir+"/storcli64", makersProgram, 0o755))
	if err := p.Write(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// hardware boots the server image on a machine with one of everything that
// QEMU can be given.
func hardware(t *testing.T) *machine {
	t.Helper()
	skip(t)
	ctx := t.Context()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(ctx, l, os.Stderr, runtime.GOARCH, "tools-vm", "tools-test", "tools-hardware")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	if err := artifact.Build(ctx, artifact.Config{Root: root, Arch: arch, Manifest: "server", Out: out}); err != nil {
		t.Fatal(err)
	}
	images := artifact.KernelInitrdDir(out, arch)
	folder := t.TempDir()
	write := func(name string, b []byte) string {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
		return vm.FolderPath + "/" + name
	}
	var args []string
	for i, s := range server() {
		args = append(args, "-smbios", "file="+write(fmt.Sprintf("smbios%d", i), s.bytes()))
	}
	frus := make([]byte, 2*fruSize)
	copy(frus, inventory(0, []string{"ACME", "Board-X", "BRD-5521", "BP-1", ""}, []string{"ACME", "Server-9000", "PN-1", "v2", "SN-9001", "ASSET-7", ""}))
	copy(frus[fruSize:], inventory(1600, []string{"DELTA", "PSU-Board", "PSB-1", "PP", ""}, []string{"DELTA", "DPS-1600", "PSUPN", "r3", "PSUSN-55", "", ""}))
	var sdr []byte
	sdr = append(sdr, fullSensor(1, 1, 7, 1, 1, 1, 1, "Inlet Temp", 60, 50, 45, 0, 5, 10)...)
	sdr = append(sdr, fullSensor(2, 2, 29, 1, 4, 18, 100, "Fan 1", 255, 250, 240, 2, 5, 8)...)
	sdr = append(sdr, fullSensor(3, 3, 10, 1, 0x0b, 6, 10, "PSU1 Input Power", 200, 190, 180, 0, 0, 0)...)
	sdr = append(sdr, fruLocator(4, 1, 10, 1, "PSU1 FRU")...)
	sdr = append(sdr, compactSensor(5, 5, 10, 1, 0x08, "PSU1 Status")...)
	for _, d := range []string{"nvme", "sata", "sas", "vd"} {
		if err := os.WriteFile(filepath.Join(folder, d), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(folder, d), 256<<20); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-drive", fmt.Sprintf("if=none,id=%s,file=%s/%s,format=raw,cache=unsafe", d, vm.FolderPath, d))
	}
	maker := newSeedMaker(t)
	maker.dir = folder
	maker.run("mkfs.vfat", "-n", "STICK", "/out/vd")
	tpm := startTPM(t, box, folder)
	args = append(args, "-chardev", "socket,id=tpmchar,path="+tpm, "-tpmdev", "emulator,id=tpm0,chardev=tpmchar")
	for _, d := range []string{
		"e1000e,mac=52:54:00:be:e0:02,romfile=,addr=03.0", "vmxnet3,mac=52:54:00:be:e0:03,romfile=",
		"nvme,drive=nvme,serial=NVME-1,smart_critical_warning=8", "ide-hd,drive=sata,serial=SATA-1,wwn=0x5000c50012345678,rotation_rate=7200,bus=ide.0",
		"megasas-gen2,id=raid", "scsi-hd,bus=raid.0,drive=sas,serial=SAS-1,wwn=0x5000cca012345678", "virtio-blk-pci,drive=vd,serial=VD-1",
		"pcie-root-port,id=rp1,chassis=1,slot=11,x-speed=8,x-width=8,addr=0a.0", "x3130-upstream,id=up,bus=rp1", "xio3130-downstream,id=dn1,bus=up,chassis=2,slot=21", "virtio-rng-pci,bus=dn1",
		"ipmi-bmc-sim,id=bmc,frudatafile=" + write("fru", frus) + fmt.Sprintf(",fruareasize=%d", fruSize) + ",sdrfile=" + write("sdr", sdr), "isa-ipmi-kcs,bmc=bmc",
		"tpm-crb,tpmdev=tpm0",
	} {
		args = append(args, "-device", d)
	}
	accel, _ := vm.Accel(ctx, box, arch, filepath.Join(images, artifact.KernelFile))
	return start(t, &lab{sandbox: box, images: images, accel: accel}, options{initrds: []string{comparerImage(t, l)}, append: "bee.module=scsi_debug", folder: folder, args: append([]string{"-smp", "2,sockets=2"}, args...), memory: 2048})
}

// startTPM starts an emulated TPM and returns the socket that QEMU speaks to
// it through, as QEMU sees it.
func startTPM(t *testing.T, box *sandbox.Sandbox, folder string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var said strings.Builder
	cmd, err := box.Command(ctx, sandbox.Step{Args: []string{"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + vm.FolderPath, "--ctrl", "type=unixio,path=" + vm.FolderPath + "/tpm"},
		Rw: []sandbox.Bind{{Host: folder, Path: vm.FolderPath}}, Stdout: &said, Stderr: &said})
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		cmd.Wait() // it was killed
	})
	for range 100 {
		if _, err := os.Lstat(filepath.Join(folder, "tpm")); err == nil {
			return vm.FolderPath + "/tpm"
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("swtpm makes no socket: %s", said.String())
	return ""
}
