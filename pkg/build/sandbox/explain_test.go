package sandbox

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

func TestExplain(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text + "\n")} }
	ns := file("")
	eperm, enospc := error(syscall.EPERM), error(syscall.ENOSPC)
	for name, c := range map[string]struct {
		root   fstest.MapFS
		err    error
		stderr string
		want   []string // none: no explanation
	}{
		"none allowed": {
			root: fstest.MapFS{"proc/sys/user/max_user_namespaces": file("0"), "proc/self/ns/user": ns}, err: enospc,
			want: []string{"user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces=15000"},
		},
		"Debian's switch": {
			root: fstest.MapFS{"proc/sys/user/max_user_namespaces": file("999"), "proc/sys/kernel/unprivileged_userns_clone": file("0"), "proc/self/ns/user": ns}, err: eperm,
			want: []string{"sysctl -w kernel.unprivileged_userns_clone=1"},
		},
		"AppArmor lets it be cloned, not used": {
			root: fstest.MapFS{"proc/sys/kernel/apparmor_restrict_unprivileged_userns": file("1"), "proc/self/ns/user": ns},
			err:  errors.New("exit status 125"), stderr: "beebox: make mounts private: permission denied\n",
			want: []string{"sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"},
		},
		"container": {
			root: fstest.MapFS{".dockerenv": file(""), "proc/self/ns/user": ns}, err: eperm,
			want: []string{"this container forbids", "--security-opt seccomp=unconfined"},
		},
		"kernel without":  {root: fstest.MapFS{}, err: syscall.EINVAL, want: []string{"CONFIG_USER_NS"}},
		"who knows":       {root: fstest.MapFS{"proc/self/ns/user": ns}, err: eperm, want: []string{"seccomp"}},
		"the tool failed": {root: fstest.MapFS{".dockerenv": file("")}, err: errors.New("exit status 1"), stderr: "mkfs: permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(c.root, c.err, c.stderr)
			if len(c.want) == 0 && got != "" {
				t.Errorf("explained as %q", got)
			}
			for _, w := range c.want {
				if !strings.Contains(got, w) {
					t.Errorf("%q does not say %q", got, w)
				}
			}
		})
	}
}
