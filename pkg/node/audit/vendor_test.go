package audit

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
)

// storcli is what the program says of a controller with a degraded mirror, in
// the form of Broadcom's manual.
const storcli = `{"Controllers":[{"Command Status":{"Controller":0,"Status":"Success"},"Response Data":{"Basics":{"Controller":0,"Model":"PERC H730P","Serial Number":"71R00AB","PCI Address":"00:3b:00:00"},
"Version":{"Firmware Version":"25.5.9.0001","Bios Version":"6.33.01.0"},"VD LIST":[{"DG/VD":"0/0","TYPE":"RAID1","State":"Dgrd","Size":"446.625 GB"}],
"PD LIST":[{"EID:Slt":"32:0 ","DID":0,"State":"Onln","Model":"MZ7LH480HAHQAD3 "},{"EID:Slt":"32:1","DID":1,"State":"Failed","Model":"MZ7LH480HAHQAD3"}]}}]}`

const ircu = `Controller information
------------------------------------------------------------------------
  Controller type                         : SAS3008
  BIOS version                            : 8.37.00.00
  Firmware version                        : 16.00.10.00
------------------------------------------------------------------------
IR Volume information
------------------------------------------------------------------------
IR volume 1
  Volume ID                               : 323
  Status of volume                        : Okay (OKY)
  RAID level                              : RAID1
  Size (in MB)                            : 113946
------------------------------------------------------------------------
Physical device information
------------------------------------------------------------------------
Initiator at ID #0

Device is a Hard disk
  Enclosure #                             : 2
  Slot #                                  : 1
  SAS Address                             : 4433221-1-0000-0000
  State                                   : Failed (FLD)
  Model Number                            : INTEL SSDSC2BB12
  Serial No                               : BTWL3405084Y120
Device is a Enclosure services device
  Slot #                                  : 9
Enclosure information
  Enclosure#                              : 2
`

func TestMakersPrograms(t *testing.T) {
	s := sysfs{fstest.MapFS{}}
	host := func(n, address, driver string) {
		s.function("pci0000:00/"+address, "010400", "1000", "005d", driver, [4]string{})
		s.link("sys/class/scsi_host/host"+n, "../../devices/pci0000:00/"+address+"/host"+n+"/scsi_host/host"+n)
		s.file("sys/devices/pci0000:00/"+address+"/host"+n+"/scsi_host/host"+n+"/state", "running")
	}
	host("0", "0000:3b:00.0", "megaraid_sas")
	host("1", "0000:5e:00.0", "mpt3sas")
	s.link("sys/class/net/eth0", "../../devices/pci0000:00/0000:61:00.0/net/eth0")
	s.link("sys/devices/pci0000:00/0000:61:00.0/net/eth0/device", "../../../0000:61:00.0")
	s.link("sys/devices/pci0000:00/0000:61:00.0/driver", "../../../bus/pci/drivers/mlx5_core")
	a := answers{
		device.VendorCommand("storcli64", "/call", "show", "all", "J", "nolog").File(): []byte(storcli),
		device.VendorCommand("sas3ircu", "0", "display").File():                        []byte(ircu),
		device.VendorCommand("mstflint", "-d", "0000:61:00.0", "q").File():             []byte("Image type:            FS4\nFW Version:            16.35.2000\nPSID:                  MT_0000000080\n"),
	}
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, a)})
	list := r.Storage.Data.Controllers.Or(nil)
	if len(list) != 2 || list[0].Model.Or("") != "PERC H730P" || list[0].Firmware.Or("") != "25.5.9.0001" || list[0].Volumes.Or(nil)[0].Good || len(list[0].Members.Or(nil)) != 2 {
		t.Fatalf("%+v", list)
	}
	if m := list[1].Members.Or(nil); list[1].Model.Or("") != "SAS3008" || !list[1].Volumes.Or(nil)[0].Good || len(m) != 1 || m[0].Serial != "BTWL3405084Y120" || m[0].Place != "2:1" || m[0].Good {
		t.Errorf("%+v", list[1])
	}
	for _, id := range []string{"storage.volume-degraded@hba:pci:0000:00/00.0/0/0", "storage.member-bad@hba:pci:0000:00/00.0/32:1"} {
		if find(r, id) == nil {
			t.Errorf("no finding %s in %+v", id, r.Findings)
		}
	}
	if n := r.Network.Data.Interfaces.Or(nil); len(n) != 1 || n[0].PSID.Or("") != "MT_0000000080" || n[0].Firmware.Or("") != "16.35.2000" {
		t.Errorf("%+v", n)
	}
	// Absent means absent.
	none := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, gone{})})
	for _, c := range none.Storage.Data.Controllers.Or(nil) {
		if c.Volumes.State() != hwreport.IsAbsent || c.Members.State() != hwreport.IsAbsent {
			t.Errorf("%+v", c)
		}
	}
	if n := none.Network.Data.Interfaces.Or(nil); n[0].PSID.State() != hwreport.IsAbsent {
		t.Errorf("%+v", n)
	}
	// One that does not work says so where its word is missing.
	broken := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(s.MapFS, never{})})
	for _, c := range broken.Storage.Data.Controllers.Or(nil) {
		if !strings.Contains(c.Volumes.Reason(), "timed out") {
			t.Errorf("%+v", c.Volumes)
		}
	}
}

// gone is an Asker without any device.
type gone struct{}

func (gone) Ask(context.Context, device.Question) ([]byte, error) { return nil, fs.ErrNotExist }

func FuzzMakersPrograms(f *testing.F) {
	f.Add(storcli)
	f.Add(ircu)
	f.Fuzz(func(t *testing.T, text string) {
		parseStorcli([]byte(text))
		parseIRCU(text)
	})
}
