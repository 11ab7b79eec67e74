package nocloud

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/node/nocloud/seedstate"
)

// seeds makes volumes with the tools that people make them with.
type seeds struct {
	t   *testing.T
	dir string
	box *sandbox.Sandbox
	n   int
}

func newSeeds(t *testing.T) *seeds {
	t.Helper()
	l, err := lock.Load(os.DirFS("../../.."), lock.Name)
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
	return &seeds{t: t, dir: t.TempDir(), box: b}
}

func (s *seeds) run(args ...string) {
	s.t.Helper()
	var out strings.Builder
	cmd, err := s.box.Command(s.t.Context(), sandbox.Step{Args: args, Rw: []sandbox.Bind{{Host: s.dir, Path: "/out"}}, Stdout: &out, Stderr: &out})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%v: %v: %s", args, err, out.String())
	}
}

// files puts files into a new folder and gives its name.
func (s *seeds) files(files map[string]string) string {
	s.t.Helper()
	s.n++
	name := fmt.Sprintf("tree%d", s.n)
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
	for n, text := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name, n), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return name
}

func (s *seeds) read(name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *seeds) iso(label string, files map[string]string) []byte {
	s.t.Helper()
	tree := s.files(files)
	s.run("genisoimage", "-quiet", "-volid", label, "-joliet", "-rock", "-o", "/out/iso", "/out/"+tree)
	return s.read("iso")
}

func (s *seeds) vfat(label string, files map[string]string) []byte {
	s.t.Helper()
	tree := s.files(files)
	if err := os.WriteFile(filepath.Join(s.dir, "fat"), make([]byte, 16<<20), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run("mkfs.vfat", "-n", label, "/out/fat")
	for name := range files {
		s.run("mcopy", "-i", "/out/fat", "/out/"+tree+"/"+name, "::")
	}
	return s.read("fat")
}

func (s *seeds) ext4(label string) []byte {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "ext"), make([]byte, 8<<20), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run("mke2fs", "-q", "-t", "ext4", "-L", label, "/out/ext")
	return s.read("ext")
}

// machine is what the service works on. A disk is bytes, or an error of open.
type machine struct {
	disks  map[string]any
	events chan string
	stop   chan struct{} // closed: what hangs goes

	taken   []Seed
	state   *seedstate.State
	takeErr error
	ready   int
	status  string
	sorry   string
	skipped string
	log     bytes.Buffer
}

type closer struct{ io.ReaderAt }

func (closer) Close() error { return nil }

// hang never answers.
type hang struct{}

// stuck is a hang's open device.
type stuck struct{ stop chan struct{} }

func (s stuck) ReadAt([]byte, int64) (int, error) { <-s.stop; return 0, io.ErrClosedPipe }

func (m *machine) sysfs() fs.FS {
	root := fstest.MapFS{"sys/class/block": {Mode: fs.ModeDir | 0o755}}
	for name := range m.disks {
		folder := "devices/pci0000:00/block/" + name
		if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "dm-") {
			folder = "devices/virtual/block/" + name
		}
		root["sys/class/block/"+name] = &fstest.MapFile{Data: []byte("../../" + folder), Mode: fs.ModeSymlink | 0o777}
		size := "100"
		if name == "empty" {
			size = "0"
		}
		root["sys/"+folder+"/size"] = &fstest.MapFile{Data: []byte(size + "\n")}
	}
	return root
}

func (m *machine) service() *Service {
	return &Service{
		Root: m.sysfs(), Events: m.events, Out: &m.log,
		Open: func(name string) (device, error) {
			switch d := m.disks[name].(type) {
			case []byte:
				return closer{bytes.NewReader(d)}, nil
			case hang:
				return closer{stuck{m.stop}}, nil
			case error:
				return nil, d
			}
			return nil, fs.ErrNotExist
		},
		Take: func(s Seed) (string, error) {
			m.taken = append(m.taken, s)
			return fmt.Sprintf("%d keys", len(s.Keys)), m.takeErr
		},
		Tell:   func(st seedstate.State) error { m.state = &st; return nil },
		Ready:  func() { m.ready++ },
		Status: func(s string) { m.status = s }, Sorry: func(s string) { m.sorry = s }, Skip: func(s string) { m.skipped = s },
	}
}

// TestSeeds is a machine with the disks at its start.
func TestSeeds(t *testing.T) {
	s := newSeeds(t)
	key := newKey(t, "operator")
	good := map[string]string{"meta-data": "instance-id: iid-1\nlocal-hostname: web1\n", "user-data": "#cloud-config\nssh_authorized_keys: ['" + key + "']\nruncmd: [ls]\n", "network-config": "version: 2\n"}
	iso, other := s.iso("cidata", good), s.iso("CIDATA", map[string]string{"meta-data": "instance-id: iid-2\n"})
	big := map[string]string{"meta-data": "instance-id: x\n", "user-data": "#cloud-config\n" + strings.Repeat("#", 10<<20)}
	for _, c := range []struct {
		name                   string
		disks                  map[string]any
		from                   string // the device whose seed is taken; empty: none is
		status, sorry, skipped string
		log                    string
	}{
		{name: "iso", disks: map[string]any{"vda": make([]byte, 1<<20), "sr0": iso}, from: "sr0",
			status: "seed on sr0 (iso9660), instance iid-1; 1 keys; host name web1; not honoured: user-data: runcmd, network-config"},
		{name: "vfat", disks: map[string]any{"vdb1": s.vfat("CIDATA", good)}, from: "vdb1", status: "seed on vdb1 (vfat), instance iid-1"},
		{name: "no disk", disks: map[string]any{}, skipped: "no volume labelled cidata"},
		{name: "no seed", disks: map[string]any{"vda": s.ext4("root"), "sr0": syscall.ENOMEDIUM, "sr1": s.iso("debian", good), "empty": iso}, skipped: "no volume labelled cidata"},
		{name: "a label of mixed letters", disks: map[string]any{"sr0": s.iso("CiData", good)}, skipped: "no volume labelled cidata"},
		{name: "what the machine made itself", disks: map[string]any{"loop0": iso, "dm-0": iso}, skipped: "no volume labelled cidata"},
		{name: "two", disks: map[string]any{"sr0": iso, "vdb": other}, sorry: "2 different seeds, on sr0, vdb: none is taken"},
		{name: "one twice", disks: map[string]any{"sda": iso, "sdb": iso}, from: "sda", status: "seed on sda"},
		{name: "a useless one beside", disks: map[string]any{"sda": s.ext4("cidata"), "sdb": iso}, from: "sdb", status: "seed on sdb", sorry: "the seed on sda is of no use: it is ext4"},
		{name: "10 MB", disks: map[string]any{"vdb": s.vfat("CIDATA", big)}, sorry: "read user-data: it has 10485774 bytes, at most 262144 are read"},
		{name: "no files", disks: map[string]any{"vdb": s.vfat("CIDATA", nil)}, sorry: "it holds neither meta-data nor user-data"},
		{name: "broken YAML", disks: map[string]any{"vdb": s.iso("cidata", map[string]string{"user-data": "#cloud-config\na: [\n"})}, from: "vdb", status: "seed on vdb (iso9660); 0 keys", sorry: "user-data: yaml:"},
		{name: "several problems", disks: map[string]any{"vdb": s.iso("cidata", map[string]string{"meta-data": "-", "user-data": "#!/bin/sh"})}, from: "vdb", sorry: "(and 1 more, see svc log nocloud)", log: "user-data: refused: it is a script"},
		{name: "an unreadable disk", disks: map[string]any{"sda": syscall.EIO, "sr0": iso}, from: "sr0", log: "sda: not looked into: input/output error"},
		{name: "a sick disk", disks: map[string]any{"sda": hang{}, "sr0": iso}, from: "sr0", log: "sda: not looked into: it did not answer in 15s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{disks: c.disks}
			synctest.Test(t, func(t *testing.T) {
				m.stop = make(chan struct{})
				if err := m.service().Run(t.Context()); err != nil {
					t.Error(err)
				}
				close(m.stop) // what hangs goes
			})
			m.check(t, c.from, c.status, c.sorry, c.skipped, c.log)
		})
	}
}

func (m *machine) check(t *testing.T, from, status, sorry, skipped, log string) {
	t.Helper()
	if (from != "") != (m.state != nil) || m.state != nil && m.state.Device != from || (from != "") != (len(m.taken) == 1) {
		t.Errorf("taken %d seeds, state %+v, want from %q", len(m.taken), m.state, from)
	}
	if !strings.Contains(m.status, status) || !strings.Contains(m.sorry, sorry) || (sorry == "") != (m.sorry == "") || m.skipped != skipped {
		t.Errorf("status %q, sorry %q, skipped %q", m.status, m.sorry, m.skipped)
	}
	if m.ready != 1 || !strings.Contains(m.log.String(), log) || !strings.Contains(m.log.String(), sorry[:strings.IndexByte(sorry+"(", '(')]) {
		t.Errorf("ready %d times, log:\n%s", m.ready, m.log.String())
	}
}

// TestLater: a volume that appears within the minute is taken, one after it is
// not, and what is no block device that is there is passed over.
func TestLater(t *testing.T) {
	s := newSeeds(t)
	iso := s.iso("cidata", map[string]string{"meta-data": "local-hostname: late\n"})
	for _, c := range []struct {
		name  string
		event string
		after time.Duration
		taken bool
	}{
		{"a stick", "sdb", 5 * time.Second, true},
		{"events were lost", "", 59 * time.Second, true},
		{"another device", "sdz", 5 * time.Second, false},
		{"too late", "sdb", 61 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &machine{disks: map[string]any{"sda": make([]byte, 4096)}, events: make(chan string, 1)}
				service := m.service()
				go func() {
					time.Sleep(c.after)
					m.events <- c.event
				}()
				service.Status = func(text string) {
					if m.status == "" { // the first look is done
						m.disks["sdb"] = iso
						service.Root = m.sysfs()
					}
					m.status = text
				}
				began := time.Now()
				if err := service.Run(t.Context()); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); c.taken && took != c.after || !c.taken && took != patience {
					t.Errorf("it ended after %v", took)
				}
				if (m.state != nil) != c.taken || (m.skipped == "") != c.taken {
					t.Errorf("state %+v, skipped %q", m.state, m.skipped)
				}
				time.Sleep(c.after) // the event that came too late
			})
		})
	}
}

// TestTakeFails: keys that could not be put into force are an error, so that the
// service is started again.
func TestTakeFails(t *testing.T) {
	s := newSeeds(t)
	m := &machine{disks: map[string]any{"vdb": s.iso("cidata", map[string]string{"meta-data": "{}"})}, takeErr: errors.New("no room")}
	if err := m.service().Run(t.Context()); err == nil || !strings.Contains(err.Error(), "take the seed on vdb: no room") || m.state != nil {
		t.Errorf("%v, state %+v", err, m.state)
	}
}

func TestBlockDevice(t *testing.T) {
	for sysPath, want := range map[string]string{
		"devices/pci0000:00/0000:00:03.0/virtio1/block/vda":       "vda",
		"devices/pci0000:00/0000:00:1f.2/ata1/block/sda/sda1":     "sda1",
		"devices/virtual/block/loop0":                             "loop0",
		"devices/pci0000:00/0000:00:02.0/net/eth0":                "",
		"module/virtio_blk":                                       "",
		"devices/pci0000:00/0000:00:04.0/cciss0/block/cciss!c0d0": "cciss!c0d0",
	} {
		if got := blockDevice(sysPath); got != want {
			t.Errorf("%s: %q, want %q", sysPath, got, want)
		}
	}
	if deviceFile("cciss!c0d0") != "/dev/cciss/c0d0" {
		t.Error(deviceFile("cciss!c0d0"))
	}
}

func TestVirtual(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  bool
	}{
		"nothing known":     {nil, false},
		"x86 guest":         {map[string]string{"proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu vme hypervisor lahf_lm\n"}, true},
		"x86 hardware":      {map[string]string{"proc/cpuinfo": "flags\t\t: fpu vme lahf_lm\n", "sys/class/dmi/id/sys_vendor": "Dell Inc.\n"}, false},
		"arm64, AAVMF":      {map[string]string{"sys/class/dmi/id/sys_vendor": "QEMU\n"}, true},
		"arm64, no UEFI":    {map[string]string{"sys/firmware/devicetree/base/compatible": "linux,dummy-virt\x00"}, true},
		"a Raspberry Pi":    {map[string]string{"sys/firmware/devicetree/base/compatible": "raspberrypi,4-model-b\x00brcm,bcm2711\x00"}, false},
		"Xen on arm64":      {map[string]string{"sys/firmware/devicetree/base/hypervisor/compatible": "xen,xen\x00"}, true},
		"Hyper-V":           {map[string]string{"sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n", "sys/class/dmi/id/product_name": "Virtual Machine\n"}, true},
		"a Surface":         {map[string]string{"sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n", "sys/class/dmi/id/product_name": "Surface\n"}, false},
		"a flag of another": {map[string]string{"proc/cpuinfo": "bugs\t: hypervisor\nflags\t\t: fpu\n"}, false},
	} {
		root := fstest.MapFS{}
		for file, text := range c.files {
			root[file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := virtual(root); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if !networkHint("quiet ds=nocloud;s=http://192.0.2.1/", "") || !networkHint("", "ds=nocloud-net;h=web1") || networkHint("quiet", "SN-42") {
		t.Error("ds=nocloud is not told from others")
	}
}
