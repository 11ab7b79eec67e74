package modload

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLoadAhead: what network cards need is loaded, what disks do after it and on less
// urgent terms, and nothing else.
func TestLoadAhead(t *testing.T) {
	for _, c := range []struct {
		name    string
		k       *kernel
		cmdline string
		order   []string
		out     string
	}{
		{"card and disk", &kernel{}, "", []string{"failover", "net_failover", "virtio_net", "yield", "nvme_core", "nvme"}, "loaded failover net_failover nvme nvme_core virtio_net\n"},
		{"blacklist", &kernel{}, "modprobe.blacklist=virtio_net,nvme", []string{"yield"}, ""},
		{"damaged module", &kernel{fail: map[string]error{"virtio_net": errors.New("exec format error")}}, "",
			[]string{"failover", "net_failover", "virtio_net", "yield", "nvme_core", "nvme"}, "loaded failover net_failover nvme nvme_core\nload module virtio_net: exec format error; it is tried again\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := os.DirFS(machineRoot(t))
			var out bytes.Buffer
			s := &Service{Out: &out, fsys: root, Loader: newLoader(t, c.k, root, c.cmdline)}
			s.Yield = func() { c.k.order = append(c.k.order, "yield") }
			s.loadAhead()
			if d := cmp.Diff(c.order, c.k.order); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.out, out.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestAheadOnAMachineThatIsUp: by hand it does nothing to it.
func TestAheadOnAMachineThatIsUp(t *testing.T) {
	if err := ahead(nil); err == nil || !strings.Contains(err.Error(), "the machine is up") {
		t.Errorf("%v", err)
	}
}

func TestKernelLines(t *testing.T) {
	var out bytes.Buffer
	n, err := kernelLines{&out}.Write([]byte("loaded virtio_net\n"))
	if want := "<14>bee: coldplug ahead: loaded virtio_net\n"; out.String() != want || n != 18 || err != nil {
		t.Errorf("%q, %d, %v", out.String(), n, err)
	}
}
