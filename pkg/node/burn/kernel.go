package burn

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/kmsg"
)

// logReader gives the records of the kernel's log that came since it was last
// asked.
type logReader interface {
	read() []kmsg.Record
	close()
}

// kernelLog reads /dev/kmsg.
type kernelLog struct {
	mu sync.Mutex
	r  *kmsg.Reader
	c  io.Closer
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

func (l *kernelLog) read() (list []kmsg.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		rec, err := l.r.Next()
		if err != nil {
			return list
		}
		list = append(list, rec)
	}
}

func (l *kernelLog) close() { l.c.Close() }

// records is what the kernel logged since the load began.
func (j *job) records() []kmsg.Record {
	if j.kernel == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said = append(j.said, j.kernel.read()...)
	return j.said
}

// judgeKernel looks for machine checks and errors of memory in what the kernel
// logged, whoever was under load.
func (j *job) judgeKernel() {
	var found []hwreport.Evidence
	severity := hwreport.Warning
	for _, r := range j.records() {
		hardware := strings.Contains(r.Text, "[Hardware Error]")
		edac := strings.HasPrefix(r.Text, "EDAC ") && (strings.Contains(r.Text, " CE ") || strings.Contains(r.Text, " UE "))
		if r.Facility != 0 || !hardware && !edac {
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
}
