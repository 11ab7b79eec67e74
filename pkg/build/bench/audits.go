package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/guest"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/vm"
)

// AuditPeers is the group of bee.lock with the programs that audit is timed
// against.
const AuditPeers = "audit-peers"

// audits are the commands that are timed by turns on one guest; the first is
// ours.
var audits = []string{"audit --json", "lshw -json", "hwinfo --short", "dmidecode"}

// auditRounds is how often each is run.
const auditRounds = 10

// audit times our audit and its peers on one boot of the server image, and
// returns a table of medians.
func (b *bench) audit(ctx context.Context) (string, error) {
	if err := b.prepare(ctx); err != nil {
		return "", err
	}
	l, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return "", err
	}
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		return "", err
	}
	trees, err := debian.NewStore(f).Trees(ctx, l.Group(AuditPeers, arch))
	if err != nil {
		return "", err
	}
	p := guest.Programs{Trees: trees, Group: AuditPeers}
	for _, name := range []string{"usr/bin/lshw", "usr/sbin/hwinfo", "usr/sbin/dmidecode"} {
		if err := p.Add(name); err != nil {
			return "", err
		}
	}
	image := filepath.Join(b.dir, "audit-peers.img")
	w, err := os.Create(image)
	if err != nil {
		return "", err
	}
	if err := errors.Join(p.Write(w), w.Close()); err != nil {
		return "", err
	}
	sub := b.all[len(b.all)-1] // the server image
	var said string
	sub.more = []string{image}
	sub.after = func(ctx context.Context, p *vm.Process, port int, _ *sample) error {
		m, err := p.Console.Wait(ctx, regexp.MustCompile(`ssh: host key (SHA256:[A-Za-z0-9+/]{43})`))
		if err != nil {
			return err
		}
		if err := b.client.Trust(ctx, port, m.Groups[0]); err != nil {
			return err
		}
		var script strings.Builder
		script.WriteString("PATH=$PATH:/usr/sbin; sleep 3\n")
		for range auditRounds {
			for i, c := range audits {
				fmt.Fprintf(&script, "read a x < /proc/uptime; %s > /dev/null 2>&1; read b x < /proc/uptime; echo T %d $a $b\n", c, i)
			}
		}
		text, err := b.client.Run(ctx, "root", port, "sh -s", strings.NewReader(script.String()))
		said = string(text)
		return err
	}
	if _, err := boot(ctx, b.sandbox, b.accel, sub); err != nil {
		return "", fmt.Errorf("time the audit: %w", err)
	}
	table, err := auditTable(said)
	return fmt.Sprintf("audit and others in one guest, medians of %d, by turns\n%s", auditRounds, table), err
}

// auditTable reads the lines "T <command> <from> <to>", in seconds.
func auditTable(said string) (string, error) {
	took := make([][]time.Duration, len(audits))
	for line := range strings.Lines(said) {
		f := strings.Fields(line)
		if len(f) != 4 || f[0] != "T" {
			continue
		}
		i, err1 := strconv.Atoi(f[1])
		from, err2 := strconv.ParseFloat(f[2], 64)
		to, err3 := strconv.ParseFloat(f[3], 64)
		if err := errors.Join(err1, err2, err3); err != nil || i < 0 || i >= len(audits) {
			return "", fmt.Errorf("read the audit's times: %q", line)
		}
		took[i] = append(took[i], time.Duration((to-from)*float64(time.Second)))
	}
	var out strings.Builder
	var lshw time.Duration
	for i, list := range took {
		if len(list) != auditRounds {
			return "", fmt.Errorf("read the audit's times: %d of %s, not %d, in:\n%s", len(list), audits[i], auditRounds, said)
		}
		slices.Sort(list)
		if i == 1 {
			lshw = list[len(list)/2]
		}
	}
	for i, list := range took {
		m := list[len(list)/2]
		fmt.Fprintf(&out, "  %-16s %5.2f s  (%.2f of lshw)\n", audits[i], m.Seconds(), m.Seconds()/lshw.Seconds())
	}
	return out.String(), nil
}
