package sudo

import (
	"slices"
	"strings"
	"testing"
)

const (
	passwd = "root:x:0:0::/root:/bin/sh\nbee:x:1000:1000::/home/bee:/bin/sh\neve:x:1001:1001::/:/bin/sh\n"
	group  = "root:x:0:\nsudo:x:27:bee\nbee:x:1000:\n"
)

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		uid    int
		groups []int
		group  string
		ok     bool
	}{
		{0, nil, group, true},
		{1000, []int{1000, 27}, group, true},
		{1000, []int{1000}, group, false},              // not a session that sshd made
		{1001, []int{1001, 27}, group, false},          // has the group, is no member
		{1234, []int{27}, group, false},                // nobody knows who that is
		{1000, []int{27}, "sudo:x:27:beetle\n", false}, // not a part of a name
		{1000, []int{27}, "sudo:x:abc:bee\n", false},   // broken
		{1000, []int{27}, "", false},                   // no such group
		{1000, []int{27}, "xsudo:x:27:bee\n", false},   // another group
		{1000, []int{27}, "sudo:x:27:eve,bee\n", true}, // one of several
	} {
		_, err := Allowed(c.uid, c.groups, passwd, c.group)
		if (err == nil) != c.ok {
			t.Errorf("Allowed(%d, %v, %q) = %v", c.uid, c.groups, c.group, err)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"ls -l":            "ls -l",
		"-n -u root id":    "id",
		"-- -odd":          "-odd",
		"-i":               "",
		"-s":               "",
		"-u bee id":        "!",
		"-u":               "!",
		"":                 "!",
		"--preserve-env x": "!",
	} {
		r, err := Parse(strings.Fields(in))
		got := strings.Join(r.Args, " ")
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("Parse(%q) = %q, %v", in, got, err)
		}
	}
}

func TestEnvironment(t *testing.T) {
	env := Environment([]string{"TERM=xterm", "LD_PRELOAD=/x", "PATH=/home/bee", "GODEBUG=x", "LANG=../../etc", "TZ=:/etc/shadow", "LC_ALL=%n", "COLUMNS=1\n2"}, "bee", 1000, 1000)
	for _, v := range env {
		for _, bad := range []string{"LD_", "GODEBUG", "/home/bee", "..", "shadow", "%", "\n"} {
			if strings.Contains(v, bad) {
				t.Errorf("kept %q", v)
			}
		}
	}
	for _, v := range []string{"TERM=xterm", "PATH=/bin", "SUDO_USER=bee", "SUDO_UID=1000", "HOME=/root"} {
		if !slices.Contains(env, v) {
			t.Errorf("%q is missing", v)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-n ls")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := Parse(strings.Split(s, " "))
		if err == nil && !r.Shell && !r.Help && len(r.Args) == 0 {
			t.Fatal("nothing to run and no error")
		}
	})
}
