package smoke

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// limit bounds the whole test.
const limit = 20 * time.Second

// Main is the command smoketest. It returns the exit status.
func Main(args []string, stdout, stderr io.Writer) int {
	asJSON := false
	switch {
	case len(args) == 0:
	case len(args) == 1 && args[0] == "--json":
		asJSON = true
	default:
		fmt.Fprint(stderr, "usage: smoketest [--json]\n\nOne line a check: ok, note, FAIL. The exit status is 1 when a required one fails.\n")
		return 2
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	status, err := Write(stdout, Run(ctx, Node{Root: os.DirFS("/"), Services: services, SSH: "127.0.0.1:22"}), asJSON)
	if err != nil {
		fmt.Fprintf(stderr, "smoketest: %v\n", err)
		return 1
	}
	return status
}

func services(ctx context.Context) ([]control.Status, error) {
	c, err := control.Dial(control.Path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.List(ctx)
}
