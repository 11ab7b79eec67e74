package audit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/tree"
)

// sysfs builds a tree by hand.
type sysfs struct{ fstest.MapFS }

func (s sysfs) file(name, text string) {
	s.MapFS[name] = &fstest.MapFile{Data: []byte(text + "\n"), Mode: 0o444}
}

func (s sysfs) link(name, to string) {
	s.MapFS[name] = &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink | 0o777}
}

// function adds a PCI function below where it hangs; path is the folders from
// the root complex on.
func (s sysfs) function(path, class, vendor, dev, driver string, link [4]string) {
	address := path[strings.LastIndexByte(path, '/')+1:]
	dir := "sys/devices/" + path
	s.link("sys/bus/pci/devices/"+address, "../../../devices/"+path)
	for k, v := range map[string]string{"class": "0x" + class, "vendor": "0x" + vendor, "device": "0x" + dev, "subsystem_vendor": "0x0000", "subsystem_device": "0x0000", "revision": "0x01", "numa_node": "0"} {
		s.file(dir+"/"+k, v)
	}
	if driver != "" {
		s.link(dir+"/driver", "../../../../bus/pci/drivers/"+driver)
	}
	if link[0] != "" {
		for i, k := range []string{"current_link_speed", "current_link_width", "max_link_speed", "max_link_width"} {
			v := link[i]
			if strings.HasSuffix(k, "speed") {
				v += " GT/s PCIe"
			}
			s.file(dir+"/"+k, v)
		}
	}
}

// plx is a server whose storage controller lost lanes behind a PLX switch: an
// empty slot of the switch reads x16, a NIC is limited by its port.
func plx() fs.FS {
	s := sysfs{fstest.MapFS{}}
	s.file("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) Silver 4210\ncpu family\t: 6\nmodel\t: 85\nstepping\t: 7\nmicrocode\t: 0x5003604\nphysical id\t: 0\ncore id\t: 0\nflags\t: fpu\n\nprocessor\t: 1\nmicrocode\t: 0x5003303\nphysical id\t: 1\ncore id\t: 0\n")
	s.file("proc/meminfo", "MemTotal: 1000000 kB")
	const port = "pci0000:17/0000:17:00.0"
	s.function(port, "060400", "8086", "2030", "pcieport", [4]string{"8.0", "16", "8.0", "16"})
	up := port + "/0000:18:00.0"
	s.function(up, "060400", "10b5", "8747", "pcieport", [4]string{"8.0", "16", "8.0", "16"})
	s.function(up+"/0000:19:08.0", "060400", "10b5", "8747", "pcieport", [4]string{"8.0", "4", "8.0", "8"})
	s.function(up+"/0000:19:08.0/0000:1a:00.0", "010700", "1000", "0097", "mpt3sas", [4]string{"8.0", "4", "8.0", "8"})
	s.function(up+"/0000:19:09.0", "060400", "10b5", "8747", "pcieport", [4]string{"2.5", "0", "8.0", "16"}) // empty
	s.function(up+"/0000:19:0a.0", "060400", "10b5", "8747", "pcieport", [4]string{"2.5", "4", "2.5", "4"})
	s.function(up+"/0000:19:0a.0/0000:1c:00.0", "020000", "8086", "1572", "i40e", [4]string{"2.5", "4", "8.0", "8"}) // can more than its port
	dir := "sys/devices/" + up + "/0000:19:08.0/0000:1a:00.0"
	s.file(dir+"/aer_dev_correctable", "RxErr 12\nBadTLP 3\nTOTAL_ERR_COR 15")
	s.file(dir+"/aer_dev_nonfatal", "TOTAL_ERR_NONFATAL 0")
	s.file(dir+"/aer_dev_fatal", "TOTAL_ERR_FATAL 0")
	s.file("sys/bus/pci/slots/4/address", "0000:1a:00")
	s.link("sys/class/scsi_host/host0", "../../devices/"+up+"/0000:19:08.0/0000:1a:00.0/host0/scsi_host/host0")
	hba := "sys/devices/" + up + "/0000:19:08.0/0000:1a:00.0/host0/scsi_host/host0"
	for k, v := range map[string]string{"proc_name": "mpt3sas", "board_name": "SAS9300-8i", "board_tracer": "SP12345678", "version_fw": "16.00.12.00", "version_bios": "08.37.00.00", "state": "running"} {
		s.file(hba+"/"+k, v)
	}
	s.file("dev/kmsg", "4,900,1000,-;pcieport 0000:19:08.0: AER: Correctable error message received from 0000:1a:00.0\n6,901,1001,-;mpt3sas 0000:1a:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)\n3,902,1002,-;EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x1)\n3,903,1003,-;mce: [Hardware Error]: CPU 3: Machine Check: 0 Bank 7: 8c00004000010090\n3,904,1004,-;BERT: Error records from previous boot:\n3,905,1005,-;[Hardware Error]: event severity: fatal\n3,906,1006,-;[Hardware Error]:  Error 0, type: fatal\n6,907,1007,-;usual line")
	for k, v := range map[string]string{"mc_name": "Skylake Socket#0 IMC#0", "size_mb": "65536", "ce_count": "5", "ue_count": "0", "ce_noinfo_count": "1", "dimm0/dimm_label": "CPU_SrcID#0_MC#0_Chan#1_DIMM#0", "dimm0/size": "32768", "dimm0/dimm_edac_mode": "SECDED", "dimm0/dimm_ce_count": "4", "dimm0/dimm_ue_count": "0"} {
		s.file("sys/devices/system/edac/mc/mc0/"+k, v)
	}
	return s.MapFS
}

// gpus is a server with eight accelerators behind two switches, one of which
// lost half of its lanes; one has no driver, one logged XIDs.
func gpus() fs.FS { return gpuServer(true) }

// gpuServer is that server, sick or well.
func gpuServer(ill bool) fs.FS {
	s := sysfs{fstest.MapFS{}}
	s.file("proc/cpuinfo", "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9654 96-Core Processor\ncpu family\t: 25\nmodel\t: 17\nstepping\t: 1\nmicrocode\t: 0xa101148\nphysical id\t: 0\ncore id\t: 0\nflags\t: fpu\n")
	s.file("proc/meminfo", "MemTotal: 2000000 kB")
	for n := range 8 {
		root := fmt.Sprintf("pci0000:%02x", 0x10+n/4*0x40)
		bus := 0x10 + n/4*0x40
		port := fmt.Sprintf("%s/0000:%02x:01.1", root, bus)
		up := fmt.Sprintf("%s/0000:%02x:00.0", port, bus+1)
		if n%4 == 0 {
			s.function(port, "060400", "1022", "14ab", "pcieport", [4]string{"32.0", "16", "32.0", "16"})
			s.function(up, "060400", "1000", "c030", "pcieport", [4]string{"32.0", "16", "32.0", "16"})
		}
		down := fmt.Sprintf("%s/0000:%02x:%02x.0", up, bus+2, n%4)
		width, driver := "16", "nvidia"
		if n == 5 && ill {
			width = "8"
		}
		if n == 7 && ill {
			driver = ""
		}
		speed := "32.0"
		if n == 2 {
			speed = "2.5" // idle
		}
		s.function(down, "060400", "1000", "c030", "pcieport", [4]string{speed, width, "32.0", "16"})
		address := fmt.Sprintf("0000:%02x:00.0", bus+3+n%4)
		s.function(down+"/"+address, "030200", "10de", "2330", driver, [4]string{speed, width, "32.0", "16"})
		s.file("sys/devices/"+down+"/"+address+"/resource", "0x00000000d0000000 0x00000000d0ffffff 0x0000000000040200\n0x0000020000000000 0x0000021fffffffff 0x000000000014220c")
		if driver != "" {
			s.file("proc/driver/nvidia/gpus/"+address+"/information", fmt.Sprintf("Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 99\nGPU UUID: \t GPU-00000000-0000-0000-0000-00000000000%d\nVideo BIOS: \t 96.00.61.00.01", n))
		}
	}
	s.file("proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 12:41:17 UTC 2025\nGCC version:  gcc version 14.2.0 (Debian 14.2.0-19)")
	if !ill {
		return s.MapFS
	}
	s.file("dev/kmsg", "4,1,1,-;NVRM: Xid (PCI:0000:14:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n4,2,2,-;NVRM: Xid (PCI:0000:14:00): 79, again\n4,3,3,-;NVRM: Xid (PCI:0000:14:00): 48, DBE")
	return s.MapFS
}

// TestMachines looks at every captured machine and holds the report against
// the one that is kept, and against the schema.
func TestMachines(t *testing.T) {
	machines := map[string]Config{
		"plx-switch":       {Machine: NewMachine(plx(), device.Nothing{})},
		"eight-gpu-server": {Machine: NewMachine(gpus(), nvmlSays(sickGPUs(t)))},
		"eight-gpus-well":  {Machine: NewMachine(gpuServer(false), nvmlSays(eightGPUs(t)))},
	}
	archives, err := filepath.Glob("testdata/machines/*.tgz")
	if err != nil || len(archives) < 8 {
		t.Fatalf("%d archives, %v", len(archives), err)
	}
	for _, a := range archives {
		f, err := os.Open(a)
		if err != nil {
			t.Fatal(err)
		}
		captured, err := tree.Read(f)
		if err != nil {
			t.Fatalf("%s: %v", a, err)
		}
		f.Close()
		name := strings.TrimSuffix(filepath.Base(a), ".tgz")
		if captured.Captured() {
			machines[name] = Config{Machine: NewMachine(captured, captured), Past: &captured.Meta}
		} else {
			machines[name] = Config{Machine: NewMachine(captured, device.Nothing{})}
		}
	}
	for name, c := range machines {
		t.Run(name, func(t *testing.T) {
			c.Collectors = Collectors
			r := Run(context.Background(), c)
			if c.Past == nil {
				r.Started, r.Duration = time.Time{}, 0
				for _, k := range r.Collectors() {
					k.Duration = 0
				}
			}
			got, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			fits(t, got)
			golden := "testdata/machines/" + name + ".json"
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
				t.Errorf("the report differs from %s (go test -update rewrites it):\n%.4000s", golden, d)
			}
		})
	}
}

// TestLinkVerdicts is what an operator should be told of the made machines.
func TestLinkVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		root      fs.FS
		want, not []string
	}{
		"plx": {plx(), []string{"pcie.width-lost@pci:0000:17/00.0/00.0/08.0/00.0", "pcie.correctable-errors@pci:0000:17/00.0/00.0/08.0/00.0", "cpu.microcode-differs", "ras.previous-boot",
			"memory.corrected-errors@edac:CPU_SrcID#0_MC#0_Chan#1_DIMM#0", "memory.corrected-errors@edac:mc0", "ras.mce@mce:3", "ras.aer@pci:0000:17/00.0/00.0/08.0/00.0"},
			[]string{"pcie.width-lost@pci:0000:17/00.0/00.0/09.0", "pcie.speed-lost@pci:0000:17/00.0/00.0/0a.0/00.0", "pcie.width-lost@pci:0000:17/00.0/00.0/0a.0/00.0", "pcie.width-lost@pci:0000:17/00.0/00.0/08.0"}},
		"gpus": {gpus(), []string{"pcie.width-lost@pci:0000:50/01.1/00.0/01.0/00.0", "gpu.no-driver@pci:0000:50/01.1/00.0/03.0/00.0", "pcie.speed-lost@pci:0000:10/01.1/00.0/02.0/00.0",
			"ras.xid@pci:0000:10/01.1/00.0/01.0/00.0:79", "ras.xid@pci:0000:10/01.1/00.0/01.0/00.0:48"},
			[]string{"pcie.width-lost@pci:0000:10/01.1/00.0/01.0/00.0", "gpu.no-driver@pci:0000:10/01.1/00.0/00.0/00.0"}},
	} {
		r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(c.root, device.Nothing{})})
		var all []string
		for _, f := range r.Findings {
			all = append(all, f.ID)
		}
		for _, id := range c.want {
			if find(r, id) == nil {
				t.Errorf("%s: no finding %s in\n%s", name, id, strings.Join(all, "\n"))
			}
		}
		for _, id := range c.not {
			if f := find(r, id); f != nil {
				t.Errorf("%s: %s: %s", name, id, f.Message)
			}
		}
		if name == "gpus" {
			list := r.GPU.Data.Devices.Or(nil)
			if len(list) != 8 || len(list[1].XIDs.Or(nil)) != 2 || list[1].XIDs.Or(nil)[0].Number != 79 || list[1].XIDs.Or(nil)[0].Count != 2 || list[1].XIDs.Or(nil)[0].Action != hwreport.XIDPower || list[0].Aperture.Or(0) != 0x2000000000 {
				t.Errorf("%d GPUs: %+v", len(list), list)
			}
		}
	}
}
