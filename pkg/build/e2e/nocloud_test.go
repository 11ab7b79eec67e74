package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/vm"
)

// seedLine is what the console says of a seed's first key.
var seedLine = regexp.MustCompile(`ssh: NoCloud seed: 1 SSH key for bee and root, and the random password is off`)

// seedMaker makes NoCloud seeds as people make them (cloud-init,
// reference/datasources/nocloud) in a folder that QEMU sees.
type seedMaker struct {
	t   *testing.T
	box *sandbox.Sandbox
	dir string
}

func newSeedMaker(t *testing.T) *seedMaker {
	t.Helper()
	skip(t)
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(t.Context(), l, os.Stderr, arch, "tools-judge")
	if err != nil {
		t.Fatal(err)
	}
	return &seedMaker{t, box, t.TempDir()}
}

func (s *seedMaker) run(args ...string) {
	s.t.Helper()
	var out strings.Builder
	cmd, err := s.box.Command(s.t.Context(), sandbox.Step{Args: args, Rw: []sandbox.Bind{{Host: s.dir, Path: "/out"}}, Stdout: &out, Stderr: &out})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("%v: %v: %s", args, err, out.String())
	}
}

// write puts a seed's files into the folder and gives their paths for a tool.
func (s *seedMaker) write(meta, user string) []string {
	s.t.Helper()
	for name, text := range map[string]string{"meta-data": meta, "user-data": user} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	return []string{"/out/user-data", "/out/meta-data"}
}

// iso makes name, by the command line of cloud-init's documentation.
func (s *seedMaker) iso(name, meta, user string) string {
	s.t.Helper()
	s.run(append([]string{"genisoimage", "-quiet", "-output", "/out/" + name, "-volid", "cidata", "-joliet", "-rock"}, s.write(meta, user)...)...)
	return filepath.Join(s.dir, name)
}

func (s *seedMaker) vfat(name, meta, user string) string {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), make([]byte, 16<<20), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.run("mkfs.vfat", "-n", "CIDATA", "/out/"+name)
	s.run(append(append([]string{"mcopy", "-oi", "/out/" + name}, s.write(meta, user)...), "::")...)
	return filepath.Join(s.dir, name)
}

// bootWithSeed starts a machine that nobody may log in to but by password, with
// a seed that is made for its client's key.
func bootWithSeed(t *testing.T, s *seedMaker, o options, make func(key string)) *machine {
	t.Helper()
	b, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	o.noKey = true
	o.client = func(m *machine) {
		key, err := m.client.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		make(key)
	}
	return start(t, b, o)
}

// seeded checks that the client's key lets in and a password does not.
func (m *machine) seeded(password string) {
	m.t.Helper()
	for user, id := range map[string]string{"bee": "1000", "root": "0"} {
		if out, status := m.as(user, "id -u", nil); status != 0 || strings.TrimSpace(out) != id {
			m.t.Errorf("%s with the seed's key: status %d, %q", user, status, out)
		}
	}
	// The server does not even offer passwords any more.
	if out, err := m.password("bee", password); err == nil || !strings.Contains(out, "Permission denied (publickey)") {
		m.t.Errorf("the password: %q, %v", out, err)
	}
	m.forgiven()
	if out := m.root("ls /run/bee/ssh"); strings.Contains(out, "password") {
		m.t.Errorf("a password is left in /run/bee/ssh: %s", out)
	}
}

// settled waits for a service to be in a state. A busy machine's boot log may end
// before, so the console is not asked.
func (m *machine) settled(name, state string) {
	m.t.Helper()
	m.until(name+" is "+state, func() (string, bool) { s := m.service(name); return s.State, s.State == state })
}

// asWithout checks that the rest of the machine is as it would be without a seed.
func (m *machine) asWithout() {
	m.t.Helper()
	for name, state := range map[string]string{"localmount": "done", "coldplug": "ready", "network": "ready", "sshsetup": "done", "sshd": "ready", "audit": "done", "console": "ready"} {
		m.settled(name, state)
		if s := m.service(name); s.Restarts > 0 {
			m.t.Errorf("%s was restarted: %+v", name, s)
		}
	}
}

// TestNoCloudISO has the seed in an optical drive at the start, as hypervisors
// give it to cloud images.
func TestNoCloudISO(t *testing.T) {
	s := newSeedMaker(t)
	m := bootWithSeed(t, s, options{
		folder: s.dir, devices: []string{"ide-cd,drive=seed,bus=ide.0"},
		args: []string{"-drive", "if=none,id=seed,format=raw,readonly=on,media=cdrom,file=" + vm.FolderPath + "/seed.iso"},
	}, func(key string) {
		s.iso("seed.iso", "instance-id: iid-local01\nlocal-hostname: web1\n",
			"#cloud-config\nssh_authorized_keys:\n- "+key+"\npackages: [nginx]\nruncmd:\n- touch /tmp/was-run\n")
	})
	password := m.wait(passwordLine).Groups[0]
	m.wait(seedLine)
	m.trust()
	m.seeded(password)
	m.until("the seed names the machine", func() (string, bool) {
		out := m.root("hostname; cat /etc/hostname")
		return out, out == "web1\nweb1"
	})
	m.settled("nocloud", "done")
	out := m.root("svc status nocloud; cat /run/bee/nocloud.json")
	for _, want := range []string{"seed on sr0 (iso9660), instance iid-local01; 1 SSH key", "host name web1", "not honoured: user-data: packages, user-data: runcmd", `"hostname": "web1"`} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not told:\n%s", want, out)
		}
	}
	if out, status := m.as("root", "cat /tmp/was-run", nil); status == 0 {
		t.Errorf("runcmd was run: %s", out)
	}
	if out := m.root("cat /proc/mounts"); strings.Contains(out, "iso9660") {
		t.Errorf("the seed is mounted:\n%s", out)
	}
	m.asWithout()
	// sshsetup once more makes none. (svc restart would take sshd, which needs it,
	// and the session with it.)
	m.root("sshsetup")
	m.seeded(password)
}

// TestNoCloudLater plugs a vfat seed in while the machine runs: until then the
// random password lets in, from then on the key.
func TestNoCloudLater(t *testing.T) {
	s := newSeedMaker(t)
	m := bootWithSeed(t, s, options{
		folder: s.dir, append: "bee.hostname=fixed", devices: []string{"virtio-scsi-pci,id=scsi0"},
		args: []string{"-drive", "if=none,id=seed,format=raw,readonly=on,file=" + vm.FolderPath + "/seed.img"},
	}, func(key string) {
		s.vfat("seed.img", "local-hostname: web1\n", "#cloud-config\nusers:\n- name: default\n  ssh_authorized_keys: ['"+key+"']\n")
	})
	password := m.wait(passwordLine).Groups[0]
	m.trust()
	if out, err := m.password("bee", password); err != nil || out != "1000" {
		t.Errorf("the password before the seed: %q, %v", out, err)
	}
	if err := m.process.QMP.AddDevice(m.ctx, "scsi-hd", "stick", map[string]any{"drive": "seed", "bus": "scsi0.0"}); err != nil {
		t.Fatal(err)
	}
	m.wait(seedLine)
	m.seeded(password)
	if out := m.root("hostname"); out != "fixed" {
		t.Errorf("the seed's host name went over bee.hostname: %q", out)
	}
}

// TestNoCloudBroken has two seeds that are broken in different ways: they are
// named, and the machine is as it would be without them.
func TestNoCloudBroken(t *testing.T) {
	s := newSeedMaker(t)
	m := boot(t, options{disks: []vm.Disk{
		{File: s.vfat("big", "instance-id: x\n", "#cloud-config\n#"+strings.Repeat("x", 10<<20)), ReadOnly: true},
		{File: s.iso("broken", "instance-id: [\n", "#!/bin/sh\ntouch /tmp/was-run\n"), ReadOnly: true},
	}})
	m.trust()
	m.settled("nocloud", "done")
	out := m.root("svc why nocloud; svc log nocloud")
	for _, want := range []string{"the seed on vda is of no use: read user-data: it has 10485775 bytes", "meta-data: yaml:", "user-data: refused: it is a script, which is not run"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not told:\n%s", want, out)
		}
	}
	if why := m.root("svc why nocloud"); !strings.Contains(why, "the seed on vda is of no use") {
		t.Errorf("svc why nocloud:\n%s", why)
	}
	if out, status := m.as("root", "cat /tmp/was-run", nil); status == 0 {
		t.Errorf("user-data was run: %s", out)
	}
	if out := m.root("hostname"); out != "bee-"+strings.ReplaceAll(mac, ":", "") {
		t.Errorf("host name %q", out)
	}
	m.asWithout()
}

// TestNoCloudOff looks for no seed.
func TestNoCloudOff(t *testing.T) {
	s := newSeedMaker(t)
	m := boot(t, options{append: "bee.nocloud=off", disks: []vm.Disk{{File: s.iso("seed", "local-hostname: web1\n", ""), ReadOnly: true}}})
	m.trust()
	if st := m.service("nocloud"); st.State != "disabled" || st.Reason != "bee.nocloud=off" {
		t.Errorf("%+v", st)
	}
	if out := m.root("hostname"); out == "web1" {
		t.Error("the seed named the machine")
	}
}
