package modload

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/node/modload/modstate"
)

// machine is what QEMU's q35 shows, with a virtio NIC, an NVMe disk, an unknown
// NIC and a display that the full kernel knows: bus, device, below
// sys/devices, modalias, bound.
var machine = []struct {
	bus, device, at, modalias string
	bound                     bool
}{
	{"pci", "0000:00:00.0", "pci0000:00/0000:00:00.0", "pci:v00008086d000029C0sv00001AF4sd00001100bc06sc00i00", false},
	{"pci", "0000:00:04.0", "pci0000:00/0000:00:04.0", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", false},
	{"pci", "0000:00:03.0", "pci0000:00/0000:00:03.0", "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00", true},
	{"pci", "0000:00:05.0", "pci0000:00/0000:00:05.0", "pci:v0000FFFFd00001234sv00000000sd00000000bc02sc00i00", false},
	{"virtio", "virtio0", "pci0000:00/0000:00:03.0/virtio0", "virtio:d00000001v00001AF4", false},
	{"acpi", "LNXSYSTM:00", "LNXSYSTM:00", "acpi:LNXSYSTM:", false},
}

// The network card of a Raspberry Pi 4 is a node of its device tree: it comes
// first, and is told where nothing drives it.
func TestNetworkCardOfADeviceTree(t *testing.T) {
	const genet = "of:NethernetT(null)Cbrcm,bcm2711-genet-v5"
	root := fstest.MapFS{
		treeDir + "/model": {Data: []byte("Raspberry Pi 4 Model B Rev 1.4\x00")},
		"sys/bus/platform/devices/fd580000.ethernet/modalias": {Data: []byte(genet + "\n")},
		"sys/bus/platform/devices/fe201000.serial/modalias":   {Data: []byte("of:NserialT(null)Carm,pl011\n")},
	}
	early, err := earlyDevices(root)
	if err != nil || len(early) != 2 || early[0].Modalias != genet {
		t.Errorf("looked at first: %+v, %v", early, err)
	}
	all, err := Devices(root)
	if err != nil || len(all) != 2 || all[0].Modalias != genet {
		t.Errorf("devices: %+v, %v", all, err)
	}
	if !mustHaveDriver(genet) || mustHaveDriver("of:NserialT(null)Carm,pl011") || mustHaveDriver("of:Nethernet-phyT(null)Cbc02") {
		t.Error("the wrong devices of a tree are useless without a driver")
	}
	delete(root, treeDir+"/model")
	if early, err := earlyDevices(root); err != nil || len(early) != 0 {
		t.Errorf("without a tree the platform bus has no network card: %+v, %v", early, err)
	}
}

// UEFI's variables are mounted when the module of their file system is in, and
// on such machines only.
func TestMountEFI(t *testing.T) {
	for name, c := range map[string]struct {
		uefi, module bool
		mounts       int
		says         string
	}{
		"BIOS":      {module: true},
		"UEFI":      {uefi: true, module: true, mounts: 1},
		"no module": {uefi: true, says: "not in the image"},
	} {
		root := fstest.MapFS{"m/modules.dep": {}, "m/modules.alias": {}, "m/modules.builtin": {}}
		if c.uefi {
			root[efiVars] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
		}
		if c.module {
			root["m/modules.builtin"].Data = []byte("kernel/fs/efivarfs/efivarfs.ko\n")
		}
		index, err := kmod.Open(root, "m")
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		n := 0
		s := &Service{fsys: root, Out: &out, Loader: &Loader{Root: root, Dir: "m", Index: index}, MountEFI: func() []error { n++; return nil }}
		s.mountEFI()
		if n != c.mounts || !strings.Contains(out.String(), c.says) || c.says == "" && out.Len() > 0 {
			t.Errorf("%s: mounted %d times, said %q", name, n, out.String())
		}
	}
}

// machineRoot writes machine and the module tables below a new folder.
func machineRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range machine {
		put("sys/devices/"+d.at+"/modalias", d.modalias+"\n")
		link("../../../devices/"+d.at, "sys/bus/"+d.bus+"/devices/"+d.device)
		if d.bound {
			put("sys/devices/"+d.at+"/driver/uevent", "")
		}
	}
	for name, f := range tables {
		put(name, string(f.Data))
	}
	return root
}

func TestDevices(t *testing.T) {
	list, err := Devices(os.DirFS(machineRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range list {
		line := d.Path
		if d.Bound {
			line += " bound"
		}
		got = append(got, line)
	}
	want := []string{ // network, storage, the rest
		"devices/pci0000:00/0000:00:03.0 bound",
		"devices/pci0000:00/0000:00:05.0",
		"devices/pci0000:00/0000:00:03.0/virtio0",
		"devices/pci0000:00/0000:00:04.0",
		"devices/LNXSYSTM:00",
		"devices/pci0000:00/0000:00:00.0",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// events gives uevents one after another, then errDone.
type events struct {
	pending []any // Uevent or error, for the first pass
	list    []any // after it
	each    func()
}

var errDone = errors.New("done")

func (e *events) Pending() (Uevent, bool, error) {
	if len(e.pending) == 0 {
		return Uevent{}, false, nil
	}
	next := e.pending[0]
	e.pending = e.pending[1:]
	if err, ok := next.(error); ok {
		return Uevent{}, false, err
	}
	return next.(Uevent), true, nil
}

func (e *events) Next() (Uevent, error) {
	e.each()
	if len(e.list) == 0 {
		return Uevent{}, errDone
	}
	next := e.list[0]
	e.list = e.list[1:]
	if err, ok := next.(error); ok {
		return Uevent{}, err
	}
	return next.(Uevent), nil
}

// run is one life of the service on machine. It returns what it said, and the
// state after the first pass and after each event.
func run(t *testing.T, k *kernel, cmdline string, list ...any) (said []string, states []modstate.State, out string) {
	t.Helper()
	root := machineRoot(t)
	var log bytes.Buffer
	read := func() {
		st, err := modstate.Read(os.DirFS(root))
		if err != nil {
			t.Error(err)
		}
		states = append(states, st)
	}
	s := &Service{
		Root: root, Loader: newLoader(t, k, os.DirFS(root), cmdline), Out: &log,
		Events:   &events{list: list, each: read},
		Ready:    func() { said = append(said, "ready") },
		Degraded: func(reason string) { said = append(said, "degraded "+reason) },
	}
	if err := s.Run(context.Background()); !errors.Is(err, errDone) {
		t.Errorf("Run: %v", err)
	}
	return said, states, log.String()
}

func names(list []modstate.Module) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.Name)
	}
	return out
}

func orphans(st modstate.State) map[string]string {
	out := make(map[string]string)
	for _, o := range st.Orphans {
		out[strings.TrimPrefix(o.Device, "devices/pci0000:00/")] = o.Reason
	}
	return out
}

func TestFirstPass(t *testing.T) {
	k := &kernel{}
	said, states, out := run(t, k, "nvme.poll_queues=2 bee.module=ahci")
	if d := cmp.Diff([]string{"ready"}, said); d != "" {
		t.Error(d)
	}
	if n := slices.Index(k.order, "virtio_net"); n != 2 {
		t.Errorf("the NIC's modules are not first: %v", k.order)
	}
	if k.urgency["virtio_net"] != Now || k.urgency["nvme"] != Early || k.urgency["ahci"] != Later || k.options["nvme"] != "poll_queues=2" {
		t.Errorf("urgency %v, options %v", k.urgency, k.options)
	}
	if d := cmp.Diff([]string{"ahci", "failover", "net_failover", "nvme", "nvme_core", "virtio_net"}, names(states[0].Loaded)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string]string{"0000:00:05.0": "this kernel has no driver"}, orphans(states[0])); d != "" {
		t.Error(d)
	}
	if !states[0].Complete || out != "" {
		t.Errorf("complete %v, log %q", states[0].Complete, out)
	}
}

// TestDeviceLaterInTheList: what a device asks for is not taken for a mere dependency
// because a device before it has it loaded: all have asked before the first load.
func TestDeviceLaterInTheList(t *testing.T) {
	k := &kernel{}
	s := &Service{Loader: newLoader(t, k, fstest.MapFS{}, "")}
	p := s.begin([]Device{{Path: "a", Modalias: "virtio:d00000001v00001AF4"}, {Path: "b", Modalias: "platform:failover"}}, func(d Device) Urgency {
		if d.Path == "a" {
			if err := s.Loader.Load("net_failover", "", Now); err != nil {
				t.Error(err)
			}
		}
		return Now
	})
	p.wg.Wait()
	if d := cmp.Diff(map[string]string{"failover": "", "net_failover": "async_probe", "virtio_net": ""}, k.options); d != "" {
		t.Error(d)
	}
}

func TestFirstPassDamagedModule(t *testing.T) {
	k := &kernel{fail: map[string]error{"nvme_core": errors.New("exec format error")}}
	said, states, out := run(t, k, "bee.module=missing")
	if len(said) != 2 || said[0] != "ready" || !strings.Contains(said[1], "missing") {
		t.Errorf("said %q", said)
	}
	if d := cmp.Diff([]string{"missing", "nvme", "nvme_core"}, names(states[0].Failed)); d != "" {
		t.Error(d)
	}
	if !slices.Contains(k.order, "virtio_net") {
		t.Errorf("the rest did not go on: %v", k.order)
	}
	if got := orphans(states[0])["0000:00:04.0"]; !strings.HasPrefix(got, "failed: ") || !strings.Contains(got, "exec format error") {
		t.Errorf("the disk: %q", got)
	}
	if n := strings.Count(out, "exec format error"); n != 1 {
		t.Errorf("told %d times: %s", n, out)
	}
}

func TestFirstPassBlacklist(t *testing.T) {
	k := &kernel{}
	said, states, _ := run(t, k, "module_blacklist=nvme")
	if len(said) != 1 || slices.Contains(k.order, "nvme") || len(states[0].Failed) != 0 {
		t.Errorf("said %q, order %v, failed %v", said, k.order, states[0].Failed)
	}
	if got := orphans(states[0])["0000:00:04.0"]; got != "blacklisted" {
		t.Errorf("the disk: %q", got)
	}
}

func TestEvents(t *testing.T) {
	k := &kernel{}
	disk := Uevent{Action: "add", Path: "devices/pci0000:00/0000:00:09.0", Modalias: "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"}
	nic := Uevent{Action: "add", Path: "devices/pci0000:00/0000:00:0a.0", Modalias: "pci:v0000FFFFd00000001sv00000000sd00000000bc02sc00i00"}
	_, states, out := run(t, k, "", disk, nic, Uevent{Action: "change"}, Uevent{Action: "remove", Path: nic.Path}, nic, ErrOverrun)
	if !slices.Contains(names(states[1].Loaded), "ahci") {
		t.Errorf("after the disk: %v", states[1].Loaded)
	}
	if len(states[2].Orphans) != 2 {
		t.Errorf("after the NIC: %v", states[2].Orphans)
	}
	if !strings.Contains(out, "lost") {
		t.Errorf("nothing about lost events: %s", out)
	}
	if n := len(states[4].Orphans); n != 1 {
		t.Errorf("after it went: %v", states[4].Orphans)
	}
	if n := len(states[5].Orphans); n != 2 {
		t.Errorf("after it came again: %v", states[5].Orphans)
	}
	if n := len(states[6].Orphans); n != 1 { // it is not in sysfs: its removal was lost
		t.Errorf("after the overrun: %v", states[6].Orphans)
	}
}

// What appears while the first pass loads is served before the service is ready,
// in the order in which it came; where events were lost, every device is looked
// at.
func TestCatchUp(t *testing.T) {
	disk := Uevent{Action: "add", Path: "devices/pci0000:00/0000:00:09.0", Modalias: "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"}
	nic := Uevent{Action: "add", Path: "devices/pci0000:00/0000:00:0a.0", Modalias: "pci:v0000FFFFd00000001sv00000000sd00000000bc02sc00i00"}
	k := &kernel{}
	root := machineRoot(t)
	var log bytes.Buffer
	var atReady []string
	s := &Service{Root: root, Loader: newLoader(t, k, os.DirFS(root), ""), Out: &log, Degraded: func(string) {},
		Events: &events{pending: []any{Uevent{Action: "change"}, disk, nic, Uevent{Action: "remove", Path: nic.Path}}, each: func() {}}}
	s.Ready = func() { atReady = slices.Clone(k.order) }
	if err := s.Run(context.Background()); !errors.Is(err, errDone) {
		t.Errorf("Run: %v", err)
	}
	if !slices.Contains(atReady, "ahci") {
		t.Errorf("ready before the disk that appeared was served: %v", atReady)
	}
	for _, broken := range []error{ErrOverrun, errors.New("no netlink")} {
		log.Reset()
		looks := 0
		s = &Service{Root: root, Loader: newLoader(t, &kernel{}, os.DirFS(root), ""), Out: &log, Ready: func() {}, Degraded: func(string) {},
			Events: &events{pending: []any{nic, broken}, each: func() { looks++ }}}
		if err := s.Run(context.Background()); !errors.Is(err, errDone) || looks != 1 {
			t.Errorf("%v: Run: %v", broken, err)
		}
		if st, err := modstate.Read(os.DirFS(root)); err != nil || !st.Complete || len(st.Orphans) != 1 {
			t.Errorf("%v: %+v, %v", broken, st.Orphans, err)
		}
		if strings.Contains(log.String(), "no netlink") != (broken != ErrOverrun) {
			t.Errorf("%v: it says %q", broken, log.String())
		}
	}
}

func TestReadStateAbsentOrBroken(t *testing.T) {
	root := t.TempDir()
	if _, err := modstate.Read(os.DirFS(root)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "run/bee"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, modstate.Path), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := modstate.Read(os.DirFS(root)); err == nil || !strings.Contains(err.Error(), modstate.Path) {
		t.Errorf("broken: %v", err)
	}
}

// A disk that takes its time to answer holds up neither what appears meanwhile nor
// what waits for its turn, of which there is one here at a time.
func TestADiskHoldsNobodyUp(t *testing.T) {
	disk := Uevent{Action: "add", Path: "devices/pci0000:00/0000:00:09.0", Modalias: "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"}
	answer := make(chan struct{})
	k := &kernel{meet: map[string]chan struct{}{"nvme": answer, "ahci": answer}} // nvme is not done before ahci, which comes by an event
	root := machineRoot(t)
	s := &Service{Root: root, Loader: newLoader(t, k, os.DirFS(root), "bee.module=a"), Out: t.Output(), Degraded: func(string) {}, Ready: func() {},
		Events: &events{pending: []any{disk}, each: func() {}}}
	s.Loader.Parallel = 1
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	select {
	case err := <-done:
		if !errors.Is(err, errDone) {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the disk holds up what appears beside it")
	}
	if slices.Index(k.order, "a") < 0 {
		t.Errorf("order %v", k.order)
	}
}

// What is loaded by then is told while a disk takes its time, as not complete.
func TestWhatIsInIsToldWhileADiskTakesItsTime(t *testing.T) {
	answer := make(chan struct{})
	k := &kernel{meet: map[string]chan struct{}{"nvme": answer}}
	root := machineRoot(t)
	s := &Service{Root: root, Loader: newLoader(t, k, os.DirFS(root), ""), Out: t.Output(), Degraded: func(string) {}, Ready: func() {},
		Events: &events{each: func() {}}}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		st, err := modstate.Read(os.DirFS(root))
		if err == nil {
			if st.Complete || !slices.Contains(names(st.Loaded), "virtio_net") || slices.Contains(names(st.Loaded), "nvme") {
				t.Errorf("told while nvme is loaded: complete %v, %v", st.Complete, names(st.Loaded))
			}
			break
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("nothing is told while nvme is loaded: %v", err)
		}
	}
	answer <- struct{}{}
	if err := <-done; !errors.Is(err, errDone) {
		t.Errorf("Run: %v", err)
	}
	if st, err := modstate.Read(os.DirFS(root)); err != nil || !st.Complete || !slices.Contains(names(st.Loaded), "nvme") {
		t.Errorf("told at the end: %v, %+v", err, st)
	}
}
