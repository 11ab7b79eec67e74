package modload

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestRmmod(t *testing.T) {
	fails := map[string]error{"ahci": unix.EWOULDBLOCK, "busy": unix.EBUSY, "gone": unix.ENOENT, "mine": unix.EPERM}
	for name, c := range map[string]struct {
		args string
		want tried
	}{
		"some":              {"virtio-net failover", tried{Removed: []string{"virtio_net", "failover"}}},
		"said":              {"-v virtio_net", tried{Removed: []string{"virtio_net"}, Out: "rmmod virtio_net\n"}},
		"a file":            {"/lib/modules/6/kernel/nvme-core.ko.xz", tried{Removed: []string{"nvme_core"}}},
		"one of them stays": {"-v ahci virtio_net", tried{Status: 1, Removed: []string{"virtio_net"}, Out: "rmmod virtio_net\n", Err: "rmmod: remove module ahci: it is in use; lsmod says by whom\n"}},
		"waits for nobody":  {"busy", tried{Status: 1, Err: "rmmod: remove module busy: it is in use; lsmod says by whom\n"}},
		"not loaded":        {"gone", tried{Status: 1, Err: "rmmod: remove module gone: it is not loaded\n"}},
		"not allowed":       {"mine", tried{Status: 1, Err: "rmmod: remove module mine: operation not permitted\n"}},
		"after --":          {"-- -v", tried{Removed: []string{"_v"}}},
		"help":              {"--help", tried{Out: rmmodUsage}},
		"nothing":           {"", tried{Status: 2, Err: "rmmod: no module is named\n" + rmmodUsage}},
		"unknown option":    {"-f ahci", tried{Status: 2, Err: "rmmod: unknown option \"-f\"\n" + rmmodUsage}},
	} {
		t.Run(name, func(t *testing.T) {
			var got tried
			var out, errs bytes.Buffer
			got.Status = rmmodMain(strings.Fields(c.args), &out, &errs, func(name string) error {
				if err := fails[name]; err != nil {
					return err
				}
				got.Removed = append(got.Removed, name)
				return nil
			})
			got.Out, got.Err = out.String(), errs.String()
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
