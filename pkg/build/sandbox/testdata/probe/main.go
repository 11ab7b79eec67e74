// Probe is what the sandbox's tests run inside it: each word of its first
// argument asks one question about the world inside.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := probe(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func probe(what string, args []string) error {
	switch what {
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "ls": // every path below, with its type
		return filepath.WalkDir(args[0], func(path string, e os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info() // the entry's own type is that of what lies below a mount
			if err != nil {
				return err
			}
			fmt.Println(info.Mode().Type().String(), path)
			if path == "/proc" || path == "/usr" {
				return filepath.SkipDir
			}
			return nil
		})
	case "read":
		b, err := os.ReadFile(args[0])
		fmt.Print(string(b))
		return err
	case "write":
		return os.WriteFile(args[0], []byte("written\n"), 0o644)
	case "fd": // write to an inherited descriptor
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		_, err = os.NewFile(uintptr(n), "fd").WriteString("through " + args[0])
		return err
	case "net":
		list, err := net.Interfaces()
		for _, i := range list {
			fmt.Println(i.Name, i.Flags&net.FlagUp != 0)
		}
		return err
	case "dial":
		c, err := net.DialTimeout("tcp", args[0], 5*time.Second)
		if err == nil {
			err = c.Close()
		}
		return err
	case "remount":
		return syscall.Mount("", args[0], "", syscall.MS_REMOUNT|syscall.MS_BIND, "")
	case "mknod":
		return syscall.Mknod(args[0], syscall.S_IFCHR|0o666, 1<<8|5)
	case "status": // fields of /proc/self/status
		b, err := os.ReadFile("/proc/self/status")
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, args[0]) {
				fmt.Print(line)
			}
		}
		return err
	case "pids":
		list, err := filepath.Glob("/proc/[0-9]*")
		sort.Strings(list)
		fmt.Println(strings.Join(list, " "))
		return err
	case "exit":
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		os.Exit(n)
	case "kill": // itself
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		if err := syscall.Kill(os.Getpid(), syscall.Signal(n)); err != nil {
			return err
		}
		select {}
	case "term": // say ready, then what signal came
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("ready")
		fmt.Println("got", <-c)
	case "family": // a grandchild that ignores TERM and holds standard output open
		cmd := exec.Command("/proc/self/exe", "deaf")
		cmd.Stdout = os.Stdout
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		if len(args) > 0 {
			return nil // orphan it
		}
		return cmd.Wait()
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
		fmt.Println("deaf")
		select {
		case <-time.After(time.Hour):
		}
	default:
		return fmt.Errorf("unknown question %q", what)
	}
	return nil
}
