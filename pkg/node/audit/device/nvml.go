package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/compat"
)

// NVML runs nvmlreport, bee's own program in the compat root that asks the
// library of NVIDIA's driver. It takes no arguments: Request is empty. The
// answer is what it wrote, a hwreport.NVML.
const NVML Kind = "nvml"

// nvmlProgram is its name in the compat root.
const nvmlProgram = "nvmlreport"

// nvmlPatience is the least that it is waited for: with no persistence mode the
// driver starts each GPU anew, and eight take seconds.
const nvmlPatience = 10 * time.Second

// NVMLReport makes the question. Reply is the most that an answer may have,
// bytes.
func NVMLReport(reply int) Question {
	return Question{Device: compat.Bin + "/" + nvmlProgram, Kind: NVML, Reply: reply}
}

func askNVML(q Question, patience time.Duration) ([]byte, error) {
	if q.Device != compat.Bin+"/"+nvmlProgram || len(q.Request) > 0 {
		return nil, fmt.Errorf("%s %q is no command that is let through", q.Device, q.Request)
	}
	argv, err := compat.Args(os.DirFS("/"), nvmlProgram)
	if err != nil {
		return nil, err
	}
	return runWhole(nvmlProgram, argv, q.Reply, patience)
}

// runWhole runs a program that has to end well and to say all it has to say: a
// signal, a status or an answer that is too long spoils it.
func runWhole(name string, argv []string, most int, patience time.Duration) ([]byte, error) {
	out, complained, err := execute(argv, most+1, patience)
	switch {
	case errors.Is(err, ErrTimeout):
		return nil, fmt.Errorf("%s does not end: %w", name, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s does not start: %s is gone", name, argv[0])
	case err != nil:
		return nil, fmt.Errorf("%s did not end well: %w%s", name, err, said(complained))
	case len(out) > most:
		return nil, fmt.Errorf("%s wrote more than %d bytes", name, most)
	}
	return out, nil
}

// said is the first line that a program complained with, behind a colon. Of a
// crash in a library it is the signal; all the stacks come after it.
func said(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(strings.ToValidUTF8(string(text), "?")), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return ""
	}
	return ": " + line
}
