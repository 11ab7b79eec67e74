package sshserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/console"
	"github.com/bee-os/bee/pkg/node/supervise/notify"
)

// SetupMain is the command sshsetup: Setup below "/", told to stderr (which
// the supervisor logs). The console is sshd's to tell, when somebody can log in.
// Status 1 means that sshd lets nobody in yet.
func SetupMain(stderr io.Writer) int {
	res, err := setupMain("/", "/proc/cmdline")
	for _, w := range res.Warnings {
		fmt.Fprintln(stderr, w)
	}
	if err != nil {
		fmt.Fprintln(stderr, "sshsetup:", err)
		return 1
	}
	io.WriteString(stderr, res.LogText())
	return 0
}

func setupMain(dir, cmdlinePath string) (Result, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return Result{}, fmt.Errorf("open root: %w", err)
	}
	defer root.Close()
	cmdline, err := os.ReadFile(cmdlinePath)
	params, _ := bootparam.Parse(string(cmdline)) // PID 1 shows its warnings
	res, serr := Setup(root, params)
	if err != nil {
		res.Warnings = append(res.Warnings, fmt.Sprintf("kernel parameters ignored: %v", err))
	}
	return res, serr
}

// TellConsole shows text on every console of the machine: an operator may sit at
// any, and /dev/console is only the last of them. One that takes no bytes (flow
// control) is waited for no longer than a second.
func TellConsole(text string) error {
	names, err := console.Active(os.DirFS("/"))
	if err != nil {
		return errors.Join(err, toConsole("/dev/console", text))
	}
	var wg sync.WaitGroup
	errs := make([]error, len(names))
	for i, name := range names {
		wg.Go(func() { errs[i] = toConsole("/dev/"+name, text) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// toConsole writes to a terminal that may be stopped by flow control: it waits
// no longer than a second.
func toConsole(device, text string) error {
	done := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(device, os.O_WRONLY|unix.O_NOCTTY, 0)
		if err != nil {
			done <- err
			return
		}
		_, err = f.WriteString(text)
		done <- errors.Join(err, f.Close())
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("write to console: %w", err)
		}
		return nil
	case <-time.After(time.Second):
		return fmt.Errorf("write to console: %s takes no bytes", device)
	}
}

// ServerMain is the command sshd: it serves on address (":22") until TERM.
func ServerMain(args []string, stderr io.Writer) int {
	logger := log.New(stderr, "", 0) // the supervisor adds time and name
	address := ":22"
	if len(args) == 1 {
		address = args[0]
	}
	if len(args) > 1 {
		logger.Print("usage: sshd [ADDRESS:PORT]")
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	unix.Umask(0o022) // of the sessions
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		logger.Printf("keep descriptors from sessions: %v", err) // the supervisor's pipe
	}
	// First of all: a machine that answers is one that an operator can tell from a
	// dead one.
	l, err := Listen(ctx, address)
	if err != nil {
		logger.Printf("listen for SSH: %v", err)
		return 1
	}
	r := Receive(l, DefaultLimits(), logger)
	defer r.Close()
	root, err := os.OpenRoot("/")
	if err != nil {
		logger.Printf("open root: %v", err)
		return 1
	}
	defer root.Close()
	notify.Status("greets, and waits for sshsetup to say who may log in")
	if err := awaitSetup(ctx, "/"); err != nil {
		logger.Print(err)
		return 1
	}
	s, made, err := Load(root)
	if err != nil {
		logger.Print(err)
		return 1
	}
	res, err := settled(root.FS(), s)
	if err != nil {
		logger.Print(err) // whoever has a key may log in all the same
	}
	s.Log = logger
	s.SFTP = []string{"/bin/sftp-server"}
	s.Starter = &HostStarter{Cgroups: SessionCgroups, Log: logger}
	// Until here it went before the rest of the boot: whoever knocks is greeted at
	// once. Sessions have the priority of everything else.
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, 0); err != nil {
		logger.Printf("lower the priority: %v", err)
	}
	notify.Status(fingerprintOf(s.HostKey))
	notify.Ready()
	runtime.GOMAXPROCS(runtime.NumCPU()) // PID 1 had it begin with one; sessions want them all
	if made {
		go tellOperators(res.ConsoleText(), s.HostKey, logger)
	}
	if err := s.Serve(ctx, r); err != nil {
		logger.Print(err)
		return 1
	}
	return 0
}

// tellOperators tells the console how to log in, and log and console the
// fingerprint of a new host key.
func tellOperators(how string, key gossh.Signer, logger *log.Logger) {
	text := "ssh: host key " + fingerprintOf(key)
	logger.Print(text)
	if err := TellConsole(how + text + "\n"); err != nil {
		logger.Print(err) // the console's screen shows it again
	}
}

// SFTPMain is the command sftp-server, which sshd starts as the session's user.
func SFTPMain(stdin io.Reader, stdout io.WriteCloser, stderr io.Writer) int {
	if err := ServeSFTP(stdin, stdout); err != nil {
		fmt.Fprintln(stderr, "sftp-server:", err)
		return 1
	}
	return 0
}
