package pciids

import (
	"fmt"
	"strings"
	"testing"
)

const sample = "# comment\n8086  Intel Corporation\n\t1229  82557\n\t\t8086 0001  EtherExpress\n\t\t8086 0002  Other\n\t122a  Other device\n" +
	"9999  Nobody\n\t0001  Nothing\n# in between\n1af4  Red Hat, Inc.\n\t1000  Virtio network device\n" +
	"C 02  Network controller\n\t00  Ethernet controller\n\t80  Other\nC 03  Display\n"

func TestFind(t *testing.T) {
	intel := Key{"8086", "1229", "8086", "0001", "020000"}
	virtio := Key{"1af4", "1000", "1af4", "0001", "020000"}
	odd := Key{"dead", "beef", "", "", "ff0000"}
	short := Key{"8086", "ffff", "", "", "02"}
	got := Find([]byte(sample), []Key{intel, virtio, odd, short})
	for k, want := range map[Key]Names{
		intel:  {"Intel Corporation", "82557", "EtherExpress", "Ethernet controller"},
		virtio: {"Red Hat, Inc.", "Virtio network device", "", "Ethernet controller"},
		odd:    {},
		short:  {Vendor: "Intel Corporation"},
	} {
		if got[k] != want {
			t.Errorf("%v = %+v, want %+v", k, got[k], want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte(sample))
	f.Fuzz(func(t *testing.T, b []byte) {
		Find(b, []Key{{"8086", "1229", "8086", "0001", "020000"}, {}})
	})
}

// TestSameAsGoingThroughAll holds the shortcut against a database in which
// nothing can be skipped.
func TestSameAsGoingThroughAll(t *testing.T) {
	var text strings.Builder
	var keys []Key
	for v := range 300 {
		fmt.Fprintf(&text, "%04x  Vendor %d\n", v*7, v)
		for d := range 20 {
			fmt.Fprintf(&text, "\t%04x  Device %d of %d\n\t\t1111 %04x  Subsystem %d\n", d, d, v, d, d)
		}
		if v%50 == 3 {
			keys = append(keys, Key{fmt.Sprintf("%04x", v*7), "0013", "1111", "0013", "020000"})
		}
	}
	text.WriteString("# classes\n\nC 00  Old\n\t00  Thing\nC 02  Network controller\n\t00  Ethernet controller\n")
	fast := Find([]byte(text.String()), keys)
	shuffled := "ffff  Last\n" + text.String()
	slow := Find([]byte(shuffled), append(keys, Key{Vendor: "fffe"})) // one that is not there
	for _, k := range keys {
		n := fast[k]
		if n != slow[k] || n.Vendor == "" || n.Device == "" || n.Subsystem == "" || n.Class != "Ethernet controller" {
			t.Errorf("%v: %+v, %+v", k, n, slow[k])
		}
	}
}
