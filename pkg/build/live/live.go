// Package live is `mage run`: it builds the image, boots it in QEMU from the
// pinned packages, logs in with the pinned OpenSSH client, and shows what the
// audit found.
package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
	"github.com/bee-os/bee/pkg/hwreport"
)

// Limits of the steps.
const (
	bootLimit  = 2 * time.Minute
	auditLimit = 2 * time.Minute
	downLimit  = 40 * time.Second
)

// fingerprintLine is what sshd says on the console.
var fingerprintLine = regexp.MustCompile(`ssh: host key (SHA256:[A-Za-z0-9+/]{43})`)

// Run builds, boots and shows. With BEE_RUN=once it powers the machine off
// after the summary and fails unless SSH and audit were good; else it keeps
// the machine until it is interrupted or powers itself off. BEE_APPEND adds
// kernel parameters.
func Run(ctx context.Context, getenv func(string) string, out io.Writer) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	once := false
	switch v := getenv("BEE_RUN"); v {
	case "":
	case "once":
		once = true
	default:
		return fmt.Errorf("read BEE_RUN: %q is unknown; once is all it can be", v)
	}
	c, err := artifact.Load(".", getenv)
	if err != nil {
		return err
	}
	c.Families = artifact.Default
	if err := artifact.Build(ctx, c); err != nil {
		return err
	}
	arch := c.Arch
	l, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return err
	}
	qemu, err := vm.Tools(arch)
	if err != nil {
		return err
	}
	s, err := sandbox.Open(ctx, l, os.Stderr, runtime.GOARCH, qemu, "tools-test")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bee-run-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // a key that opens nothing any more
	r := run{sandbox: s, dir: dir, images: artifact.KernelInitrdDir("images", arch), arch: arch, append: getenv("BEE_APPEND"), out: out}
	if r.client, err = ssh.New(ctx, s, dir); err != nil {
		return err
	}
	return r.machine(ctx, once)
}

// run is one run of the machine.
type run struct {
	sandbox *sandbox.Sandbox
	client  *ssh.Client
	dir     string // private
	images  string
	arch    string
	append  string
	out     io.Writer
}

// say tells what happens now.
func (r *run) say(format string, args ...any) { fmt.Fprintf(r.out, "bee: "+format+"\n", args...) }

func (r *run) machine(ctx context.Context, once bool) (err error) {
	m, err := r.define(ctx)
	if err != nil {
		return err
	}
	r.say("boot %s (%s, %d CPUs, %d MiB)", m.Kernel, m.Accel, m.CPUs, m.Memory)
	// The machine outlives an interrupt, so that it can be shut down in order.
	mctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	p, err := vm.Start(mctx, r.sandbox, m)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	port, err := r.login(ctx, p)
	if err != nil {
		return fmt.Errorf("%w\nthe console said last:\n%s", err, p.Console.Tail(30))
	}
	report, err := r.audit(ctx, port)
	if err != nil {
		return fmt.Errorf("%w\nthe console said last:\n%s", err, p.Console.Tail(30))
	}
	fmt.Fprintln(r.out)
	for _, line := range hwreport.Summary(report, 100) {
		fmt.Fprintln(r.out, line)
	}
	r.tellLogin(port)
	if !once {
		r.say("the machine runs; Ctrl-C shuts it down")
		select {
		case <-ctx.Done():
		case <-p.Ended():
			return p.Wait(mctx)
		}
	}
	if err := r.down(mctx, p, port); err != nil {
		return err
	}
	return judge(report)
}

// define is the machine: small, with parts that the audit can name.
func (r *run) define(ctx context.Context) (vm.Machine, error) {
	key, err := r.client.PublicKey()
	if err != nil {
		return vm.Machine{}, err
	}
	disk := filepath.Join(r.dir, "disk.img")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		return vm.Machine{}, err
	}
	if err := os.Truncate(disk, 1<<30); err != nil { // sparse
		return vm.Machine{}, err
	}
	params := bootparam.Render(bootparam.Params{SSHKeys: []string{key}})
	if r.append != "" {
		params += " " + r.append
	}
	kernel := filepath.Join(r.images, artifact.KernelFile)
	accel, why := vm.Accel(ctx, r.sandbox, r.arch, kernel)
	if why != "" {
		r.say("%s: %s", accel, why)
	}
	return vm.Machine{
		Name: "bee", Arch: r.arch, Accel: accel, Memory: 1024, CPUs: 2,
		Kernel: kernel, Initrds: []string{filepath.Join(r.images, artifact.InitrdFile)},
		Append: "quiet " + params,
		NICs:   []vm.NIC{{User: &vm.User{Forward: []int{22}, Restrict: true}}},
		Disks:  []vm.Disk{{File: disk, Serial: "BEE-DISK-1"}},
		SMBIOS: []vm.SMBIOS{
			{Type: 1, Fields: map[string]string{"manufacturer": "bee", "product": "mage run", "serial": "BEE-0001"}},
			{Type: 17, Fields: map[string]string{"loc_pfx": "DIMM", "manufacturer": "QEMU", "serial": "BEE-RAM-1", "part": "BEE-1G", "speed": "3200"}},
		},
	}, nil
}

// login waits for the SSH server, holds its host key against the console's
// word, and returns the port on this host.
func (r *run) login(ctx context.Context, p *vm.Process) (int, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("not within %v", bootLimit))
	defer cancel()
	port, err := p.Port(ctx, 22)
	if err != nil {
		return 0, err
	}
	at, err := ssh.WaitBanner(ctx, port)
	if err != nil {
		return 0, err
	}
	r.say("SSH answers %.1f s after the start of QEMU", at.Sub(p.Started).Seconds())
	m, err := p.Console.Wait(ctx, fingerprintLine)
	if err != nil {
		return 0, fmt.Errorf("wait for the host key's fingerprint on the console: %w", err)
	}
	return port, r.client.Trust(ctx, port, m.Groups[0])
}

// audit waits for the report and reads it, as an operator would.
func (r *run) audit(ctx context.Context, port int) (*hwreport.Report, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, auditLimit, fmt.Errorf("no report within %v", auditLimit))
	defer cancel()
	const file = "/" + hwreport.Path
	// The file grows while sections finish: it is whole when it says so.
	text, err := r.client.Run(ctx, "root", port, "while ! grep -q '\"complete\": true' "+file+" 2> /dev/null; do sleep 0.1; done; cat "+file, nil)
	if err != nil {
		return nil, fmt.Errorf("read the audit over SSH: %w", errors.Join(err, context.Cause(ctx)))
	}
	return hwreport.Decode(bytes.TrimSpace(text))
}

// judge is what BEE_RUN=once tells by its exit status.
func judge(r *hwreport.Report) error {
	for _, c := range r.Collectors() {
		if c.Status != hwreport.OK {
			return fmt.Errorf("judge the audit: collector %s: %s %s", c.Name, c.Status, c.Error)
		}
	}
	if r.Verdict == hwreport.Broken {
		return errors.New("judge the audit: it found failures")
	}
	return nil
}

// tellLogin shows how to get in while the machine runs.
func (r *run) tellLogin(port int) {
	fmt.Fprintf(r.out, "\nlog in       ssh -i %[1]s/key -o UserKnownHostsFile=%[1]s/known_hosts -p %[2]d bee@127.0.0.1\n", r.dir, port)
	fmt.Fprintf(r.out, "the report   …  cat /%s\n\n", hwreport.Path)
}

// down asks the machine to power off and waits until it did.
func (r *run) down(ctx context.Context, p *vm.Process, port int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, downLimit, fmt.Errorf("not within %v", downLimit))
	defer cancel()
	for asked := false; !asked; {
		_, err := r.client.Run(ctx, "root", port, "svc shutdown poweroff", nil)
		if err == nil {
			break
		}
		if status, ok := ssh.ExitStatus(err); !ok || status != 255 {
			return fmt.Errorf("shut the machine down: %w", err)
		}
		// The connection ended: with the machine, or because the server takes no
		// more of them for a while.
		select {
		case <-p.Ended():
			asked = true
		case <-time.After(time.Second):
			r.say("shut down: %v; asking again", err)
		case <-ctx.Done():
			return fmt.Errorf("shut the machine down: %w", err)
		}
	}
	if err := p.Wait(ctx); err != nil {
		return fmt.Errorf("wait for the machine to power off: %w\nthe console said last:\n%s", err, p.Console.Tail(20))
	}
	r.say("powered off")
	return nil
}
