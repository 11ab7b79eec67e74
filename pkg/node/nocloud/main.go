package nocloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/modload"
	"github.com/bee-os/bee/pkg/node/nocloud/seedstate"
	"github.com/bee-os/bee/pkg/node/sshserver"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// notHere is why a seed is not looked for.
const notHere = "not a virtual machine: what its disks hold is believed with bee.nocloud=on only"

// Main is the service on a machine. It returns the exit status.
func Main(out io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, out); err != nil {
		fmt.Fprintf(out, "nocloud: %v\n", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, out io.Writer) error {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return fmt.Errorf("read kernel parameters: %w", err)
	}
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 tells the warnings
	root := os.DirFS("/")
	if params.NoCloud == "off" { // started by hand
		notify.Skipped("bee.nocloud=off")
		return nil
	}
	if params.NoCloud == "" && !virtual(root) {
		fmt.Fprintln(out, notHere)
		notify.Skipped(notHere)
		return nil
	}
	if networkHint(string(cmdline), text(root, "sys/class/dmi/id/product_serial")) {
		fmt.Fprintln(out, "ds=nocloud is not honoured: nothing is fetched at boot; put the seed onto a volume labelled "+label)
	}
	// What appears during the first look must not be missed.
	socket, err := modload.Listen()
	if err != nil {
		return err
	}
	events := make(chan string)
	go watch(socket, events, out)
	s := &Service{
		Root: root, Open: openDevice, Events: events, Out: out,
		Take:  func(seed Seed) (string, error) { return take(seed, out) },
		Tell:  func(st seedstate.State) error { return st.Write("/") },
		Ready: notify.Ready, Status: notify.Status, Sorry: notify.Degraded, Skip: notify.Skipped,
	}
	return s.Run(ctx)
}

// watch passes on which block devices come and change. It ends with the program.
func watch(socket interface {
	Next() (modload.Uevent, error)
}, events chan<- string, out io.Writer) {
	for {
		u, err := socket.Next()
		switch {
		case errors.Is(err, modload.ErrOverrun):
			events <- ""
		case err != nil:
			fmt.Fprintf(out, "%v: a volume that appears from now on is not seen\n", err)
			return
		case u.Action == "add" || u.Action == "change":
			if name := blockDevice(u.Path); name != "" {
				events <- name
			}
		}
	}
}

// take puts a seed's keys into force; the host name is netup's.
func take(seed Seed, out io.Writer) (string, error) {
	if len(seed.Keys) == 0 {
		return "no SSH key", nil
	}
	root, err := os.OpenRoot("/")
	if err != nil {
		return "", fmt.Errorf("open root: %w", err)
	}
	defer root.Close()
	off, err := sshserver.AddKeys(root, seed.Keys)
	if err != nil {
		return "", err
	}
	words := fmt.Sprintf("%d SSH keys for bee and root", len(seed.Keys))
	if len(seed.Keys) == 1 {
		words = "1 SSH key for bee and root"
	}
	if off {
		words += ", and the random password is off"
	}
	if err := sshserver.TellConsole("ssh: NoCloud seed: " + words + "\n"); err != nil {
		fmt.Fprintln(out, err) // the keys are in force all the same
	}
	return words, nil
}
