package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

var update = flag.Bool("update", false, "rewrite golden files")

// qemu is a machine that QEMU made: files as they were captured, and, where
// sysfs has links and colons, what stands in them.
func qemu(t *testing.T) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	captured := os.DirFS("testdata/qemu")
	err := fs.WalkDir(captured, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(captured, name)
		m[name] = &fstest.MapFile{Data: text, Mode: 0o444}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) { m[name] = &fstest.MapFile{Data: []byte(text + "\n"), Mode: 0o444} }
	link := func(name, to string) { m[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777} }
	const nic = "sys/devices/pci0000:00/0000:00:03.0"
	link("sys/bus/pci/devices/0000:00:03.0", "../../../devices/pci0000:00/0000:00:03.0")
	for k, v := range map[string]string{"vendor": "0x1af4", "device": "0x1000", "class": "0x020000", "subsystem_vendor": "0x1af4", "subsystem_device": "0x0001", "revision": "0x00", "numa_node": "-1"} {
		file(nic+"/"+k, v)
	}
	link(nic+"/driver", "../../../bus/pci/drivers/virtio-pci")
	link("sys/class/net/eth0", "../../devices/pci0000:00/0000:00:03.0/virtio0/net/eth0")
	const eth = nic + "/virtio0/net/eth0"
	for k, v := range map[string]string{"address": "52:54:00:12:34:56", "addr_assign_type": "0", "carrier": "1", "mtu": "1500", "speed": "-1", "operstate": "up"} {
		file(eth+"/"+k, v)
	}
	link(eth+"/device", "../../../virtio0")
	link(nic+"/virtio0/driver", "../../../../bus/virtio/drivers/virtio_net")
	link("sys/block/vda", "../devices/pci0000:00/0000:00:04.0/virtio1/block/vda")
	const vda = "sys/devices/pci0000:00/0000:00:04.0/virtio1/block/vda"
	for k, v := range map[string]string{"size": "2048", "serial": "DISK-1", "ro": "0", "removable": "0", "queue/rotational": "1", "queue/logical_block_size": "512", "queue/physical_block_size": "512"} {
		file(vda+"/"+k, v)
	}
	link(vda+"/device", "../../../virtio1")
	file("sys/devices/pci0000:00/0000:00:04.0/virtio1/vendor", "0x1af4")
	link("sys/devices/pci0000:00/0000:00:04.0/virtio1/driver", "../../../../bus/virtio/drivers/virtio_blk")
	file("sys/devices/system/cpu/present", "0-1")
	file("sys/devices/system/cpu/online", "0-1")
	file("sys/devices/system/cpu/vulnerabilities/meltdown", "Not affected")
	file("sys/devices/system/cpu/vulnerabilities/spec_store_bypass", "Vulnerable")
	file("proc/sys/kernel/hostname", "captured")
	file("proc/sys/kernel/tainted", "512")
	file("proc/sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555")
	file("run/bee/net.json", `{"interfaces":[{"name":"eth0","carrier":true,"state":"bound","addresses":["10.0.2.15/24"]}]}`)
	file("run/bee/modules.json", `{"complete":true,"failed":[{"name":"bad","error":"load module bad: exec format error"}],"orphans":[{"device":"devices/pci0000:00/0000:00:05.0","modalias":"pci:v00008086d00001533sv0sd0bc02sc00i00","modules":["igb"],"reason":"not in the image"}]}`)
	file("etc/bee/bom.json", `{"version":"1","variant":"test"}`)
	file("usr/share/misc/pci.ids", "1af4  Red Hat, Inc.\n\t1000  Virtio network device\nC 02  Network controller\n\t00  Ethernet controller")
	return m
}

// TestGolden runs every collector over the captured machine.
func TestGolden(t *testing.T) {
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(qemu(t), device.Nothing{})})
	for _, c := range r.Collectors() {
		if c.Status != hwreport.OK {
			t.Errorf("collector %s: %s %s", c.Name, c.Status, c.Error)
		}
		c.Duration = 0
	}
	r.Started, r.Duration = time.Time{}, 0
	got, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	fits(t, got)
	const golden = "testdata/qemu.json"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("the report differs from %s (go test -update rewrites it):\n%s", golden, d)
	}
}

// fits holds a report against the published schema.
func fits(t *testing.T, report []byte) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(hwreport.JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("report.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("report.json")
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(report))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("the report does not fit its schema: %v", err)
	}
}

// find is a finding of a report.
func find(r *hwreport.Report, id string) *hwreport.Finding {
	for i := range r.Findings {
		if r.Findings[i].ID == id {
			return &r.Findings[i]
		}
	}
	return nil
}

func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(fstest.MapFS)
		id    string
	}{
		"a module that would not load": {func(fstest.MapFS) {}, "drivers.module-failed@bad"},
		"a card without a driver":      {func(fstest.MapFS) {}, "drivers.no-driver@pci:0000:00/05.0"},
		"a vulnerability":              {func(fstest.MapFS) {}, "cpu.vulnerable@spec_store_bypass"},
		"a kernel that warned":         {func(fstest.MapFS) {}, "boot.kernel-tainted"},
		"an unknown parameter":         {func(fstest.MapFS) {}, "boot.parameter-ignored@bee.oops"},
		"a processor that is offline":  {func(m fstest.MapFS) { m["sys/devices/system/cpu/present"].Data = []byte("0-3\n") }, "cpu.offline"},
		"no carrier": {func(m fstest.MapFS) {
			m["sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0/carrier"].Data = []byte("0\n")
		}, "network.no-carrier"},
		"an empty disk": {func(m fstest.MapFS) {
			m["sys/devices/pci0000:00/0000:00:04.0/virtio1/block/vda/size"].Data = []byte("0\n")
		}, "storage.failed@disk:DISK-1"},
		"damaged tables":   {func(m fstest.MapFS) { m[smbios.TablePath].Data = append(m[smbios.TablePath].Data[:60], 1, 2) }, "board.smbios-broken"},
		"no names":         {func(m fstest.MapFS) { delete(m, "usr/share/misc/pci.ids") }, "pcie.names-missing"},
		"coldplug at work": {func(m fstest.MapFS) { delete(m, "run/bee/modules.json") }, "drivers.unsettled"},
	} {
		m := qemu(t)
		c.spoil(m)
		r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(m, device.Nothing{})})
		if find(r, c.id) == nil {
			b, _ := json.Marshal(r.Findings)
			t.Errorf("%s: no finding %s in %s", name, c.id, b)
		}
	}
}

func TestUnreadableTablesAreUnknownNotAbsent(t *testing.T) {
	m := NewMachine(qemu(t), device.Nothing{})
	m.DMI = func() (smbios.Tables, error) { return smbios.Tables{}, fmt.Errorf("read tables: %w", fs.ErrPermission) }
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: m})
	if f := find(r, "board.smbios-unreadable"); f == nil || r.Board.Data.SMBIOS.State() != hwreport.IsUnknown || r.Memory.Data.Installed.State() != hwreport.IsUnknown {
		t.Errorf("finding %v, smbios %v, installed %v", f, r.Board.Data.SMBIOS, r.Memory.Data.Installed)
	}
}

// TestBadCollectors has one that fails, one that panics and one that hangs: all
// are named, what the first had is kept, the good one is untouched.
func TestBadCollectors(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	pickCPU := func(r *hwreport.Report) *hwreport.Section[hwreport.CPU] { return &r.CPU }
	pickMemory := func(r *hwreport.Report) *hwreport.Section[hwreport.Memory] { return &r.Memory }
	pickPSU := func(r *hwreport.Report) *hwreport.Section[hwreport.PSU] { return &r.PSU }
	list := []Collector{
		Collectors[0],
		section("cpu", time.Minute, pickCPU, func(_ context.Context, _ Machine, c *hwreport.CPU) ([]hwreport.Finding, error) {
			c.Vendor = hwreport.Value("kept")
			return nil, errors.New("no luck")
		}),
		section("memory", time.Minute, pickMemory, func(context.Context, Machine, *hwreport.Memory) ([]hwreport.Finding, error) { panic("oh") }),
		section("psu", 20*time.Millisecond, pickPSU, func(context.Context, Machine, *hwreport.PSU) ([]hwreport.Finding, error) {
			<-hang
			return nil, nil
		}),
	}
	partial := 0
	r := Run(context.Background(), Config{Collectors: list, Machine: NewMachine(qemu(t), device.Nothing{}), Partial: func(*hwreport.Report) { partial++ }})
	if c := r.CPU.Collector; c.Status != hwreport.Failed || c.Error != "no luck" || r.CPU.Data.Vendor.Or("") != "kept" || !strings.Contains(r.CPU.Data.Model.Reason(), "no luck") {
		t.Errorf("failed: %+v %v", c, r.CPU.Data.Model.Reason())
	}
	if c := r.Memory.Collector; c.Status != hwreport.Failed || !strings.Contains(c.Error, "panic: oh") {
		t.Errorf("panicked: %+v", c)
	}
	if c := r.PSU.Collector; c.Status != hwreport.Timeout || r.PSU.Data.Supplies.State() != hwreport.IsUnknown {
		t.Errorf("hung: %+v", c)
	}
	if r.Board.Collector.Status != hwreport.OK || r.Network.Collector.Status != hwreport.Skipped {
		t.Errorf("board %s, network %s", r.Board.Collector.Status, r.Network.Collector.Status)
	}
	if r.Verdict != hwreport.Incomplete || !r.Complete || r.Verdict.ExitStatus() != 3 {
		t.Errorf("verdict %s", r.Verdict)
	}
	if partial < 2 || partial > len(list) { // those that end together are shown together
		t.Errorf("%d looks at the growing report of %d collectors", partial, len(list))
	}
}

// TestWhatWasAnsweredIsKept has a collector that asks until its time is over.
func TestWhatWasAnsweredIsKept(t *testing.T) {
	pick := func(r *hwreport.Report) *hwreport.Section[hwreport.CPU] { return &r.CPU }
	list := []Collector{section("cpu", 200*time.Millisecond, pick, func(ctx context.Context, _ Machine, c *hwreport.CPU) ([]hwreport.Finding, error) {
		c.Vendor = hwreport.Value("answered")
		<-ctx.Done()
		c.Model = hwreport.Unknown[string](ctx.Err().Error())
		return nil, nil
	})}
	r := Run(context.Background(), Config{Collectors: list, Machine: NewMachine(fstest.MapFS{}, device.Nothing{})})
	if c := r.CPU; c.Collector.Status != hwreport.OK || c.Data.Vendor.Or("") != "answered" || !strings.Contains(c.Data.Model.Reason(), "deadline") {
		t.Errorf("%+v %v %v", c.Collector, c.Data.Vendor, c.Data.Model)
	}
}

func TestEmptyMachineCanBeLookedAt(t *testing.T) {
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(fstest.MapFS{}, device.Nothing{})})
	if r.Verdict != hwreport.Incomplete || r.CPU.Collector.Status != hwreport.Failed {
		t.Errorf("verdict %s, cpu %+v", r.Verdict, r.CPU.Collector)
	}
	if b, err := r.Encode(); err != nil {
		t.Error(err)
	} else if _, err := hwreport.Decode(b); err != nil {
		t.Error(err)
	}
}

func TestWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "report.json")
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(qemu(t), device.Nothing{})})
	for range 2 {
		if err := Write(name, r); err != nil {
			t.Fatal(err)
		}
	}
	if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", fi, err)
	}
	if left, err := os.ReadDir(filepath.Dir(name)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := Write(filepath.Join(t.TempDir(), "no", "such"), r); err == nil {
		t.Error("a folder that is not there")
	}
}

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]int{"--help": 0, "--odd": 3, "extra": 3, "--root /no/such": 3} {
		var out, errText strings.Builder
		if got := Main(strings.Fields(args), &out, &errText); got != want || out.Len()+errText.Len() == 0 {
			t.Errorf("audit %s: %d, want %d\n%s%s", args, got, want, &out, &errText)
		}
	}
}
