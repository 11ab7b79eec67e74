package power

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bee-os/bee/pkg/node/kmsg"
)

func records(lines ...string) func() (kmsg.Record, error) {
	return func() (kmsg.Record, error) {
		if len(lines) == 0 {
			return kmsg.Record{}, io.EOF
		}
		r := kmsg.Record{Text: lines[0]}
		lines = lines[1:]
		return r, nil
	}
}

func TestLastReset(t *testing.T) {
	tree := fstest.MapFS{
		"sys/class/watchdog/watchdog0/bootstatus": {Data: []byte("33\n")},
		"sys/fs/pstore/dmesg-efi_pstore-1700":     {Data: []byte("Panic#1 Part1\n<4>[   12.3] usb 1-1: new\n<0>[   12.4] Kernel panic - not syncing: Attempted to kill init!\n")},
		"sys/fs/pstore/console-ramoops-0":         {Data: []byte("x")},
	}
	causes, err := LastReset(tree, records(
		"BERT: Error records from previous boot:",
		"[Hardware Error]: event severity: fatal",
		"mce: [Hardware Error]: Machine check events logged",
		"mce: [Hardware Error]: CPU 0: Machine Check: 0 Bank 5: bea0000000000108",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"watchdog: CPU overheated",
		"watchdog: the watchdog reset the machine",
		"pstore: [   12.4] Kernel panic - not syncing: Attempted to kill init!; all of it in /sys/fs/pstore/dmesg-efi_pstore-1700",
		"bert: the firmware kept an error of the last boot: [Hardware Error]: event severity: fatal",
		"mce: mce: [Hardware Error]: Machine check events logged",
		"mce: 2 machine check lines in all, see dmesg",
	}
	var got []string
	for _, c := range causes {
		got = append(got, fmt.Sprint(c))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestNothingToTell(t *testing.T) {
	causes, err := LastReset(fstest.MapFS{"sys/class/watchdog/watchdog0/bootstatus": {Data: []byte("0\n")}}, records("Linux version 6.12"))
	if err != nil || len(causes) != 0 {
		t.Error(causes, err)
	}
	if _, err := LastReset(fstest.MapFS{"sys/class/watchdog/watchdog0/bootstatus": {Data: []byte("much\n")}}, nil); err == nil || !strings.Contains(err.Error(), "watchdog0/bootstatus") {
		t.Error(err)
	}
}

func TestMounts(t *testing.T) {
	m, err := parseMounts(strings.NewReader("36 35 8:1 / /mnt/a\\040b rw shared:1 - ext4 /dev/sda1 rw\n40 35 0:5 / /proc rw - proc proc rw\n41 35 0:9 / /n rw - nfs4 host:/x rw\n"))
	if err != nil || len(m) != 3 || m[0].point != "/mnt/a b" || !m[0].disk() || m[1].disk() || !m[2].disk() {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := parseMounts(strings.NewReader("nonsense\n")); err == nil {
		t.Error("nonsense was taken")
	}
}
