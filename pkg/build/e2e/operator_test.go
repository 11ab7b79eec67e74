package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
	"github.com/bee-os/bee/pkg/hwreport"
)

// TestOperator is one machine from boot to power-off: what it reports, who may
// log in, and what it survives.
func TestOperator(t *testing.T) {
	skip(t)
	disk := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(disk, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	m := boot(t, options{
		disks: []vm.Disk{{File: disk, Serial: "E2E-DISK-7"}},
		smbios: []vm.SMBIOS{
			{Type: 1, Fields: map[string]string{"manufacturer": "Acme", "product": "Rocket", "serial": "SN-42"}},
			{Type: 17, Fields: map[string]string{"loc_pfx": "DIMM", "manufacturer": "RamCo", "serial": "R-1", "part": "P-1"}},
		},
	})
	m.trust()
	m.wait(auditDone)
	for _, c := range []struct {
		name string
		f    func(*testing.T, *machine)
	}{
		{"report", testReport}, {"ahead", testAhead}, {"order", testOrder}, {"sessions", testSessions}, {"files", testFiles}, {"forwarding", testForwarding}, {"strangers", testStrangers},
		{"smoketest", testSmoke}, {"processors", testProcessors}, {"killed services come back", testKilled}, {"nothing is left of a stopped service", testStop},
		{"a collector that hangs", testHang}, {"garbage", testGarbage}, {"ssh-audit", testSSHAudit}, {"shutdown", testShutdown},
	} {
		t.Run(c.name, func(t *testing.T) {
			sub := *m
			sub.t = t
			c.f(t, &sub)
		})
	}
}

// testReport holds the report against what QEMU was given.
func testReport(t *testing.T, m *machine) {
	r, err := hwreport.Decode([]byte(m.root("cat /var/log/bee-audit.json")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Collectors() {
		if c.Status != hwreport.OK {
			t.Errorf("collector %s: %s %s", c.Name, c.Status, c.Error)
		}
	}
	sys := r.Board.Data.System
	for what, is := range map[string]bool{
		"manufacturer": sys.Manufacturer.Or("") == "Acme",
		"product":      sys.Product.Or("") == "Rocket",
		"serial":       sys.Serial.Or("") == "SN-42",
		"threads":      r.CPU.Data.Threads.Or(0) == 2,
		"installed":    r.Memory.Data.Installed.Or(0) == 1<<30,
	} {
		if !is {
			t.Errorf("%s is not what QEMU was given: %+v", what, r.Board.Data.System)
		}
	}
	if d := r.Memory.Data.Modules.Or(nil); len(d) != 1 || d[0].Bytes.Or(0) != 1<<30 || d[0].Manufacturer.Or("") != "RamCo" || d[0].Serial.Or("") != "R-1" {
		t.Errorf("memory modules: %+v", d)
	}
	if d := r.Storage.Data.Disks.Or(nil); len(d) != 1 || d[0].Serial.Or("") != "E2E-DISK-7" || d[0].Bytes.Or(0) != 1<<20 {
		t.Errorf("disks: %+v", d)
	}
	if n := r.Network.Data.Interfaces.Or(nil); len(n) != 1 || n[0].MAC.Or("") != mac || n[0].Driver.Or("") != "virtio_net" {
		t.Errorf("interfaces: %+v", n)
	}
	if mode := m.root("stat -c %a /var/log/bee-audit.json 2>/dev/null || ls -l /var/log/bee-audit.json"); !strings.Contains(mode, "644") && !strings.Contains(mode, "-rw-r--r--") {
		t.Errorf("mode of the report: %s", mode)
	}
}

// testSessions is what operators do with a shell.
func testSessions(t *testing.T, m *machine) {
	if out := m.root("id -u; hostname"); out != "0\nbee-"+strings.ReplaceAll(mac, ":", "") {
		t.Errorf("root is %q", out)
	}
	if out, status := m.as("bee", "id -u; sudo id -u; exit 7", nil); status != 7 || !strings.HasPrefix(out, "1000\n0\n") {
		t.Errorf("bee: status %d, %q", status, out)
	}
	if out, status := m.as("root", "sh -s one two", strings.NewReader("x=$((6*7))\necho $x $2 $#\nfalse\nexit 3\n")); status != 3 || !strings.HasPrefix(out, "42 two 2\n") {
		t.Errorf("sh -s: status %d, %q", status, out)
	}
	// sshd's own priority in the boot is nobody else's (proc(5), stat, field 19).
	if f := strings.Fields(m.root("cat /proc/self/stat")); len(f) < 19 || f[18] != "0" {
		t.Errorf("a session's niceness: %q, want 0", f)
	}
	// OpenSSH's client gives 255 for a command that a signal ended.
	_, err := m.client.Run(m.ctx, "root", m.port, "kill -9 $$", nil)
	if status, _ := ssh.ExitStatus(err); status != 255 {
		t.Errorf("a shell that killed itself: %v", err)
	}
	args := append([]string{"ssh"}, ssh.Options("/ssh")...)
	out, err := m.tool(append(args, "-tt", "-p", strconv.Itoa(m.port), "root@127.0.0.1", "tty")...)
	if err != nil || !strings.Contains(out, "/dev/pts/") {
		t.Errorf("a session with a terminal: %v, %q", err, out)
	}
}

// testFiles copies with scp and sftp.
func testFiles(t *testing.T, m *machine) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	if err := os.WriteFile(filepath.Join(m.client.Dir, "data"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	p := strconv.Itoa(m.port)
	if out, err := m.tool(append(append([]string{"scp"}, ssh.Options("/ssh")...), "-P", p, "/ssh/data", "bee@127.0.0.1:copied")...); err != nil {
		t.Fatalf("scp: %v: %s", err, out)
	}
	if out, status := m.as("bee", "wc -c < copied; echo more >> copied", nil); status != 0 || strings.TrimSpace(out) != fmt.Sprint(len(data)) {
		t.Errorf("after scp: status %d, %s", status, out)
	}
	batch := filepath.Join(m.client.Dir, "batch")
	if err := os.WriteFile(batch, []byte("put /ssh/data /tmp/again\nls -l /tmp/again\nrename /tmp/again /tmp/renamed\nget /tmp/renamed /tmp/back\nrm /tmp/renamed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := m.tool(append(append([]string{"sftp"}, ssh.Options("/ssh")...), "-P", p, "-b", "/ssh/batch", "root@127.0.0.1")...); err != nil {
		t.Fatalf("sftp: %v: %s", err, out)
	}
}

// testForwarding goes through the node to its own SSH port, and back.
func testForwarding(t *testing.T, m *machine) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	local := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"ssh"}, ssh.Options("/ssh")...)
	args = append(args, "-o", "ExitOnForwardFailure=yes", "-p", strconv.Itoa(m.port), "-L", fmt.Sprintf("%d:127.0.0.1:22", local),
		"-R", "127.0.0.1:2022:127.0.0.1:"+strconv.Itoa(m.port), "root@127.0.0.1", "sleep 60")
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.tool(args...) // ends with the session
	}()
	if _, err := ssh.WaitBanner(m.ctx, local); err != nil {
		t.Errorf("local forwarding: %v", err)
	}
	m.until("the remote forwarding answers", func() (string, bool) {
		out, _ := m.as("root", "netstat -tln 2>/dev/null; cat /proc/net/tcp", nil)
		return out, strings.Contains(out, ":07E6") // 2022
	})
	// The session is in the way of a fast end; its command is known.
	m.root("for p in /proc/[0-9]*; do if [ \"$(cat $p/cmdline 2>/dev/null | tr '\\000' ' ')\" = 'sleep 60 ' ]; then kill ${p#/proc/}; fi; done")
	<-done
}

// testStrangers are refused.
func testStrangers(t *testing.T, m *machine) {
	other, err := ssh.New(m.ctx, m.lab.sandbox, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	known, err := os.ReadFile(filepath.Join(m.client.Dir, "known_hosts"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(other.Dir, "known_hosts"), known, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"root", "bee", "nobody", "sshd", "eve"} {
		out, err := other.Run(m.ctx, user, m.port, "id", nil)
		if status, _ := ssh.ExitStatus(err); status != 255 || len(out) > 0 || !strings.Contains(err.Error(), "Permission denied") {
			t.Errorf("a wrong key for %s: %q, %v", user, out, err)
		}
		m.forgiven()
	}
	for _, user := range []string{"nobody", "sshd"} {
		if _, err := m.client.Run(m.ctx, user, m.port, "id", nil); err == nil {
			t.Errorf("the right key let %s in", user)
		}
		m.forgiven()
	}
}

// forgiven waits until this host may log in again: failures cost time, and a
// login clears what was collected.
func (m *machine) forgiven() {
	m.t.Helper()
	m.until("a login works again", func() (string, bool) {
		_, err := m.client.Run(m.ctx, "root", m.port, "true", nil)
		return fmt.Sprint(err), err == nil
	})
}

// testSSHAudit asks Debian's ssh-audit, which exits with 3 for a failure.
func testSSHAudit(t *testing.T, m *machine) {
	m.forgiven()
	out, err := m.tool("ssh-audit", "--no-colors", "--skip-rate-test", "-p", strconv.Itoa(m.port), "127.0.0.1")
	if err != nil || strings.Contains(out, "[fail]") {
		t.Errorf("ssh-audit: %v\n%s", err, out)
	}
	if !strings.Contains(out, "ssh-ed25519") {
		t.Errorf("ssh-audit saw no host key:\n%s", out)
	}
}

func testSmoke(t *testing.T, m *machine) {
	out, status := m.as("root", "smoketest", nil)
	if status != 0 || strings.Contains(out, "FAIL") || !strings.Contains(out, "ok   audit") {
		t.Errorf("smoketest: status %d\n%s", status, out)
	}
}

// state is a part of svc --json status.
type state struct {
	State    string
	PID      int
	Restarts int
	Reason   string
}

func (m *machine) service(name string) state {
	m.t.Helper()
	out, _ := m.as("root", "svc --json status "+name, nil)
	out, _, _ = strings.Cut(out, "\n")
	var s state
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		m.t.Fatalf("svc status %s: %v: %s", name, err, out)
	}
	return s
}

// testProcessors looks at who goes before whom: niceness alone while a boot is on
// its way, equal shares after it.
func testProcessors(t *testing.T, m *machine) {
	if out := m.root("cat /proc/sys/kernel/sched_autogroup_enabled"); out != "0" {
		t.Errorf("autogroup is %q: niceness counts for nothing between services", out)
	}
	// Field 19 of proc_pid_stat(5). coldplug yields to all others.
	for name, want := range map[string]string{"coldplug": "10", "network": "-15", "sshd": "0"} {
		f := strings.Fields(m.root(fmt.Sprintf("cat /proc/%d/stat", m.service(name).PID)))
		if len(f) < 19 || f[18] != want {
			t.Errorf("%s: niceness is not %s: %q", name, want, f)
		}
	}
	m.until("services have equal shares of the processors", func() (string, bool) {
		out := m.root("cat /sys/fs/cgroup/cgroup.subtree_control /sys/fs/cgroup/bee/cgroup.subtree_control")
		return out, strings.Count(out, "cpu ") == 2 && strings.Count(out, "memory") == 2 && strings.Count(out, "pids") == 2
	})
	// The timers of a boot may be late, those of a machine in use may not:
	// whatever runs has the kernel's own slack again.
	m.until("nobody's timers are late any more", func() (string, bool) {
		var files []string
		for _, name := range []string{"network", "coldplug", "sshd"} {
			files = append(files, fmt.Sprintf("/proc/%d/timerslack_ns", m.service(name).PID))
		}
		out := m.root("cat /proc/1/timerslack_ns /proc/self/timerslack_ns " + strings.Join(files, " "))
		return out, out == strings.TrimSpace(strings.Repeat("50000\n", 5))
	})
}

// testAhead: the network card had its driver before coldplug came, by the part of it
// that runs beside the start of PID 1, and the report of modules knows.
func testAhead(t *testing.T, m *machine) {
	if out := m.root("dmesg | grep 'coldplug ahead'"); !strings.Contains(out, "loaded") || !strings.Contains(out, "virtio_net") {
		t.Errorf("the kernel's log says %q", out)
	}
	var state struct {
		Loaded []struct {
			Name   string
			Before bool
		}
	}
	if err := json.Unmarshal([]byte(m.root("cat /run/bee/modules.json")), &state); err != nil {
		t.Fatal(err)
	}
	for _, l := range state.Loaded {
		if l.Name == "virtio_net" && l.Before {
			return
		}
	}
	t.Errorf("modules.json: %+v", state)
}

// testOrder: sshd begins while sshsetup still works, or before, and does not go on to
// its host key before that has settled who may log in.
func testOrder(t *testing.T, m *machine) {
	events := m.root("svc events")
	at := func(name, state string) int {
		i := regexp.MustCompile(`(?m)^\[ *[0-9.]+\] ` + name + ` +` + state + `\b`).FindStringIndex(events)
		if i == nil {
			t.Fatalf("%s was never %s:\n%s", name, state, events)
		}
		return i[0]
	}
	done := at("sshsetup", "done")
	if at("sshd", "starting") > done || at("sshd", "ready") < done {
		t.Errorf("sshsetup and sshd:\n%s", events)
	}
	// The supervisor would hold sshd's word back in any case; sshd waits, too.
	if out := m.root("cd /run/bee/ssh && [ -e settled ] && [ -e host_key ] && ! [ settled -nt host_key ] && echo in order || echo out of order"); out != "in order" {
		t.Errorf("sshd went on before sshsetup had settled who may log in: %q\n%s", out, events)
	}
	if at("settings", "done") > at("sshsetup", "starting") {
		t.Errorf("settings and sshsetup:\n%s", events)
	}
}

// testKilled kills what the node lives of.
func testKilled(t *testing.T, m *machine) {
	for _, name := range []string{"network", "coldplug", "console", "timesync", "sshd"} {
		before := m.service(name)
		if before.State != "ready" || before.PID == 0 {
			t.Fatalf("%s: %+v", name, before)
		}
		// The session itself goes with sshd.
		if _, err := m.client.Run(m.ctx, "root", m.port, fmt.Sprintf("kill -9 %d", before.PID), nil); err != nil && name != "sshd" {
			t.Fatal(err)
		}
		m.until(name+" is back", func() (string, bool) {
			out, err := m.client.Run(m.ctx, "root", m.port, "svc --json status "+name, nil)
			var s state
			if err != nil || json.Unmarshal(out, &s) != nil {
				return fmt.Sprint(err), false
			}
			return string(out), s.State == "ready" && s.PID != before.PID && s.Restarts == before.Restarts+1
		})
	}
	if out := m.root("cat /proc/1/comm"); out != "init" {
		t.Errorf("PID 1 is %q", out)
	}
}

// testStop puts a process that ignores TERM into a service.
func testStop(t *testing.T, m *machine) {
	m.root(`echo 'trap "" TERM HUP INT; while :; do sleep 1; done' > /tmp/stubborn; sh /tmp/stubborn >/dev/null 2>&1 </dev/null & echo $! > /sys/fs/cgroup/bee/timesync/cgroup.procs; echo $! > /tmp/stubborn.pid`)
	pid := m.root("cat /tmp/stubborn.pid")
	if out := m.root("cat /sys/fs/cgroup/bee/timesync/cgroup.procs"); !strings.Contains(out, pid) {
		t.Fatalf("the process %s is not in the service: %s", pid, out)
	}
	m.root("svc stop timesync")
	if out, status := m.as("root", "cat /proc/"+pid+"/comm", nil); status == 0 {
		t.Errorf("process %s outlived the stop: %s", pid, out)
	}
	if s := m.service("timesync"); s.State != "stopped" {
		t.Errorf("timesync is %+v", s)
	}
	// A group that was killed must take newborns again.
	m.root("svc start timesync")
	m.until("timesync is back", func() (string, bool) {
		s := m.service("timesync")
		return s.State, s.State == "ready"
	})
}

// testHang gives a collector a file that never ends: a pipe without a writer.
func testHang(t *testing.T, m *machine) {
	m.root("mkdir -p /tmp/tree/sys/block /tmp/tree/proc; mkfifo /tmp/tree/proc/cpuinfo; cp /proc/meminfo /tmp/tree/proc/meminfo")
	out, status := m.as("root", "audit --root /tmp/tree --json", nil)
	out, _, _ = strings.Cut(out, "\n}\n")
	r, err := hwreport.Decode([]byte(out + "\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c := r.CPU.Collector; c.Status != hwreport.Timeout || r.Verdict != hwreport.Incomplete || status != 3 {
		t.Errorf("status %d, verdict %s, cpu %+v", status, r.Verdict, c)
	}
	if c := r.Memory.Collector; c.Status != hwreport.OK {
		t.Errorf("memory went with it: %+v", c)
	}
}

// testGarbage throws 64 MiB at the SSH port, then logs in.
func testGarbage(t *testing.T, m *machine) {
	const size = 64 << 20
	sent := int64(0)
	for tries := 0; sent < size && tries < 100_000; tries++ {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(m.port)), 5*time.Second)
		if err != nil {
			continue
		}
		// The server hangs up as soon as it sees what it is: go on with another.
		n, _ := io.Copy(conn, io.LimitReader(garbage{}, size-sent))
		sent += n
		conn.Close()
	}
	if sent < size {
		t.Fatalf("only %d bytes could be sent", sent)
	}
	m.forgiven()
	if s := m.service("sshd"); s.State != "ready" {
		t.Errorf("sshd: %+v", s)
	}
	if out := m.root("cat /proc/1/comm"); out != "init" {
		t.Errorf("PID 1 is %q", out)
	}
}

// garbage is bytes that are no SSH.
type garbage struct{}

func (garbage) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(i*7 + 1)
	}
	return len(b), nil
}

// testShutdown is the last: the machine is gone within its deadline of 30 s.
func testShutdown(t *testing.T, m *machine) {
	m.forgiven()
	began := time.Now()
	if _, err := m.client.Run(m.ctx, "root", m.port, "svc shutdown poweroff", nil); err != nil {
		if _, ended := ssh.ExitStatus(err); !ended {
			t.Fatal(err)
		}
	}
	if err := m.ended(45 * time.Second); err != nil {
		t.Fatal(err)
	}
	t.Logf("powered off after %v", time.Since(began).Round(100*time.Millisecond))
	if text := m.process.Console.Text(); strings.Contains(text, "Kernel panic") {
		t.Error("the kernel panicked")
	}
}
