package powerkey

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// askPatience bounds how long PID 1 may take to begin.
const askPatience = 10 * time.Second

// Main is the service on a machine. It returns the exit status.
func Main(out io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	first := true
	s := Service{
		Root: os.DirFS("/"), Open: open, Pressed: powerOff, Out: out,
		Ready: func(text string) {
			if first {
				notify.Ready()
				first = false
			}
			notify.Status(text)
		},
	}
	if err := s.Run(ctx); err != nil {
		fmt.Fprintf(out, "powerkey: %v\n", err)
		return 1
	}
	return 0
}

// open opens an input device so that a read ends when ctx does.
func open(ctx context.Context, device string) (io.ReadCloser, error) {
	f, err := os.OpenFile("/"+device, os.O_RDONLY|syscall.O_NONBLOCK, 0) // for the poller
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { f.Close() })
	return f, nil
}

func powerOff(device string) error {
	ctx, cancel := context.WithTimeout(context.Background(), askPatience)
	defer cancel()
	c, err := control.Dial(control.Path)
	if err != nil {
		return err
	}
	return c.Shutdown(ctx, control.Poweroff, "the power button was pressed ("+device+")")
}
