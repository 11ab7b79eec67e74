package modload

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/kmod"
)

// tried is what a call of modprobe did.
type tried struct {
	Status   int
	Inserted []string // with parameters
	Removed  []string
	Out, Err string
}

// try calls modprobe on a machine on which some modules are loaded, and some of
// those in use.
func try(t *testing.T, args, cmdline string, loaded []string, inUse map[string]bool, fail map[string]error) tried {
	t.Helper()
	root := fstest.MapFS{}
	for _, name := range loaded {
		root["sys/module/"+name+"/initstate"] = &fstest.MapFile{Data: []byte("live\n")}
	}
	k := &kernel{fail: fail}
	var got tried
	var out, errs bytes.Buffer
	got.Status = modprobeMain(strings.Fields(args), &out, &errs, func() (*modprobe, error) {
		return &modprobe{Loader: newLoader(t, k, root, cmdline), unload: func(name string) error {
			if inUse[name] {
				return unix.EWOULDBLOCK
			}
			got.Removed = append(got.Removed, name)
			return nil
		}}, nil
	})
	for _, name := range k.order {
		got.Inserted = append(got.Inserted, strings.TrimSpace(name+" "+k.options[name]))
	}
	got.Out, got.Err = out.String(), errs.String()
	return got
}

func TestModprobe(t *testing.T) {
	const virtio = "insmod /" + release + "/kernel/"
	for name, c := range map[string]struct {
		args, cmdline string
		loaded        []string
		inUse         map[string]bool
		fail          map[string]error
		want          tried
	}{
		"with what it needs":       {args: "virtio-net", want: tried{Inserted: []string{"failover async_probe", "net_failover async_probe", "virtio_net"}}},
		"some of it is there":      {args: "virtio_net", loaded: []string{"failover"}, want: tried{Inserted: []string{"net_failover async_probe", "virtio_net"}}},
		"parameters":               {args: "ahci a=1 b=2", cmdline: "ahci.c=3", want: tried{Inserted: []string{"ahci c=3 a=1 b=2"}}},
		"several":                  {args: "-a ahci failover", want: tried{Inserted: []string{"ahci", "failover"}}},
		"as the kernel asks":       {args: "-q -- pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", want: tried{Inserted: []string{"ahci"}}},
		"the kernel asks in vain":  {args: "-q -- net-pf-38", want: tried{Status: 1}},
		"unknown":                  {args: "ahcii", want: tried{Status: 1, Err: "modprobe: find module ahcii: "}},
		"one unknown of several":   {args: "-a ahcii ahci", want: tried{Status: 1, Inserted: []string{"ahci"}, Err: "modprobe: find module ahcii: "}},
		"blacklisted, named":       {args: "ahci", cmdline: "modprobe.blacklist=ahci", want: tried{Inserted: []string{"ahci"}}},
		"blacklisted, named, -b":   {args: "-b -v ahci", cmdline: "bee.blacklist=ahci", want: tried{Out: "ahci is blacklisted\n"}},
		"blacklisted, by alias":    {args: "-q -- pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01", cmdline: "bee.blacklist=ahci"},
		"say only":                 {args: "-nv virtio_net x=1", want: tried{Out: virtio + "failover.ko\n" + virtio + "net_failover.ko\n" + virtio + "virtio_net.ko x=1\n"}},
		"it will not":              {args: "-q ahci", fail: map[string]error{"ahci": errors.New("no such device")}, want: tried{Status: 1, Inserted: []string{"ahci"}, Err: "modprobe: load module ahci: no such device\n"}},
		"what it needs is gone":    {args: "-q ahci", fail: map[string]error{"ahci": kmod.ErrNotFound}, want: tried{Status: 1, Inserted: []string{"ahci"}, Err: "modprobe: load module ahci: "}},
		"out, and what it needed":  {args: "-r virtio_net", loaded: []string{"virtio_net", "net_failover", "failover"}, want: tried{Removed: []string{"virtio_net", "net_failover", "failover"}}},
		"out, others need a part":  {args: "-rv virtio_net", loaded: []string{"virtio_net", "net_failover", "failover"}, inUse: map[string]bool{"failover": true}, want: tried{Removed: []string{"virtio_net", "net_failover"}, Out: "rmmod virtio_net\nrmmod net_failover\n"}},
		"out, say only":            {args: "-rnv ahci", loaded: []string{"ahci"}, want: tried{Out: "rmmod ahci\n"}},
		"out, in use":              {args: "-r ahci", loaded: []string{"ahci"}, inUse: map[string]bool{"ahci": true}, want: tried{Status: 1, Err: "modprobe: remove module ahci: it is in use; lsmod says by whom\n"}},
		"out, not loaded":          {args: "-r ahci", want: tried{Status: 1, Err: "modprobe: remove module ahci: it is not loaded\n"}},
		"out, not loaded, quietly": {args: "-rq ahci"},
		"no module":                {args: "-v", want: tried{Status: 2, Err: "modprobe: no module is named\nusage: "}},
		"no such option":           {args: "-x ahci", want: tried{Status: 2, Err: "modprobe: unknown option \"-x\"\nusage: "}},
		"help":                     {args: "--help", want: tried{Out: "usage: "}},
	} {
		t.Run(name, func(t *testing.T) {
			got := try(t, c.args, c.cmdline, c.loaded, c.inUse, c.fail)
			for _, s := range []struct{ got, want *string }{{&got.Out, &c.want.Out}, {&got.Err, &c.want.Err}} {
				if *s.want != "" && strings.HasPrefix(*s.got, *s.want) {
					*s.got = *s.want // its beginning is what counts
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestAnswerKernel(t *testing.T) {
	root := t.TempDir()
	if err := answerKernel(root); err != nil {
		t.Errorf("an image without modprobe: %v", err)
	}
	for _, dir := range []string{"bin", "lib/bee"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bin/bb", kmod.ModprobePath} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // as when the service is started anew
		if err := answerKernel(root); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(root + "/bin/modprobe"); err != nil {
			t.Error(err)
		}
	}
	if err := os.RemoveAll(root + "/bin"); err != nil {
		t.Fatal(err)
	}
	if err := answerKernel(root); err == nil || !strings.Contains(err.Error(), "by hand, with /lib/bee/modprobe") {
		t.Errorf("where it cannot be linked: %v", err)
	}
}
