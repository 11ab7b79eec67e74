package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/bee-os/bee/pkg/build/sandbox/enter"
)

// Explain adds to the error of a step why this host may have refused the
// sandbox, and what to do about it. stderr is what the step wrote there. An
// error that has nothing to do with that comes back as it is.
func Explain(err error, stderr string) error {
	if err == nil {
		return nil
	}
	if reason := explain(os.DirFS("/"), err, stderr); reason != "" {
		return fmt.Errorf("%w: %s", err, reason)
	}
	return err
}

// explain looks for the switches by which hosts forbid user namespaces. See
// user_namespaces(7) and, for the AppArmor one, Ubuntu's release notes of 23.10.
func explain(root fs.FS, err error, stderr string) string {
	refusedClone := errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.ENOSPC) ||
		errors.Is(err, syscall.EUSERS) || errors.Is(err, syscall.EINVAL)
	refusedMount := strings.Contains(stderr, enter.Prefix) &&
		(strings.Contains(stderr, syscall.EPERM.Error()) || strings.Contains(stderr, syscall.EACCES.Error()))
	if !refusedClone && !refusedMount {
		return ""
	}
	sysctl := func(name string) string {
		b, err := fs.ReadFile(root, "proc/sys/"+strings.ReplaceAll(name, ".", "/"))
		if err != nil {
			return "" // not a switch of this kernel
		}
		return strings.TrimSpace(string(b))
	}
	for _, s := range []struct{ name, bad, good string }{
		{"user.max_user_namespaces", "0", "15000"},
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	} {
		if sysctl(s.name) == s.bad {
			return fmt.Sprintf("this host forbids user namespaces: %s is %s; remedy, as root: sysctl -w %s=%s (or run the build as root)", s.name, s.bad, s.name, s.good)
		}
	}
	if _, err := fs.Stat(root, "proc/self/ns/user"); err != nil {
		return "this host's kernel has no user namespaces (CONFIG_USER_NS); remedy: run the build as root or on another kernel"
	}
	if inContainer(root) {
		return "this container forbids namespaces; remedy: start it with its seccomp and AppArmor profiles off and /proc unmasked (docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or podman with the same), or with --privileged"
	}
	return "this host refused a namespace or a mount in it; a security module or seccomp filter may be why; remedy: allow unprivileged user namespaces for this user, or run the build as root"
}

// inContainer looks for what Docker, Podman and systemd-nspawn leave.
func inContainer(root fs.FS) bool {
	for _, name := range []string{".dockerenv", "run/.containerenv", "run/systemd/container"} {
		if _, err := fs.Stat(root, name); err == nil {
			return true
		}
	}
	return false
}
