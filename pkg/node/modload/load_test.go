package modload

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/kmod"
	"github.com/bee-os/bee/pkg/node/modload/modstate"
)

const release = "lib/modules/6.12"

// tables are those of a small image: virtio_net needs net_failover, which needs
// failover; nvme and ahci need nothing of each other; a and b want each other
// softly.
var tables = fstest.MapFS{
	release + "/modules.dep": {Data: []byte(`kernel/failover.ko:
kernel/net_failover.ko: kernel/failover.ko
kernel/virtio_net.ko: kernel/net_failover.ko kernel/failover.ko
kernel/nvme-core.ko.xz:
kernel/nvme.ko.xz: kernel/nvme-core.ko.xz
kernel/ahci.ko.xz:
kernel/a.ko.xz:
kernel/b.ko.xz:
`)},
	release + "/modules.alias": {Data: []byte(`alias virtio:d00000001v* virtio_net
alias pci:v*d*sv*sd*bc01sc08i02* nvme
alias pci:v*d*sv*sd*bc01sc06i01* ahci
alias platform:failover failover
`)},
	release + "/modules.softdep": {Data: []byte("softdep a pre: b\nsoftdep b pre: a\nsoftdep nvme_core post: nvme\n")},
}

// kernel is an Inserter that keeps the order, and fails as told.
type kernel struct {
	mu      sync.Mutex
	order   []string
	options map[string]string
	urgency map[string]Urgency
	fail    map[string]error
	meet    map[string]chan struct{} // both of two modules wait for the other
}

func (k *kernel) Insert(file, options string, u Urgency) error {
	name, _ := kmod.NameOf(path.Base(file))
	if c := k.meet[name]; c != nil {
		select { // one sends, one receives: neither goes on alone
		case c <- struct{}{}:
		case <-c:
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.order = append(k.order, name)
	if k.options == nil {
		k.options, k.urgency = make(map[string]string), make(map[string]Urgency)
	}
	k.options[name], k.urgency[name] = options, u
	return k.fail[name]
}

func newLoader(t *testing.T, k *kernel, root fs.FS, cmdline string) *Loader {
	t.Helper()
	index, err := kmod.Open(tables, release)
	if err != nil {
		t.Fatal(err)
	}
	p, warnings := bootparam.Parse(cmdline)
	if len(warnings) > 0 {
		t.Fatal(warnings)
	}
	return &Loader{Root: root, Dir: release, Index: index, Policy: NewPolicy(cmdline, p), Inserter: k, Parallel: 4}
}

func TestLoadOrder(t *testing.T) {
	k := &kernel{}
	l := newLoader(t, k, fstest.MapFS{}, "")
	for range 2 { // the second time there is nothing left to do
		if err := l.Load("virtio-net", "virtio:d00000001v00001AF4", Now); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]string{"failover", "net_failover", "virtio_net"}, k.order); d != "" {
		t.Error(d)
	}
	loaded, failed := l.Log()
	if len(loaded) != 3 || len(failed) != 0 || loaded[2].Wanted == "" || loaded[0].Wanted != "" {
		t.Errorf("log: %+v, %+v", loaded, failed)
	}
}

// TestNobodyWaitsInADependency: what is only needed by others does not wait for the
// disks that probe meanwhile; what a device asks for, or follows a module, does.
func TestNobodyWaitsInADependency(t *testing.T) {
	k := &kernel{}
	l := newLoader(t, k, fstest.MapFS{}, "failover.x=1")
	l.Ask([]string{"net-failover"}) // a device of its own
	for _, name := range []string{"virtio_net", "nvme_core"} {
		if err := l.Load(name, "virtio:d00000001v00001AF4", Later); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{"failover": "x=1 async_probe", "net_failover": "", "virtio_net": "", "nvme_core": "", "nvme": ""}
	if d := cmp.Diff(want, k.options); d != "" {
		t.Error(d)
	}
	if loaded, _ := l.Log(); loaded[0].Options != "x=1" {
		t.Errorf("log: %+v", loaded) // the operator's
	}
}

// TestLoadWhatIsThere: a module that is in is not inserted again; one that somebody
// else is still inserting is, as that tells when it is in.
func TestLoadWhatIsThere(t *testing.T) {
	k := &kernel{}
	l := newLoader(t, k, fstest.MapFS{
		"sys/module/failover/initstate":     {Data: []byte("live\n")},
		"sys/module/net_failover/initstate": {Data: []byte("coming\n")},
	}, "")
	if err := l.Load("virtio-net", "", Now); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"net_failover", "virtio_net"}, k.order); d != "" {
		t.Error(d)
	}
	loaded, _ := l.Log()
	if len(loaded) != 3 || loaded[0] != (modstate.Module{Name: "failover", Before: true}) || loaded[1].Before || loaded[2].Before {
		t.Errorf("log: %+v", loaded)
	}
}

func TestLoadIndependentAtTheSameTime(t *testing.T) {
	c := make(chan struct{})
	k := &kernel{meet: map[string]chan struct{}{"ahci": c, "nvme_core": c}}
	l := newLoader(t, k, fstest.MapFS{}, "")
	var wg sync.WaitGroup
	for _, name := range []string{"nvme", "ahci"} {
		wg.Go(func() {
			if err := l.Load(name, "", Later); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait() // hangs where they go one after another
	if slices.Index(k.order, "nvme_core") > slices.Index(k.order, "nvme") || k.urgency["nvme"] != Later {
		t.Errorf("order %v, urgency %v", k.order, k.urgency)
	}
}

func TestLoadSoftCircle(t *testing.T) {
	k := &kernel{}
	l := newLoader(t, k, fstest.MapFS{}, "")
	if err := l.Load("a", "", Now); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(k.order, "a") {
		t.Errorf("order %v", k.order)
	}
}

// TestLoadCompanions loads a module whose companion needs it: nobody waits for
// itself.
func TestLoadCompanions(t *testing.T) {
	k := &kernel{}
	l := newLoader(t, k, fstest.MapFS{}, "")
	if err := l.Load("nvme_core", "", Now); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(k.order, []string{"nvme_core", "nvme"}) {
		t.Errorf("order %v", k.order)
	}
}

func TestLoadFailures(t *testing.T) {
	damaged := errors.New("exec format error")
	k := &kernel{fail: map[string]error{"failover": damaged, "ahci": fmt.Errorf("%w: busy", ErrNothingToDrive)}}
	l := newLoader(t, k, fstest.MapFS{"sys/module/nvme_core/initstate": {Data: []byte("live\n")}}, "module_blacklist=nvme")
	err := l.Load("virtio_net", "", Now)
	if !errors.Is(err, damaged) || !strings.Contains(err.Error(), "virtio_net") || !strings.Contains(err.Error(), "failover") {
		t.Errorf("a damaged dependency: %v", err)
	}
	if err := l.Load("nvme", "", Now); !errors.Is(err, errForbidden) {
		t.Errorf("a blacklisted module: %v", err)
	}
	if err := l.Load("nvme_core", "", Now); err != nil {
		t.Errorf("a module that is in: %v", err)
	}
	if err := l.Load("ahci", "", Now); !errors.Is(err, ErrNothingToDrive) {
		t.Errorf("a module with nothing to drive: %v", err)
	}
	if err := l.Load("nothing", "", Now); !errors.Is(err, kmod.ErrNotFound) {
		t.Errorf("an unknown module: %v", err)
	}
	if d := cmp.Diff([]string{"failover", "ahci"}, k.order); d != "" {
		t.Errorf("inserted: %s", d)
	}
	_, failed := l.Log()
	var names []string
	for _, f := range failed {
		names = append(names, f.Name)
	}
	if d := cmp.Diff([]string{"failover", "net_failover", "nothing", "virtio_net"}, names); d != "" {
		t.Errorf("failed: %s", d)
	}
	// A device that comes again gets another try, and the log one entry.
	k.fail = nil
	for _, m := range []string{"failover", "net_failover", "virtio_net"} {
		l.Retry(m)
	}
	if err := l.Load("virtio_net", "", Now); err != nil {
		t.Error(err)
	}
	if loaded, failed := l.Log(); len(loaded) != 4 || len(failed) != 1 { // nvme_core was in
		t.Errorf("after another try: %+v, %+v", loaded, failed)
	}
}

func TestPolicy(t *testing.T) {
	cmdline := `nvme.poll_queues=2 virtio-net.napi_tx a.text="two words" bee.blacklist=x-y modprobe.blacklist=p,q bee.module="b one=1 two=2" b.three=3 bee.module="nvidia NVreg_X=1" bee.module=nvidia-modeset -- nvme.late=1`
	p, _ := bootparam.Parse(cmdline)
	got := NewPolicy(cmdline, p)
	// Options for NVIDIA's driver are for the service that loads it.
	for name, want := range map[string]string{"nvidia": "NVreg_X=1", "nvme": "poll_queues=2", "virtio_net": "napi_tx", "a": `text="two words"`, "b": "three=3 one=1 two=2", "bee": "", "modprobe": ""} {
		if o := got.Options(name); o != want {
			t.Errorf("options of %s: %q, want %q", name, o, want)
		}
	}
	for name, want := range map[string]bool{"x_y": true, "x-y": true, "p": true, "q": true, "nvme": false} {
		if got.Forbidden(name) != want {
			t.Errorf("forbidden %s: %v", name, !want)
		}
	}
	if d := cmp.Diff([]string{"b"}, got.Extra); d != "" {
		t.Error(d)
	}
}
