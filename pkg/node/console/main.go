package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/node/supervise/control"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// motdPath is what sshd shows at an interactive login.
const motdPath = "/run/bee/motd"

// Main is the service on a machine. It returns the exit status.
func Main(out io.Writer) int {
	if err := serve(out); err != nil {
		fmt.Fprintf(out, "console: %v\n", err)
		return 1
	}
	return 0
}

func serve(out io.Writer) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	client, err := control.Dial(control.Path)
	if err != nil {
		return err
	}
	defer client.Close()
	root := os.DirFS("/")
	names, err := Active(root)
	if err != nil {
		return err
	}
	var terminals []Terminal
	for _, n := range names {
		t, err := openTTY(n)
		if err != nil {
			fmt.Fprintf(out, "console %s: %v\n", n, err) // the others serve
			continue
		}
		terminals = append(terminals, t)
	}
	if len(terminals) == 0 {
		return errors.New("no console can be opened")
	}
	var owned *control.Console
	defer func() {
		if owned != nil {
			owned.Release()
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return Run(ctx, Config{
		Root:      root,
		Terminals: terminals,
		Services:  client.List,
		Take: func(ctx context.Context) (err error) {
			if owned, err = client.TakeConsole(ctx); err != nil {
				return err
			}
			// PID 1 takes the console back on the way down, or when it must.
			go func() {
				owned.Lost()
				cancel()
			}()
			return nil
		},
		Urgent: func(ctx context.Context, show func(string)) { urgent(ctx, client, show) },
		WriteMotd: func(lines []string) error {
			return writeMotd(motdPath, lines)
		},
		Out:   out,
		Ready: notify.Ready,
	})
}

// urgent follows the events that PID 1 would have shown itself.
func urgent(ctx context.Context, c *control.Client, show func(string)) {
	from := time.Now()
	for ctx.Err() == nil {
		err := c.Events(ctx, "", 1, true, func(e control.Event) error {
			if e.Urgent && e.Time.After(from) {
				show(e.Service + ": " + e.Text)
			}
			return nil
		})
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}
