package bench

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
)

// bootLimit bounds one boot.
const bootLimit = 90 * time.Second

// subject is something that is booted and measured.
type subject struct {
	name   string
	kernel string
	initrd string
	more   []string // initrds after it
	append string
	marks  marks
	after  func(context.Context, *vm.Process, int, *sample) error // asks the running machine for more at the host's port; may be nil

	unpacked int64 // bytes of the image in RAM
}

// marks are what a subject says on its console. A nil one is not waited for.
type marks struct {
	pid1, dhcp, audit *regexp.Regexp
}

// sample is one boot; zero is not measured. Times are since QEMU was started,
// by the host's monotonic clock.
type sample struct {
	pid1, banner, dhcp, audit time.Duration
	used                      int64 // bytes of RAM after boot
}

// boot boots the subject once and measures it.
func boot(ctx context.Context, s *sandbox.Sandbox, accel string, sub subject) (_ sample, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, bootLimit, fmt.Errorf("not within %v", bootLimit))
	defer cancel()
	var got sample
	p, err := vm.Start(ctx, s, vm.Machine{
		Name: "bench", Accel: accel, Kernel: sub.kernel, Initrds: append([]string{sub.initrd}, sub.more...), Append: sub.append,
		NICs: []vm.NIC{{User: &vm.User{Forward: []int{22}}}},
	})
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	port, err := p.Port(ctx, 22)
	if err != nil {
		return got, err
	}
	pid1, err := p.Console.Wait(ctx, sub.marks.pid1)
	if err != nil {
		return got, err
	}
	got.pid1 = pid1.Since
	at, err := ssh.WaitBanner(ctx, port)
	if err != nil {
		return got, fmt.Errorf("%w; the console said last:\n%s", err, p.Console.Tail(25))
	}
	got.banner = at.Sub(p.Started)
	for _, w := range []struct {
		re *regexp.Regexp
		to *time.Duration
	}{{sub.marks.dhcp, &got.dhcp}, {sub.marks.audit, &got.audit}} {
		if w.re == nil {
			continue
		}
		m, err := p.Console.Wait(ctx, w.re)
		if err != nil {
			return got, err
		}
		*w.to = m.Since
	}
	if sub.after != nil {
		err = sub.after(ctx, p, port, &got)
	}
	return got, err
}
