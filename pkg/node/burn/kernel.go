package burn

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/kmsg"
)

// The kernel's log is a ring: what is not read in time is overwritten.
const (
	drainEvery  = time.Second
	recordsKept = 10000 // that say something; a part that is broken says it again and again
)

// logReader gives the records of the kernel's log that came since it was last
// asked, and how many were overwritten before.
type logReader interface {
	read() (list []kmsg.Record, lost uint64)
	close()
}

// kernelLog reads /dev/kmsg.
type kernelLog struct {
	r    *kmsg.Reader
	c    io.Closer
	next uint64 // number of the record that comes next; 0: any
}

func openLog() (logReader, error) {
	r, c, err := kmsg.Open(false)
	if err != nil {
		return nil, err
	}
	l := &kernelLog{r: r, c: c}
	l.read() // what was before is not ours
	return l, nil
}

func (l *kernelLog) read() (list []kmsg.Record, lost uint64) {
	for {
		rec, err := l.r.Next()
		if err != nil {
			return list, lost
		}
		if l.next > 0 && rec.Seq > l.next {
			lost += rec.Seq - l.next
		}
		l.next = rec.Seq + 1
		list = append(list, rec)
	}
}

func (l *kernelLog) close() { l.c.Close() }

// drain reads the kernel's log again and again until stop is called, so that a
// flood of records overwrites none that says something.
func (j *job) drain() (stop func()) {
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		t := time.NewTicker(drainEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				j.records()
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		wait.Wait()
	}
}

// records is what the kernel logged since the load began, as far as it says
// something of the hardware.
func (j *job) records() []kmsg.Record {
	if j.kernel == nil {
		return nil
	}
	j.logMu.Lock()
	defer j.logMu.Unlock()
	list, lost := j.kernel.read()
	j.lost += lost
	for _, r := range list {
		_, ok := parseXID(r.Text)
		switch {
		case !ok && !hardwareError(r):
		case len(j.said) < recordsKept:
			j.said = append(j.said, r)
		default:
			j.lost++
		}
	}
	return j.said
}

// hardwareError says whether a record tells of a machine check or of an error of
// memory.
func hardwareError(r kmsg.Record) bool {
	hardware := strings.Contains(r.Text, "[Hardware Error]")
	edac := strings.HasPrefix(r.Text, "EDAC ") && (strings.Contains(r.Text, " CE ") || strings.Contains(r.Text, " UE "))
	return r.Facility == 0 && (hardware || edac)
}

// judgeKernel looks for machine checks and errors of memory in what the kernel
// logged, whoever was under load.
func (j *job) judgeKernel() {
	var found []hwreport.Evidence
	severity := hwreport.Warning
	for _, r := range j.records() {
		if !hardwareError(r) {
			continue
		}
		if strings.Contains(r.Text, " UE ") || strings.Contains(strings.ToLower(r.Text), "uncorrect") || strings.Contains(strings.ToLower(r.Text), "fatal") {
			severity = hwreport.Failure
		}
		if len(found) < 16 {
			found = append(found, hwreport.Evidence{Source: "kernel log", Value: r.Text})
		}
	}
	if found != nil {
		j.find(severity, "burn.machine-check", "", fmt.Sprintf("the kernel logged hardware errors during the load: %s", found[0].Value), found...)
	}
	if j.lost > 0 {
		j.find(hwreport.Warning, "burn.unwatched", "", fmt.Sprintf("%d records of the kernel's log were overwritten before they could be read: XIDs and machine checks may have been among them", j.lost))
	}
}
