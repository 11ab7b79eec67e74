package sandbox

import (
	"io"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/lock"
)

// Tools are those of this machine, not of what is built with them.
func TestChoose(t *testing.T) {
	entry := func(name, arch, sum string, groups ...string) lock.Entry {
		return lock.Entry{Name: name, Arch: arch, SHA256: sum, Groups: groups}
	}
	l := &lock.File{
		Groups:  []lock.Group{{Name: "tools-vm", Arches: []string{"amd64"}}, {Name: "tools-test", Arches: []string{"amd64", "arm64"}}, {Name: "new", Arches: []string{"amd64"}}},
		Entries: []lock.Entry{entry("ovmf", "all", "1", "tools-vm"), entry("qemu", "amd64", "2", "tools-test", "tools-vm"), entry("ssh", "arm64", "3", "tools-test")},
	}
	for _, c := range []struct {
		arch, groups string
		want, says   string
	}{
		{"amd64", "tools-vm", "ovmf qemu", ""},
		{"amd64", "tools-vm tools-test", "ovmf qemu", ""}, // each once
		{"arm64", "tools-test", "ssh", ""},
		{"arm64", "tools-vm", "", `this machine is arm64, and bee.lock pins the tools of group "tools-vm" for amd64 alone`},
		{"amd64", "new", "", "mage lock"},
		{"amd64", "none", "", `group "none"`},
	} {
		list, err := choose(l, c.arch, strings.Fields(c.groups))
		var got []string
		for _, e := range list {
			got = append(got, e.Name)
		}
		if strings.Join(got, " ") != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s on %s: %v, %v", c.groups, c.arch, got, err)
		}
	}
}

func TestOpenRefusesForeignTools(t *testing.T) {
	if _, err := Open(t.Context(), &lock.File{}, io.Discard, "vax", "tools-vm"); err == nil || !strings.Contains(err.Error(), "do not run on this machine") {
		t.Error(err)
	}
}
