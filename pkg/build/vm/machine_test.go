package vm

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestArgs(t *testing.T) {
	for name, m := range map[string]Machine{
		"empty": {},
		"kernel": {
			Kernel: "/k", Initrds: []string{"/i"}, Append: "bee.debug quiet", NICs: []NIC{{User: &User{Forward: []int{22, 80}, Restrict: true}}},
		},
		"uefi":  {UEFI: UEFI{Code: "/c", Vars: "/v", Secure: true}},
		"arm64": {Arch: "arm64", Memory: 512, CPUs: 1, Kernel: "/k", Reboot: true},
		"media": {
			UEFI:  UEFI{Code: "/c", Vars: "/v", Secure: true},
			NICs:  []NIC{{Boot: true, User: &User{}}},
			Disks: []Disk{{File: "/d0", Model: "usb"}, {File: "/d1", Model: "cd", ReadOnly: true}},
		},
		"full": {
			Accel: "kvm", Memory: 2048, CPUs: 4, Bios: "/b",
			NICs: []NIC{{Tap: "tap0"}, {Model: "e1000e", MAC: "02:00:00:00:00:01"}, {User: &User{Options: []string{"net=10.9.0.0/24"}}}},
			Disks: []Disk{
				{File: "/d0", Serial: "S,1"},
				{File: "/d1", Model: "nvme", Serial: "NV1", Format: "qcow2"},
				{File: "/d2", Model: "sata", Serial: "SA1", ReadOnly: true},
			},
			SMBIOS: []SMBIOS{
				{Type: 1, Fields: map[string]string{"manufacturer": "Bee, Inc.", "product": "Hive", "serial": "S1"}},
				{Type: 17, Fields: map[string]string{"part": "P1"}},
			},
			FwCfg:   []FwCfg{{Name: "opt/bee/x", Text: "a,b"}},
			Devices: []string{"i6300esb,id=dog"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			args, err := m.CommandLine()
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(args, "\n") + "\n"
			file := filepath.Join("testdata", name+".args")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("arguments are\n%swant (go test -update rewrites)\n%s", got, want)
			}
		})
	}
}

func TestArgsRefuses(t *testing.T) {
	for want, m := range map[string]Machine{
		"unknown architecture": {Arch: "vax"},
		"unknown accelerator":  {Accel: "hope"},
		"unknown model":        {Disks: []Disk{{File: "/d", Model: "floppy"}}},
	} {
		if _, err := m.CommandLine(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
}

func TestStepShowsWhatTheMachineNeeds(t *testing.T) {
	s, err := Machine{
		Kernel: "/k", Accel: "kvm", NICs: []NIC{{Tap: "tap0"}},
		Disks: []Disk{{File: "/d0"}, {File: "/d1", ReadOnly: true}},
	}.step("/joined")
	if err != nil {
		t.Fatal(err)
	}
	want := sandbox.Step{
		Args: s.Args, Network: true, Dev: []string{"/dev/kvm", "/dev/net/tun"},
		Ro: []sandbox.Bind{{Host: "/k", Path: "/vm/kernel"}, {Host: "/joined", Path: "/vm/initrd"}, {Host: "/d1", Path: "/vm/disk1"}},
		Rw: []sandbox.Bind{{Host: "/d0", Path: "/vm/disk0"}},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("step is\n%+v\nwant\n%+v", s, want)
	}
	flash, err := Machine{UEFI: UEFI{Code: "/c", Vars: "/v"}}.step("")
	if err != nil {
		t.Fatal(err)
	}
	if ro, rw := []sandbox.Bind{{Host: "/c", Path: codePath}}, []sandbox.Bind{{Host: "/v", Path: varsPath}}; !reflect.DeepEqual(flash.Ro, ro) || !reflect.DeepEqual(flash.Rw, rw) {
		t.Errorf("the flash's files are seen as %v and %v", flash.Ro, flash.Rw)
	}
	alone, err := Machine{NICs: []NIC{{}}}.step("")
	if err != nil {
		t.Fatal(err)
	}
	if alone.Network || alone.Dev != nil || alone.Ro != nil || alone.Rw != nil {
		t.Errorf("a machine without anything needs %+v", alone)
	}
}
