package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/u-root/mkuimage/cpio"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
)

// TestNoNIC boots a machine without any network card: the boot settles, the SSH
// server runs, and the console gives a shell.
func TestNoNIC(t *testing.T) {
	m := boot(t, options{nics: []vm.NIC{}})
	m.wait(sshdReady)
	m.wait(auditDone)
	m.wait(settledLine)
	if err := m.process.Console.Send("\n"); err != nil {
		t.Fatal(err)
	}
	m.wait(regexp.MustCompile(`root@\S+:~#`))
	if err := m.process.Console.Send("smoketest; echo status=$?\n"); err != nil {
		t.Fatal(err)
	}
	if got := m.wait(regexp.MustCompile(`status=(\d+)`)); got.Groups[0] != "0" {
		t.Errorf("smoketest without a network card: %s", m.process.Console.Tail(30))
	}
	if err := m.process.Console.Send("exit\n"); err != nil {
		t.Fatal(err)
	}
}

// TestPassword boots without any key: a password is on the console and lets bee
// in, not root; a wrong one lets nobody in.
func TestPassword(t *testing.T) {
	m := boot(t, options{noKey: true})
	password := m.wait(passwordLine).Groups[0]
	m.trust()
	try := m.password
	if out, err := try("bee", password+"x"); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("a wrong password: %q, %v", out, err)
	}
	if out, err := try("bee", password); err != nil || out != "1000" {
		t.Errorf("the password: %q, %v", out, err)
	}
	if out, err := try("root", password); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("root with the password: %q, %v", out, err)
	}
	if out, err := try("bee", password); err != nil || out != "1000" {
		t.Errorf("the password again: %q, %v", out, err)
	}
	if _, err := m.client.Run(m.ctx, "bee", m.port, "id", nil); err == nil {
		t.Error("a key that nobody named let bee in")
	}
}

// password logs in by password and asks who it is.
func (m *machine) password(user, password string) (string, error) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.client.Dir, "password"), []byte(password+"\n"), 0o600); err != nil {
		m.t.Fatal(err)
	}
	// The client asks a program for the password: busybox, under a name
	// that makes it print the file.
	if err := os.WriteFile(filepath.Join(m.client.Dir, "ask"), []byte("#!/usr/bin/busybox sh\nexec /usr/bin/busybox cat /ssh/password\n"), 0o700); err != nil {
		m.t.Fatal(err)
	}
	var out strings.Builder
	cmd, err := m.lab.sandbox.Command(m.ctx, sandbox.Step{
		Args: []string{"ssh", "-F", "none", "-o", "UserKnownHostsFile=/ssh/known_hosts", "-o", "StrictHostKeyChecking=yes", "-o", "PreferredAuthentications=password",
			"-o", "NumberOfPasswordPrompts=1", "-o", "LogLevel=ERROR", "-p", strconv.Itoa(m.port), user + "@127.0.0.1", "id -u"},
		Env: []string{"SSH_ASKPASS=/ssh/ask", "SSH_ASKPASS_REQUIRE=force", "DISPLAY=none"},
		Ro:  []sandbox.Bind{{Host: m.client.Dir, Path: "/ssh"}}, Network: true, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	err = cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// TestCorruptModule spoils one module: it is named, everything else works.
func TestCorruptModule(t *testing.T) {
	skip(t)
	b, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(b.images, artifact.BOMFile))
	if err != nil {
		t.Fatal(err)
	}
	list, err := bom.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	const name = "i6300esb" // a watchdog: QEMU has it, nothing needs it
	var path string
	for _, mod := range list.Modules {
		if mod.Name == name {
			path = mod.Path
		}
	}
	if path == "" {
		t.Fatalf("the image has no %s", name)
	}
	image := filepath.Join(t.TempDir(), "spoil.img")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	w := cpio.Newc.Writer(f)
	if err := cpio.WriteRecordsAndDirs(w, []cpio.Record{cpio.StaticFile("lib/modules/"+list.Kernel+"/"+path, "this is no module", 0o644)}); err != nil {
		t.Fatal(err)
	}
	if err := cpio.WriteTrailer(w); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m := boot(t, options{initrds: []string{image}, devices: []string{name}})
	m.trust()
	m.wait(auditDone)
	out, status := m.as("root", "smoketest", nil)
	if status != 1 || !strings.Contains(out, "FAIL modules") || !strings.Contains(out, name) || !strings.Contains(out, "ok   network") || !strings.Contains(out, "ok   audit") {
		t.Errorf("smoketest: status %d\n%s", status, out)
	}
	if out := m.root("cat /var/log/bee-audit.json"); !strings.Contains(out, "drivers.module-failed@"+name) {
		t.Error("the audit does not name the module")
	}
	if s := m.service("coldplug"); s.State != "degraded" {
		t.Errorf("coldplug: %+v", s)
	}
	if _, err := m.client.Run(m.ctx, "root", m.port, "true", nil); err != nil {
		if status, _ := ssh.ExitStatus(err); status != 0 {
			t.Error(err)
		}
	}
}

// TestPowerButton presses the machine's power button, as a BMC does for its
// operator: the machine stops what runs and powers off.
func TestPowerButton(t *testing.T) {
	m := boot(t, options{})
	m.trust()
	m.until("somebody listens to the button", func() (string, bool) {
		out, _ := m.as("root", "svc status powerkey", nil)
		return out, regexp.MustCompile(`says +[1-9]\d* power buttons`).MatchString(out)
	})
	if err := m.process.QMP.Powerdown(m.ctx); err != nil {
		t.Fatal(err)
	}
	m.wait(regexp.MustCompile(`the power button was pressed \(dev/input/event\d+\)`))
	if err := m.ended(time.Minute); err != nil {
		t.Error(err)
	}
}
