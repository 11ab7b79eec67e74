package vm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// probeLimit is how long the probe's kernel may take to start and panic; with a
// KVM that works it is about a second.
const probeLimit = 10 * time.Second

// kernelBanner is the first thing that a Linux kernel says.
var kernelBanner = regexp.MustCompile(`Linux version \d`)

// Accel chooses how the guest's code is run: "kvm" where that was seen to boot
// the very kernel, else "tcg"; why says what spoke against KVM. There are hosts
// with a /dev/kvm that starts guests and then cannot emulate what they execute,
// so that nothing but a boot proves anything. The verdict is cached for this
// host, kernel and QEMU. Code of another architecture than the host's is always
// translated.
func Accel(ctx context.Context, s *sandbox.Sandbox, arch, kernel string) (accel, why string) {
	if arch != runtime.GOARCH {
		return "tcg", fmt.Sprintf("this machine is %s, and the guest %s", runtime.GOARCH, arch)
	}
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return "tcg", err.Error()
	}
	if err := f.Close(); err != nil {
		return "tcg", err.Error()
	}
	cache, err := probeCache(s, kernel)
	if err != nil {
		return "tcg", err.Error()
	}
	if b, err := os.ReadFile(cache); err == nil {
		why = string(b)
	} else {
		if err := probeKVM(ctx, s, arch, kernel); err != nil {
			why, _, _ = strings.Cut(err.Error(), "\n")
		}
		if ctx.Err() != nil {
			return "tcg", why // proves nothing: not cached
		}
		if err := os.WriteFile(cache, []byte(why), 0o644); err != nil {
			return "tcg", err.Error()
		}
	}
	if why != "" {
		return "tcg", why
	}
	return "kvm", ""
}

// probeKVM boots the kernel without an initrd: it must speak, panic for want of
// a root, and reboot, which ends QEMU.
func probeKVM(ctx context.Context, s *sandbox.Sandbox, arch, kernel string) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit, fmt.Errorf("the guest did not come up within %v", probeLimit))
	defer cancel()
	p, err := Start(ctx, s, Machine{Name: "KVM probe", Arch: arch, Accel: "kvm", Memory: 512, Kernel: kernel, Append: "panic=-1"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if _, err := p.Console.Wait(ctx, kernelBanner); err != nil {
		// Why QEMU ended tells more than that it did.
		if waitErr := p.Wait(ctx); waitErr != nil {
			return waitErr
		}
		return err
	}
	return p.Wait(ctx)
}

// probeCache names the file with the verdict for this host, kernel and QEMU.
func probeCache(s *sandbox.Sandbox, kernel string) (string, error) {
	var uts syscall.Utsname
	if err := syscall.Uname(&uts); err != nil {
		return "", fmt.Errorf("read host's kernel version: %w", err)
	}
	cpu, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "", fmt.Errorf("read host's processor: %w", err)
	}
	st, err := os.Stat(kernel)
	if err != nil {
		return "", fmt.Errorf("find kernel: %w", err)
	}
	h := sha256.New()
	fmt.Fprintln(h, uts.Release, uts.Version, s.Tree(), st.Size(), st.ModTime().UnixNano())
	for line := range strings.Lines(string(cpu)) {
		if strings.HasPrefix(line, "model name") || strings.HasPrefix(line, "flags") || strings.HasPrefix(line, "Features") {
			h.Write([]byte(line))
		}
		if line == "\n" {
			break // one processor tells enough
		}
	}
	return filepath.Join(filepath.Dir(s.Tree()), "kvm-"+hex.EncodeToString(h.Sum(nil))[:32]), nil
}
