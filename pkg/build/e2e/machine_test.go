package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
)

const (
	root     = "../../.." // of the checkout
	arch     = "amd64"    // of the tests that do not say another
	mac      = "52:54:00:be:e0:01"
	bootTime = 3 * time.Minute // a boot and what is tried on it; these machines are slow
)

// Lines of the boot log.
var (
	fingerprintLine = regexp.MustCompile(`ssh: host key (SHA256:[A-Za-z0-9+/]{43})`)
	sshdReady       = regexp.MustCompile(`ready +sshd`)
	auditDone       = regexp.MustCompile(`done +audit`)
	passwordLine    = regexp.MustCompile(`log in as bee, password (\S+) \(this boot`)
	settledLine     = regexp.MustCompile(`Enter: a shell`)
)

// lab is what every test of an architecture shares: tools, an image, a kernel.
type lab struct {
	arch    string // default arch
	sandbox *sandbox.Sandbox
	images  string
	accel   string
}

// shared is the lab of arch, sharedARM64 that of arm64. Each is made when the
// first test needs it.
var (
	shared      = sync.OnceValues(func() (*lab, error) { return makeLab(arch) })
	sharedARM64 = sync.OnceValues(func() (*lab, error) { return makeLab("arm64") })
)

// madeFolders are the folders of the labs that were made.
var madeFolders struct {
	sync.Mutex
	list []string
}

// makeLab builds the thin image of an architecture. The tools are this
// machine's.
func makeLab(arch string) (*lab, error) {
	ctx := context.Background()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		return nil, err
	}
	qemu, err := vm.Tools(arch)
	if err != nil {
		return nil, err
	}
	b := lab{arch: arch}
	if b.sandbox, err = sandbox.Open(ctx, l, os.Stderr, runtime.GOARCH, qemu, "tools-test"); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bee-e2e-")
	if err != nil {
		return nil, err
	}
	madeFolders.Lock()
	madeFolders.list = append(madeFolders.list, dir)
	madeFolders.Unlock()
	if err := artifact.Build(ctx, artifact.Config{Root: root, Arch: arch, Manifest: "thin", Out: dir}); err != nil {
		return nil, err
	}
	b.images = artifact.KernelInitrdDir(dir, arch)
	b.accel, _ = vm.Accel(ctx, b.sandbox, arch, filepath.Join(b.images, artifact.KernelFile))
	return &b, nil
}

func TestMain(m *testing.M) {
	status := m.Run()
	for _, dir := range madeFolders.list {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	os.Exit(status)
}

// skip leaves a test out where that was asked for; in CI it cannot be.
func skip(t *testing.T) {
	t.Helper()
	if !testing.Short() {
		return
	}
	if os.Getenv("CI") != "" || os.Getenv("BEE_NO_SKIP") != "" {
		t.Fatal("-short leaves out the end-to-end tests, and CI must not")
	}
	t.Skip("SKIPPED: -short leaves out the end-to-end tests")
}

// machine is one that runs.
type machine struct {
	t       *testing.T
	ctx     context.Context
	lab     *lab
	client  *ssh.Client
	process *vm.Process
	port    int // of SSH on this host; 0: not forwarded
}

// options of a machine.
type options struct {
	params  bootparam.Params // the test's key is added unless noKey
	noKey   bool
	append  string
	nics    []vm.NIC // default: one with user-mode network and SSH forwarded; empty and not nil: none
	disks   []vm.Disk
	smbios  []vm.SMBIOS
	devices []string
	initrds []string // after the image's own
	args    []string // verbatim
	folder  string   // that QEMU sees
	memory  int      // MiB; default 1024

	uefi   vm.UEFI // instead of the platform's own firmware
	fwcfg  []vm.FwCfg
	media  bool           // firmware starts a disk or the network; no kernel is given
	key    *ssh.Client    // whose key is in the image; default: a new one, by parameter
	client func(*machine) // called when the client has its key, before the machine starts; may be nil
}

// boot starts a machine that ends with the test.
func boot(t *testing.T, o options) *machine {
	t.Helper()
	skip(t)
	b, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, b, o)
}

// start starts a machine of a lab.
func start(t *testing.T, b *lab, o options) *machine {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), bootTime, fmt.Errorf("not within %v", bootTime))
	t.Cleanup(cancel)
	m := &machine{t: t, ctx: ctx, lab: b}
	var err error
	if m.client = o.key; m.client == nil {
		if m.client, err = ssh.New(ctx, b.sandbox, t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	if !o.noKey {
		key, err := m.client.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		o.params.SSHKeys = append(o.params.SSHKeys, key)
	}
	if o.client != nil {
		o.client(m)
	}
	forwarded := o.nics == nil
	if forwarded {
		o.nics = []vm.NIC{{MAC: mac, User: &vm.User{Forward: []int{22}, Restrict: true}}}
	}
	described := vm.Machine{
		Name: "e2e", Arch: cmp.Or(b.arch, arch), Accel: b.accel, Memory: cmp.Or(o.memory, 1024), CPUs: 2,
		Kernel:  filepath.Join(b.images, artifact.KernelFile),
		Initrds: append([]string{filepath.Join(b.images, artifact.InitrdFile)}, o.initrds...),
		Append:  strings.TrimSpace("quiet " + bootparam.Render(o.params) + " " + o.append),
		NICs:    o.nics, Disks: o.disks, SMBIOS: o.smbios, Devices: o.devices, Args: o.args, Folder: o.folder, UEFI: o.uefi, FwCfg: o.fwcfg,
	}
	if o.media {
		described.Kernel, described.Initrds, described.Append = "", nil, ""
	}
	// It outlives its time: the one that hung is asked where.
	if m.process, err = vm.Start(context.WithoutCancel(ctx), b.sandbox, described); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the console said last:\n%s", m.process.Console.Tail(60))
			t.Logf("its processors, twice:\n%s", m.processors())
		}
		if err := m.process.Close(); err != nil {
			t.Errorf("end the machine: %v", err)
		}
	})
	if forwarded {
		if m.port, err = m.process.Port(ctx, 22); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// processors tells where the processors are, a second apart: a machine that says nothing
// hangs in its firmware, in the kernel, or halts and waits.
func (m *machine) processors() string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), 10*time.Second)
	defer cancel()
	var said strings.Builder
	for range 2 {
		text, err := m.process.QMP.Monitor(ctx, "info registers -a")
		if err != nil {
			fmt.Fprintf(&said, "%v\n", err)
		}
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "CPU#") || strings.HasPrefix(line, "RIP=") || strings.Contains(line, "PC=") {
				said.WriteString(line)
			}
		}
		time.Sleep(time.Second)
	}
	return said.String()
}

// wait waits for a line on the console.
func (m *machine) wait(re *regexp.Regexp) vm.Match {
	m.t.Helper()
	got, err := m.process.Console.Wait(m.ctx, re)
	if err != nil {
		m.t.Fatalf("wait for %v on the console: %v", re, err)
	}
	return got
}

// trust waits for the SSH server and holds its key against the console's word.
func (m *machine) trust() {
	m.t.Helper()
	print := m.wait(fingerprintLine).Groups[0]
	if _, err := ssh.WaitBanner(m.ctx, m.port); err != nil {
		m.t.Fatal(err)
	}
	if err := m.client.Trust(m.ctx, m.port, print); err != nil {
		m.t.Fatal(err)
	}
}

// as runs a command and returns what it wrote and its exit status.
func (m *machine) as(user, command string, stdin io.Reader) (string, int) {
	m.t.Helper()
	out, err := m.client.Run(m.ctx, user, m.port, command, stdin)
	if err == nil {
		return string(out), 0
	}
	status, ok := ssh.ExitStatus(err)
	if !ok || status == 255 {
		m.t.Fatalf("%s: %v", command, err)
	}
	return string(out) + err.Error(), status
}

// root runs a command that must succeed and returns what it wrote, trimmed.
func (m *machine) root(command string) string {
	m.t.Helper()
	out, status := m.as("root", command, nil)
	if status != 0 {
		m.t.Fatalf("%s: exit status %d: %s", command, status, out)
	}
	return strings.TrimSpace(out)
}

// until asks until the answer is right.
func (m *machine) until(what string, ask func() (string, bool)) string {
	m.t.Helper()
	for {
		answer, ok := ask()
		if ok {
			return answer
		}
		select {
		case <-m.ctx.Done():
			m.t.Fatalf("wait until %s: %v; last: %s", what, context.Cause(m.ctx), answer)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// ssh runs a tool of OpenSSH with the client's key; {} in an argument stands for
// the folder of the client.
func (m *machine) tool(args ...string) (string, error) {
	m.t.Helper()
	var out strings.Builder
	cmd, err := m.lab.sandbox.Command(m.ctx, sandbox.Step{
		Args: args, Ro: []sandbox.Bind{{Host: m.client.Dir, Path: "/ssh"}}, Network: true, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	err = cmd.Run()
	return out.String(), err
}

// ended waits until QEMU is gone.
func (m *machine) ended(within time.Duration) error {
	select {
	case <-m.process.Ended():
		return nil
	case <-time.After(within):
		return errors.New("the machine still runs")
	}
}
