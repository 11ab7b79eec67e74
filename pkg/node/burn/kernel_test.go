package burn

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/kmsg"
)

// ring is a log that keeps only the record of the last second, and says one a
// second.
type ring struct {
	started time.Time
	asked   int
}

func (r *ring) read() (list []kmsg.Record, lost uint64) {
	text := "a flood"
	if second := int(time.Since(r.started) / time.Second); second == 7 {
		text = "NVRM: Xid (PCI:0000:5e:00): 79, pid=1, GPU has fallen off the bus."
	} else if second == 8 {
		lost = 12
	}
	r.asked++
	return []kmsg.Record{{Text: text}}, lost
}
func (*ring) close() {}

// TestDrain: what the kernel logs in the middle of a long load is found, and what
// it says of nothing is not kept.
func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &ring{started: time.Now()}
		j := &job{kernel: r}
		stop := j.drain()
		time.Sleep(time.Hour + time.Millisecond)
		stop()
		if list := j.records(); len(list) != 1 || !strings.Contains(list[0].Text, ": 79,") || r.asked < 3600 {
			t.Errorf("%d reads gave %d records", r.asked, len(list))
		}
		if j.judgeKernel(); len(j.findings) != 1 || j.findings[0].Code != "burn.unwatched" || j.findings[0].Severity != hwreport.Warning || !strings.Contains(j.findings[0].Message, "12 records") {
			t.Errorf("%+v", j.findings)
		}
	})
}

func TestManyRecords(t *testing.T) {
	said := make(spoken, recordsKept+5)
	for i := range said {
		said[i] = "EDAC MC0: 1 CE memory read error"
	}
	j := &job{kernel: &said}
	if list := j.records(); len(list) != recordsKept || j.lost != 5 {
		t.Errorf("%d, %d", len(list), j.lost)
	}
}

// kmsgDevice gives one record a read, as /dev/kmsg does: numbers, an error or, at 0,
// its end for now.
type kmsgDevice []any

func (d *kmsgDevice) Read(b []byte) (int, error) {
	if len(*d) == 0 {
		return 0, io.EOF
	}
	v := (*d)[0]
	*d = (*d)[1:]
	switch v := v.(type) {
	case error:
		return 0, v
	case int:
		if v > 0 {
			return copy(b, fmt.Sprintf("6,%d,1,-;text", v)), nil
		}
	}
	return 0, io.EOF
}

// TestGap: records that were overwritten are counted, also those between two
// reads; those before the first are not ours.
func TestGap(t *testing.T) {
	l := &kernelLog{r: kmsg.NewReader(&kmsgDevice{5, 6, 0, syscall.EPIPE, 10, 11, syscall.EPIPE, 20, 0, 21, 0, 0})}
	for i, want := range []struct {
		records int
		lost    uint64
	}{{2, 0}, {3, 3 + 8}, {1, 0}, {0, 0}} {
		if list, lost := l.read(); len(list) != want.records || lost != want.lost {
			t.Errorf("read %d: %d records, %d lost, want %+v", i, len(list), lost, want)
		}
	}
}
