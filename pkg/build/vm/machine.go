// Package vm is QEMU as data: a Machine becomes a command line, runs in the
// sandbox from pinned packages, and is spoken to through its serial console and
// QMP. mage run and the end-to-end tests use it.
package vm

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// Machine is a virtual machine. Zero fields mean the default that their
// comment names.
type Machine struct {
	Name    string   // in messages; default "vm"
	Arch    string   // "amd64" (default) or "arm64"
	Accel   string   // "tcg" (default) or "kvm"; Accel chooses
	Memory  int      // MiB; default 1024
	CPUs    int      // default 2
	Kernel  string   // host path; empty: boot from firmware and disks
	Initrds []string // host paths, joined in this order into one initrd by Start
	Append  string   // kernel command line after the serial console, which is always there
	Bios    string   // host path of a firmware image instead of the platform's own
	UEFI    UEFI     // UEFI instead of the platform's own firmware

	NICs    []NIC
	Disks   []Disk
	SMBIOS  []SMBIOS
	FwCfg   []FwCfg
	Devices []string // further -device arguments, verbatim, such as "i6300esb"
	Args    []string // further arguments, verbatim; files that they name lie in Folder
	Folder  string   // host path of a folder that QEMU sees, and may write, as FolderPath
	Reboot  bool     // let the guest reboot; default: a reboot ends QEMU
}

// UEFI is EDK2 in flash memory: its code, which is only read, and the store of
// its variables, which the machine writes. Both are host paths.
type UEFI struct {
	Code, Vars string
	Secure     bool // amd64: the code has Secure Boot, and keeps its variables in SMM
}

// NIC is a network card. Exactly one of Tap and User is set, or none: then no
// cable is plugged in.
type NIC struct {
	Model string // QEMU device; default virtio-net-pci
	MAC   string // default 52:54:00:bee…: see mac
	Tap   string // name of a tap interface in the caller's network namespace
	User  *User  // QEMU's own network
	Boot  bool   // firmware may start the machine from it, before any disk
}

// User is QEMU's user-mode network: DHCP, DNS and router are in QEMU, the guest
// reaches what the host reaches.
type User struct {
	Forward  []int    // TCP ports of the guest made reachable on the host: Process.Port says where
	Restrict bool     // the guest reaches nothing but the host's QEMU
	Options  []string // further options of -netdev user, such as net=10.9.0.0/24
}

// Disk is a block device.
type Disk struct {
	File     string // host path
	Format   string // default raw
	Model    string // "virtio" (default), "nvme", "sata", "usb" (a stick), "cd" (on SATA)
	Serial   string
	ReadOnly bool
}

// SMBIOS is a table of the machine's identity (type 0, 1, 2, 3, 17; see
// qemu(1), -smbios).
type SMBIOS struct {
	Type   int
	Fields map[string]string
}

// FwCfg is a file that the guest finds under its Name in
// /sys/firmware/qemu_fw_cfg/by_name. QEMU wants names to begin with "opt/".
type FwCfg struct {
	Name string
	Text string
}

// platform is what differs between architectures.
type platform struct {
	qemu    string
	tools   string // group of bee.lock
	machine string
	cpu     string // that TCG emulates
	console string
}

// The amd64 processor has all that TCG knows but what TCG is slow at. Fast string
// instructions (erms, fsrm): TCG executes rep movsb and rep stosb byte by byte, and
// a kernel that finds these flags copies and clears its pages that way; a boot takes
// 5 % less without. Five levels of page tables (la57): TCG walks them all at every
// miss of its translation buffer, for addresses that no such machine has.
var platforms = map[string]platform{
	"amd64": {qemu: "qemu-system-x86_64", tools: "tools-vm", machine: "q35", cpu: "max,-erms,-fsrm,-la57", console: "ttyS0"},
	"arm64": {qemu: "qemu-system-aarch64", tools: "tools-vm-arm64", machine: "virt,gic-version=max", cpu: "max,pauth-impdef=on", console: "ttyAMA0"},
}

// Tools is the group of bee.lock with QEMU for machines of an architecture.
func Tools(arch string) (string, error) {
	p, err := Machine{Arch: arch}.platform()
	return p.tools, err
}

// diskDevices are the QEMU devices of Disk.Model.
var diskDevices = map[string]string{"": "virtio-blk-pci", "virtio": "virtio-blk-pci", "nvme": "nvme", "sata": "ide-hd", "usb": "usb-storage", "cd": "scsi-cd"}

// Places inside the sandbox.
const (
	kernelPath = "/vm/kernel"
	initrdPath = "/vm/initrd"
	biosPath   = "/vm/bios"
	codePath   = "/vm/code"
	varsPath   = "/vm/vars"
	FolderPath = "/vm/folder"
)

func diskPath(i int) string { return fmt.Sprintf("/vm/disk%d", i) }

// qmpFile is the descriptor on which QEMU speaks QMP.
const qmpFile = 3

// CommandLine is the command line, with paths as they are inside the sandbox. The
// console is on standard input and output, QMP on descriptor 3.
func (m Machine) CommandLine() ([]string, error) {
	p, err := m.platform()
	if err != nil {
		return nil, err
	}
	args := []string{
		p.qemu, "-nodefaults", "-no-user-config", "-display", "none",
		"-machine", p.machine + m.UEFI.machine(), "-m", strconv.Itoa(m.memory()), "-smp", strconv.Itoa(m.cpus()),
		"-rtc", "base=utc",
	}
	switch m.Accel {
	case "", "tcg":
		args = append(args, "-accel", "tcg,thread=multi", "-cpu", p.cpu)
	case "kvm":
		args = append(args, "-accel", "kvm", "-cpu", "host")
	default:
		return nil, fmt.Errorf("describe machine %s: unknown accelerator %q", m.name(), m.Accel)
	}
	if !m.Reboot {
		args = append(args, "-no-reboot")
	}
	if m.Bios != "" {
		args = append(args, "-bios", biosPath)
	}
	args = append(args, m.UEFI.args()...)
	if m.Kernel != "" {
		args = append(args, "-kernel", kernelPath, "-append", strings.TrimSpace("console="+p.console+" "+m.Append))
	}
	if len(m.Initrds) > 0 {
		args = append(args, "-initrd", initrdPath)
	}
	args = append(args,
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", qmpFile), "-mon", "chardev=qmp,mode=control")
	for i, n := range m.NICs {
		args = append(args, n.args(i)...)
	}
	for i, d := range m.Disks {
		a, err := d.args(i, m.Kernel == "")
		if err != nil {
			return nil, fmt.Errorf("describe machine %s: %w", m.name(), err)
		}
		args = append(args, a...)
	}
	for _, s := range m.SMBIOS {
		args = append(args, "-smbios", s.arg())
	}
	for _, f := range m.FwCfg {
		args = append(args, "-fw_cfg", "name="+escape(f.Name)+",string="+escape(f.Text))
	}
	for _, d := range m.Devices {
		args = append(args, "-device", d)
	}
	return append(args, m.Args...), nil
}

func (m Machine) platform() (platform, error) {
	arch := m.Arch
	if arch == "" {
		arch = "amd64"
	}
	p, ok := platforms[arch]
	if !ok {
		return p, fmt.Errorf("describe machine %s: unknown architecture %q: amd64 and arm64 are known", m.name(), arch)
	}
	return p, nil
}

func (m Machine) name() string {
	if m.Name == "" {
		return "vm"
	}
	return m.Name
}

func (m Machine) memory() int {
	if m.Memory == 0 {
		return 1024
	}
	return m.Memory
}

func (m Machine) cpus() int {
	if m.CPUs == 0 {
		return 2
	}
	return m.CPUs
}

// mac is the address of the i-th card that names none; its first three bytes
// are QEMU's.
func mac(i int) string { return fmt.Sprintf("52:54:00:be:e0:%02x", i+1) }

func (n NIC) args(i int) []string {
	model, addr := n.Model, n.MAC
	if model == "" {
		model = "virtio-net-pci"
	}
	if addr == "" {
		addr = mac(i)
	}
	device := fmt.Sprintf("%s,id=nic%d,mac=%s", model, i, addr)
	if n.Boot {
		device += ",bootindex=1"
	} else {
		device += ",romfile=" // an option ROM that nobody needs costs time
	}
	var netdev string
	switch {
	case n.Tap != "":
		netdev = fmt.Sprintf("tap,id=net%d,ifname=%s,script=no,downscript=no", i, n.Tap)
	case n.User != nil:
		netdev = fmt.Sprintf("user,id=net%d", i)
		for _, o := range n.User.Options {
			netdev += "," + o
		}
		if n.User.Restrict {
			netdev += ",restrict=on"
		}
		for _, port := range n.User.Forward {
			// Port 0: the host's kernel picks a free one, so that no two
			// machines can pick the same.
			netdev += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:0-:%d", port)
		}
	default:
		return []string{"-device", device}
	}
	return []string{"-netdev", netdev, "-device", device + fmt.Sprintf(",netdev=net%d", i)}
}

// firstDisk is the boot order of the first disk (bootindex): behind the network.
const firstDisk = 10

// args describes the i-th disk; boots says that firmware may start it.
func (d Disk) args(i int, boots bool) ([]string, error) {
	device, ok := diskDevices[d.Model]
	if !ok {
		return nil, fmt.Errorf("disk %s: unknown model %q: virtio, nvme, sata, usb and cd are known", d.File, d.Model)
	}
	format := d.Format
	if format == "" {
		format = "raw"
	}
	drive := fmt.Sprintf("if=none,id=disk%d,file=%s,format=%s,cache=unsafe", i, diskPath(i), format)
	if d.ReadOnly {
		drive += ",readonly=on"
	}
	device += fmt.Sprintf(",drive=disk%d", i)
	if d.Serial != "" {
		device += ",serial=" + escape(d.Serial)
	}
	if boots {
		device += fmt.Sprintf(",bootindex=%d", firstDisk+i)
	}
	args := []string{"-drive", drive}
	switch d.Model {
	case "sata":
		device += fmt.Sprintf(",bus=ide.%d", i)
	case "usb":
		args = append(args, "-device", fmt.Sprintf("qemu-xhci,id=usb%d", i))
		device += fmt.Sprintf(",bus=usb%d.0", i)
	case "cd":
		args = append(args, "-device", fmt.Sprintf("virtio-scsi-pci,id=scsi%d", i))
		device += fmt.Sprintf(",bus=scsi%d.0", i)
	}
	return append(args, "-device", device), nil
}

func (s SMBIOS) arg() string {
	keys := make([]string, 0, len(s.Fields))
	for k := range s.Fields {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	arg := "type=" + strconv.Itoa(s.Type)
	for _, k := range keys {
		arg += "," + k + "=" + escape(s.Fields[k])
	}
	return arg
}

// escape doubles commas, which part QEMU's options.
func escape(s string) string { return strings.ReplaceAll(s, ",", ",,") }

// step is the sandbox's step for the machine, with initrd in place of Initrds.
func (m Machine) step(initrd string) (sandbox.Step, error) {
	args, err := m.CommandLine()
	if err != nil {
		return sandbox.Step{}, err
	}
	s := sandbox.Step{Args: args}
	for _, f := range []sandbox.Bind{{Host: m.Kernel, Path: kernelPath}, {Host: initrd, Path: initrdPath}, {Host: m.Bios, Path: biosPath}, {Host: m.UEFI.Code, Path: codePath}} {
		if f.Host != "" {
			s.Ro = append(s.Ro, f)
		}
	}
	if m.UEFI.Vars != "" {
		s.Rw = append(s.Rw, sandbox.Bind{Host: m.UEFI.Vars, Path: varsPath})
	}
	for i, d := range m.Disks {
		b := sandbox.Bind{Host: d.File, Path: diskPath(i)}
		if d.ReadOnly {
			s.Ro = append(s.Ro, b)
		} else {
			s.Rw = append(s.Rw, b)
		}
	}
	if m.Folder != "" {
		s.Rw = append(s.Rw, sandbox.Bind{Host: m.Folder, Path: FolderPath})
	}
	if m.Accel == "kvm" {
		s.Dev = append(s.Dev, "/dev/kvm")
	}
	for _, n := range m.NICs {
		if n.Tap != "" {
			s.Dev = append(s.Dev, "/dev/net/tun")
			break
		}
	}
	for _, n := range m.NICs {
		s.Network = s.Network || n.Tap != "" || n.User != nil
	}
	return s, nil
}
