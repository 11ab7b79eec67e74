package pciids

import "testing"

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
