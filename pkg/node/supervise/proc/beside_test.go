package proc

import (
	"os"
	"testing"

	"github.com/bee-os/bee/pkg/node/supervise"
)

// TestProceedEndsStandardInput starts two that begin beside others: each goes on when it
// is told, the second holds nothing of the first. No descriptor is left over.
func TestProceedEndsStandardInput(t *testing.T) {
	inNamespaces(t, func(t *testing.T) {
		b := newBench(t)
		_, warm := b.start(t, "exit:0") // the log's pipe stays
		receive(t, "exit", warm)
		before := descriptors(t)
		var list []supervise.Running
		var ends []<-chan supervise.Exit
		for range 2 {
			ended := make(chan supervise.Exit, 1)
			s := &supervise.Service{Name: "thing", Command: []string{"/proc/self/exe"}, Env: []string{roleEnv + "=reader"}, Beside: []string{"other"}}
			p, err := b.Start(s, b.log, supervise.Handler{Exit: func(x supervise.Exit) { ended <- x }})
			if err != nil {
				t.Fatal(err)
			}
			list, ends = append(list, p), append(ends, ended)
		}
		eventually(t, "both wait", func() bool { return b.said("waits") == 2 })
		for i, p := range list {
			p.Proceed()
			if x := receive(t, "exit", ends[i]); x != (supervise.Exit{}) {
				t.Errorf("process %d: %+v", i, x)
			}
			p.Proceed() // again, when there is nothing left to close
		}
		// One that ends by itself leaves nothing either, nor one that cannot be started.
		ended := make(chan supervise.Exit, 1)
		s := &supervise.Service{Name: "thing", Command: []string{"/proc/self/exe"}, Env: []string{roleEnv + "=exit:3"}, Beside: []string{"other"}}
		if _, err := b.Start(s, b.log, supervise.Handler{Exit: func(x supervise.Exit) { ended <- x }}); err != nil {
			t.Fatal(err)
		}
		receive(t, "exit", ended)
		s.Command = []string{"/no/such"}
		if _, err := b.Start(s, b.log, supervise.Handler{}); err == nil {
			t.Error("a program that is not there was started")
		}
		eventually(t, "no descriptor is left over", func() bool { return descriptors(t) == before })
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
