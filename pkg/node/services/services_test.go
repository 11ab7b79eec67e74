package services

import (
	"os"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/supervise"
)

func find(t *testing.T, list []supervise.Service, name string) supervise.Service {
	t.Helper()
	i := slices.IndexFunc(list, func(s supervise.Service) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no service %s", name)
	}
	return list[i]
}

func TestListIsValid(t *testing.T) {
	if _, err := supervise.NewPlan(All(bootparam.Params{})); err != nil {
		t.Fatal(err)
	}
}

// Every program that a service names is a node command, so that a typing error
// is found here and not on a machine.
func TestCommandsExist(t *testing.T) {
	for _, s := range All(bootparam.Params{}) {
		if len(s.Command) == 0 {
			continue
		}
		dir, name := path.Split(s.Command[0])
		if dir != "/bin/" {
			t.Errorf("service %s runs %s; node commands are in /bin", s.Name, s.Command[0])
		}
		if _, err := os.Stat("../../../cmds/node/" + name + "/main.go"); err != nil {
			t.Errorf("service %s: %v", s.Name, err)
		}
	}
}

// reach is everything that a service cannot start without, however far away.
func reach(list []supervise.Service, name string, edges func(supervise.Service) []string) []string {
	var seen []string
	queue := []string{name}
	for len(queue) > 0 {
		i := slices.IndexFunc(list, func(s supervise.Service) bool { return s.Name == queue[0] })
		queue = queue[1:]
		if i < 0 { // a condition
			continue
		}
		for _, n := range edges(list[i]) {
			if !slices.Contains(seen, n) {
				seen = append(seen, n)
				queue = append(queue, n)
			}
		}
	}
	return seen
}

func hard(s supervise.Service) []string {
	return slices.Concat(s.Needs, s.Milestone)
}

func all(s supervise.Service) []string {
	return slices.Concat(s.Needs, s.Milestone, s.Wants, s.After)
}

func TestSSHNeedsNoNetworkAndNoDriver(t *testing.T) {
	list := All(bootparam.Params{})
	for _, bad := range []string{"network", "coldplug", "nvidia", "audit", "carrier", "route", "clock", "console", "timesync"} {
		if slices.Contains(reach(list, "sshd", all), bad) {
			t.Errorf("sshd waits for %s", bad)
		}
	}
}

// What sshd waits for without needing it must not hold it up for long.
func TestNothingThatHangsHoldsSSHUp(t *testing.T) {
	list := All(bootparam.Params{})
	for _, name := range reach(list, "sshd", all) {
		if s := find(t, list, name); name != "sshsetup" && (s.StartTimeout == 0 || s.StartTimeout > waitForSSH) {
			t.Errorf("sshd waits %s for %s (0: the default of minutes)", s.StartTimeout, name)
		}
	}
}

func TestOnlyWhatSSHNeedsIsANeed(t *testing.T) {
	list := All(bootparam.Params{})
	allowed := map[string][]string{
		"sshd":    {"sshsetup"},
		"logship": {"route"}, // there is nowhere to send to before
	}
	for _, s := range list {
		for _, n := range reach(list, s.Name, hard) {
			if !slices.Contains(allowed[s.Name], n) {
				t.Errorf("service %s needs %s", s.Name, n)
			}
		}
	}
}

func TestOrderOfTheBoot(t *testing.T) {
	list := All(bootparam.Params{})
	for _, o := range []struct{ first, then string }{
		{"localmount", "sshsetup"}, {"sshsetup", "sshd"}, {"localmount", "coldplug"}, {"localmount", "network"},
		{"network", "nvidia"}, {"nvidia", "audit"}, {"coldplug", "audit"},
	} {
		if !slices.Contains(reach(list, o.then, all), o.first) {
			t.Errorf("%s does not come after %s", o.then, o.first)
		}
	}
}

// TestSSHDOutwaitsWhatItWaitsFor: sshd starts early; while sshsetup, and the settings
// before it, still may be done in time, it is not taken for one that hangs.
func TestSSHDOutwaitsWhatItWaitsFor(t *testing.T) {
	list := All(bootparam.Params{})
	sshd := find(t, list, "sshd")
	if !slices.Contains(sshd.Beside, "sshsetup") || sshd.StartTimeout < find(t, list, "settings").StartTimeout+supervise.DefaultOneshotStartTimeout {
		t.Errorf("sshd: beside %q, %s to be ready", sshd.Beside, sshd.StartTimeout)
	}
}

// TestAuditOutwaitsDrivers: audit begins while drivers are being loaded; while these
// still may be done in time, it is not taken for one that hangs.
func TestAuditOutwaitsDrivers(t *testing.T) {
	list := All(bootparam.Params{})
	audit := find(t, list, "audit")
	longest := 15 * time.Second // of its own collectors
	for _, name := range audit.Beside {
		s := find(t, list, name)
		longest += max(s.StartTimeout, supervise.DefaultStartTimeout)
	}
	if !slices.Contains(audit.Beside, "coldplug") || !slices.Contains(audit.Beside, "nvidia") || audit.StartTimeout < longest {
		t.Errorf("audit: beside %q, %s to be done, want %s", audit.Beside, audit.StartTimeout, longest)
	}
}

func TestParameters(t *testing.T) {
	off := All(bootparam.Params{NVIDIAOff: true})
	if find(t, off, "nvidia").Disabled == "" || find(t, off, "logship").Disabled == "" {
		t.Error("nvidia and logship run although bee.nvidia=off and no bee.syslog=")
	}
	on := All(bootparam.Params{Syslog: "10.0.0.1:514"})
	if find(t, on, "nvidia").Disabled != "" || find(t, on, "logship").Disabled != "" {
		t.Error("nvidia or logship is disabled by default or with bee.syslog=")
	}
}

func TestSSHAndNetworkNeverGiveUp(t *testing.T) {
	list := All(bootparam.Params{})
	for _, name := range []string{"sshd", "sshsetup", "network", "coldplug"} {
		s := find(t, list, name)
		if s.GiveUpAfter != 0 || s.Restart == supervise.Never || s.Restart == supervise.OnFailure {
			t.Errorf("%s may give up", name)
		}
	}
	for _, name := range []string{"sshsetup", "sshd"} {
		if !find(t, list, name).Critical {
			t.Errorf("%s is not critical", name)
		}
	}
}
