package kmsg

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestParse(t *testing.T) {
	r, err := Parse([]byte("6,339,5140900,-;NET: Registered \\xffprotocol\n SUBSYSTEM=net\n DEVICE=+net:eth0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Severity != 6 || r.Facility != 0 || r.Seq != 339 || r.Uptime != 5140900*time.Microsecond || r.Text != "NET: Registered ?protocol" {
		t.Errorf("%+v", r)
	}
	if len(r.Fields) != 2 || r.Fields[1] != (Field{"DEVICE", "+net:eth0"}) {
		t.Errorf("%+v", r.Fields)
	}
	for _, bad := range []string{"", "6,1,2", "6,1;x", "a,1,2,-;x", "6,b,2,-;x", "6,1,-3,-;x", "6,1,99999999999999999999,-;x"} {
		if r, err := Parse([]byte(bad)); err == nil {
			t.Errorf("%q was taken as %+v", bad, r)
		}
	}
}

// device gives one record a read, as /dev/kmsg does.
type device []any

func (d *device) Read(b []byte) (int, error) {
	if len(*d) == 0 {
		return 0, io.EOF
	}
	v := (*d)[0]
	*d = (*d)[1:]
	if err, ok := v.(error); ok {
		return 0, err
	}
	return copy(b, v.(string)), nil
}

func TestReaderPassesOverWhatIsLost(t *testing.T) {
	r := NewReader(&device{"6,1,0,-;a\n", syscall.EPIPE, "garbage", "6,9,0,-;b\n"})
	var got []string
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec.Text)
	}
	if strings.Join(got, " ") != "a b" {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("6,339,5140900,-;NET: Registered\n SUBSYSTEM=net\n"))
	f.Add([]byte("30,1,0,c,caller=T1;a\\x1bb\\x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err == nil && (r.Uptime < 0 || r.Severity > 7 || r.Facility < 0 || !utf8.ValidString(r.Text) || strings.ContainsAny(r.Text, "\x00\x1b\n")) {
			t.Errorf("%q: %+v", b, r)
		}
	})
}
