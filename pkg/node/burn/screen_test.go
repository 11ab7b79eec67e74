package burn

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/bee-os/bee/pkg/hwreport"
)

// TestTableOnTerminal: the table is shown over itself, cut to the width, and
// makes room for the summary.
func TestTableOnTerminal(t *testing.T) {
	master, tty, err := pty.Open()
	if err != nil {
		skip(t, "no terminal can be made: %v", err)
	}
	defer master.Close()
	if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 60}); err != nil {
		t.Fatal(err)
	}
	j := &job{options: options{time: time.Minute}, started: time.Now()}
	for _, name := range []string{"0000:3b:00.0 H100 80GB HBM3", "0000:5e:00.0 H100 80GB HBM3"} {
		p := j.add(hwreport.BurnPart{Kind: "gpu", Name: name})
		p.now = now{test: "bf16", rate: 612e12, unit: "FLOP/s", temp: hwreport.Value[int64](71), power: hwreport.Value[int64](698500)}
	}
	stop := j.show(tty)
	time.Sleep(2*refresh + refresh/2)
	stop()
	tty.Close()
	out, _ := io.ReadAll(master)
	text := string(out)
	if n := strings.Count(text, "0000:5e:00.0"); n != 2 {
		t.Errorf("the line of a GPU is shown %d times in two refreshes", n)
	}
	if strings.Count(text, "\x1b[3A") != 2 || !strings.HasSuffix(text, "\x1b[3A\x1b[J") {
		t.Errorf("%q", text)
	}
	for line := range strings.SplitSeq(text, "\x1b[K") {
		if n := len([]rune(strings.TrimLeft(line, "\r\n\x1b[3A"))); n > 60 {
			t.Errorf("a line of %d columns: %q", n, line)
		}
	}
}

func TestTable(t *testing.T) {
	j := &job{options: options{time: time.Minute}, started: time.Now()}
	p := j.add(hwreport.BurnPart{Kind: "gpu", Name: "0000:3b:00.0 H100"})
	p.now = now{test: "bf16", rate: 612e12, unit: "FLOP/s", errors: 3, temp: hwreport.Value[int64](71), power: hwreport.Value[int64](698500), clock: hwreport.Value[int64](1755)}
	line := j.table()[1]
	for _, want := range []string{"gpu", "0000:3b:00.0 H100", "bf16", "612.0 TFLOP/s", "3 errors", "71 °C", "698 W", "1755 MHz"} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %q", want, line)
		}
	}
	stop := j.show(os.Stderr) // ends at once, whatever it is
	stop()
}
