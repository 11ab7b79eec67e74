package audit

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
)

// answering is a machine of which every device answers.
type answering struct{}

func (answering) Ask(context.Context, device.Question) ([]byte, error) { return []byte{}, nil }

// booting runs the boot's audit while drivers are being loaded, until ready is called.
func booting(t *testing.T, m Machine, list []Collector) (file string, ready func(), ended <-chan string) {
	t.Helper()
	r, w := io.Pipe()
	t.Cleanup(func() { w.Close() })
	file = filepath.Join(t.TempDir(), "report.json")
	var said strings.Builder
	b := bootMode{file: file, machine: m, collectors: list, drivers: r, stdout: &said, stderr: &said}
	end := make(chan string, 1)
	go func() {
		b.run()
		end <- said.String()
	}()
	return file, func() { w.Close() }, end
}

// until reads the growing report until it is as ok wants it.
func until(t *testing.T, file, what string, ok func(*hwreport.Report) bool) *hwreport.Report {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if r, err := readReport(file); err == nil && ok(r) {
			return r
		}
	}
	t.Fatalf("never: %s", what)
	return nil
}

// disks is a collector of storage that is told what to do: the nth look, from 1.
func disks(look func(ctx context.Context, nth int64, m Machine, s *hwreport.Storage) []hwreport.Finding) Collector {
	var n atomic.Int64
	return section("storage", time.Minute, func(r *hwreport.Report) *hwreport.Section[hwreport.Storage] { return &r.Storage },
		func(ctx context.Context, m Machine, s *hwreport.Storage) ([]hwreport.Finding, error) {
			return look(ctx, n.Add(1), m, s), nil
		})
}

// boardSeen says that what files tell of the board is in the report.
func boardSeen(r *hwreport.Report) bool { return r.Board.Data.System.Manufacturer.Or("") == "bee" }

// TestFirstLook: while drivers are on their way there is a report of what is in files,
// which says that it is none yet; no device is asked. When they are there all is looked
// at anew, and what came meanwhile is seen.
func TestFirstLook(t *testing.T) {
	var asked [3]atomic.Int64
	looked := make(chan struct{})
	missing := hwreport.NewFinding(hwreport.Failure, "storage.missing", "", "no disk")
	list := []Collector{Collectors[0], Collectors[1], disks(func(ctx context.Context, nth int64, m Machine, s *hwreport.Storage) []hwreport.Finding {
		if _, err := m.Ask.Ask(ctx, device.Question{Device: "dev/sda"}); err == nil {
			asked[nth].Add(1)
		}
		if nth == 1 {
			close(looked)
			return []hwreport.Finding{missing}
		}
		s.Disks = hwreport.Value([]hwreport.Disk{{Name: "sda"}})
		return nil
	})}
	file, ready, ended := booting(t, NewMachine(qemu(t), answering{}), list)
	<-looked
	r := until(t, file, "a first look at the board", boardSeen)
	if r.Complete || r.Verdict != hwreport.Incomplete || len(r.Findings) != 0 {
		t.Errorf("complete %v, verdict %s, findings %v", r.Complete, r.Verdict, r.Findings)
	}
	if b, c, s := r.Board.Collector.Status, r.CPU.Collector.Status, r.Network.Collector.Status; b != hwreport.Running || c != hwreport.Running || s != hwreport.Skipped {
		t.Errorf("board is %s, cpu %s, network %s", b, c, s)
	}
	select {
	case said := <-ended:
		t.Fatalf("it did not wait for the drivers: %s", said)
	case <-time.After(50 * time.Millisecond):
	}
	ready()
	said := <-ended
	r, err := readReport(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Storage.Data.Disks.Or(nil); !r.Complete || len(d) != 1 || r.Storage.Collector.Status != hwreport.OK || !boardSeen(r) || find(r, missing.ID) != nil {
		t.Errorf("complete %v, disks %v, %s, findings %v\n%s", r.Complete, d, r.Storage.Collector.Status, r.Findings, said)
	}
	if first, second := asked[1].Load(), asked[2].Load(); first != 0 || second != 1 {
		t.Errorf("devices were asked %d and %d times, want never and once", first, second)
	}
}

// TestFirstLookHoldsNothingUp: a collector that hangs in the first look is left behind
// when the drivers are there; what the first look saw of others stands in the report
// while the second one goes on.
func TestFirstLookHoldsNothingUp(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	list := []Collector{Collectors[0], disks(func(_ context.Context, nth int64, _ Machine, s *hwreport.Storage) []hwreport.Finding {
		if nth == 1 {
			<-hang
		}
		s.Disks = hwreport.Value([]hwreport.Disk{{Name: "sda"}})
		return nil
	})}
	file, ready, ended := booting(t, NewMachine(qemu(t), answering{}), list)
	until(t, file, "the report begins", func(*hwreport.Report) bool { return true })
	ready()
	select {
	case <-ended:
	case <-time.After(20 * time.Second): // its deadline is a minute
		t.Fatal("the first look is waited for")
	}
	if r, err := readReport(file); err != nil || !r.Complete || r.Storage.Collector.Status != hwreport.OK || !boardSeen(r) {
		t.Errorf("%v, %+v", err, r)
	}
}

// TestSketchStands: what the first look saw is in the file until the second is through.
func TestSketchStands(t *testing.T) {
	began, hang := make(chan struct{}), make(chan struct{})
	list := []Collector{disks(func(_ context.Context, nth int64, _ Machine, s *hwreport.Storage) []hwreport.Finding {
		if nth == 2 {
			close(began)
			<-hang
		}
		s.Disks = hwreport.Value([]hwreport.Disk{{Name: fmt.Sprintf("look%d", nth)}})
		return nil
	})}
	file, ready, ended := booting(t, NewMachine(qemu(t), answering{}), list)
	seen := func(name string) func(*hwreport.Report) bool {
		return func(r *hwreport.Report) bool {
			d := r.Storage.Data.Disks.Or(nil)
			return len(d) == 1 && d[0].Name == name
		}
	}
	until(t, file, "a first look", seen("look1"))
	time.Sleep(spacing) // from now on every state is written
	ready()
	<-began
	if r, err := readReport(file); err != nil || !seen("look1")(r) || r.Complete {
		t.Errorf("while the second look goes on: %v, %+v", err, r)
	}
	close(hang)
	<-ended
	if r, err := readReport(file); err != nil || !seen("look2")(r) || !r.Complete {
		t.Errorf("at the end: %v, %+v", err, r)
	}
}
