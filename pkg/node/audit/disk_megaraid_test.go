package audit

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/scsi"
)

// TestHiddenDisks has a controller with two disks behind it: one that predicts
// its failure, and one that the kernel shows too.
func TestHiddenDisks(t *testing.T) {
	s := sysfs{fstest.MapFS{}}
	s.function("pci0000:00/0000:00:05.0", "010400", "1000", "005d", "megaraid_sas", [4]string{})
	s.link("sys/class/scsi_host/host2", "../../devices/pci0000:00/0000:00:05.0/host2/scsi_host/host2")
	s.file("sys/devices/pci0000:00/0000:00:05.0/host2/scsi_host/host2/state", "running")
	s.link("sys/block/sda", "../devices/pci0000:00/0000:00:05.0/host2/target2:2:0/2:2:0:0/block/sda")
	s.file("sys/devices/pci0000:00/0000:00:05.0/host2/target2:2:0/2:2:0:0/block/sda/size", "8")
	s.file("sys/devices/pci0000:00/0000:00:05.0/host2/target2:2:0/2:2:0:0/block/sda/serial", "SHOWN")
	list := make([]byte, 8+2*24)
	list[4] = 2
	list[8], list[10], list[13] = 9, 252, 4
	list[32], list[34], list[37] = 10, 252, 5
	good := func(data ...byte) []byte { return append([]byte{0, 0}, data...) }
	a := answers{device.MegaList(2).File(): list}
	disk := func(id uint16, serial string, log bool) {
		put := func(reply int, answer []byte, cdb ...byte) {
			a[device.MegaCommand(2, id, reply, cdb...).File()] = answer
		}
		inquiry := append(make([]byte, 8), "SEAGATE ST1200MM0098    N003"...)
		put(96, good(inquiry...), scsi.Inquiry(-1, 96)...)
		put(252, good(inquiry...), scsi.Inquiry(-1, 252)...)
		put(252, good(append([]byte{0, 0x80, 0, byte(len(serial))}, serial...)...), scsi.Inquiry(0x80, 252)...)
		if log {
			put(scsi.MaxLog, good(0, 0, 0, 2, 0, scsi.PageExceptions), scsi.LogSense(0)...)
			put(scsi.MaxLog, good(scsi.PageExceptions, 0, 0, 8, 0, 0, 0, 4, 0x5d, 0x10, 40, 0), scsi.LogSense(scsi.PageExceptions)...)
		}
	}
	disk(9, "HIDDEN", true)
	disk(10, "SHOWN", false)
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, a)})
	c := r.Storage.Data.Controllers.Or(nil)
	if len(c) != 1 || len(c[0].Hidden.Or(nil)) != 1 {
		t.Fatalf("%+v", c)
	}
	d := c[0].Hidden.Or(nil)[0]
	if d.Serial.Or("") != "HIDDEN" || d.Model.Or("") != "ST1200MM0098" || d.Verdict.Or("") != hwreport.DiskFailing || d.Bay.Or("") != "enclosure 252 slot 4" {
		t.Errorf("%+v", d)
	}
	if find(r, "storage.failing@disk:HIDDEN") == nil {
		t.Errorf("%+v", r.Findings)
	}
	silent := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, device.Nothing{})})
	if h := silent.Storage.Data.Controllers.Or(nil)[0].Hidden; h.State() != hwreport.IsUnknown {
		t.Errorf("a controller that cannot be asked: %v", h)
	}
}

func FuzzMegaList(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 252, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := parseMegaList(b); len(list) > 1024 || err == nil && len(b) < 8 {
			t.Error(len(list), err)
		}
	})
}
