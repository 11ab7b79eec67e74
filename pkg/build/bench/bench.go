// Package bench measures what bee is held against: it boots the image and a
// peer (busybox, udhcpc and dropbear on the same kernel) by turns and prints
// medians, times builds and the audit, and holds what makes images against
// others that do. It judges nothing and fails no test.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/ssh"
	"github.com/bee-os/bee/pkg/build/vm"
)

// PeerGroup is the group of bee.lock with the peer's packages.
const PeerGroup = "peer"

// arch is the one architecture that is measured.
const arch = "amd64"

// Run measures and prints. BEE_BENCH names the sections (default all, with
// commas between them); BEE_BENCH_ROUNDS changes how often each subject is
// measured (5).
func Run(ctx context.Context, getenv func(string) string, out io.Writer) (err error) {
	n, err := parseRounds(getenv("BEE_BENCH_ROUNDS"))
	if err != nil {
		return err
	}
	chosen, err := parseSections(getenv("BEE_BENCH"))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bee-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := bench{dir: dir, out: out, rounds: n, booster: getenv("BEE_BOOSTER")}
	var tables []string
	for _, s := range chosen {
		text, err := s.run(&b, ctx)
		if err != nil {
			// What is measured took long; it is shown whatever comes after it.
			fmt.Fprint(out, "\n", strings.Join(tables, "\n"))
			return fmt.Errorf("bench %s: %w", s.name, err)
		}
		tables = append(tables, text)
	}
	fmt.Fprint(out, "\n", strings.Join(tables, "\n"))
	return nil
}

// bench is one run of it.
type bench struct {
	dir     string
	out     io.Writer
	rounds  int    // how often each subject is measured
	booster string // folder with the programs booster and init; may be empty
	sandbox *sandbox.Sandbox
	client  *ssh.Client
	accel   string
	all     []subject
}

// prepare builds the images and the peer that are booted, once.
func (b *bench) prepare(ctx context.Context) error {
	if len(b.all) > 0 {
		return nil
	}
	l, err := lock.Load(os.DirFS("."), lock.Name)
	if err != nil {
		return err
	}
	if b.sandbox, err = sandbox.Open(ctx, l, os.Stderr, runtime.GOARCH, "tools-vm", "tools-test"); err != nil {
		return err
	}
	keys := filepath.Join(b.dir, "ssh")
	if err := os.Mkdir(keys, 0o700); err != nil {
		return err
	}
	if b.client, err = ssh.New(ctx, b.sandbox, keys); err != nil {
		return err
	}
	key, err := b.client.PublicKey()
	if err != nil {
		return err
	}
	peer, kernel, err := b.peer(ctx, l)
	if err != nil {
		return err
	}
	b.all = append(b.all, subject{name: "busybox + udhcpc + dropbear", kernel: kernel, initrd: peer, append: "quiet",
		marks: marks{pid1: regexp.MustCompile(`peer: started`), dhcp: regexp.MustCompile(`peer: address`)}})
	for _, variant := range []string{"thin", "server"} {
		out := filepath.Join(b.dir, variant)
		if err := artifact.Build(ctx, artifact.Config{Manifest: variant, Out: out}); err != nil {
			return err
		}
		files := artifact.KernelInitrdDir(out, arch)
		text, err := os.ReadFile(filepath.Join(files, artifact.BOMFile))
		if err != nil {
			return err
		}
		list, err := bom.Decode(text)
		if err != nil {
			return err
		}
		b.all = append(b.all, subject{
			name: "bee " + variant, kernel: filepath.Join(files, artifact.KernelFile), initrd: filepath.Join(files, artifact.InitrdFile),
			append: "quiet " + bootparam.Render(bootparam.Params{SSHKeys: []string{key}}),
			marks: marks{pid1: regexp.MustCompile(`bee: pid 1 at`), dhcp: regexp.MustCompile(`ready +route`),
				audit: regexp.MustCompile(`done +audit`)},
			after:    b.ram,
			unpacked: list.RAM.Unpacked,
		})
	}
	b.accel, _ = vm.Accel(ctx, b.sandbox, arch, kernel)
	return nil
}

// peer makes the peer's image and returns it with the kernel.
func (b *bench) peer(ctx context.Context, l *lock.File) (image, vmlinuz string, err error) {
	f, err := fetch.New(l, os.Stderr)
	if err != nil {
		return "", "", err
	}
	store := debian.NewStore(f)
	trees, err := store.Trees(ctx, l.Group(PeerGroup, arch))
	if err != nil {
		return "", "", err
	}
	if len(trees) == 0 {
		return "", "", fmt.Errorf("find the peer: group %s of %s is empty", PeerGroup, lock.Name)
	}
	e, err := kernel.Find(l, arch)
	if err != nil {
		return "", "", err
	}
	dir, err := store.Tree(ctx, e)
	if err != nil {
		return "", "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "boot/vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return "", "", fmt.Errorf("find the kernel's image in %s", dir)
	}
	image = filepath.Join(b.dir, "peer.img")
	w, err := os.Create(image)
	if err != nil {
		return "", "", err
	}
	defer w.Close()
	return image, found[0], peerImage(w, trees, dir)
}

// boots measures the boot of every subject and returns the table.
func (b *bench) boots(ctx context.Context) (string, error) {
	if err := b.prepare(ctx); err != nil {
		return "", err
	}
	return b.bootAll(ctx, b.all)
}

// banner boots the peer and thin alone, no further than to the banner: with a good
// many rounds it tells which of two close ones is the faster.
func (b *bench) banner(ctx context.Context) (string, error) {
	if err := b.prepare(ctx); err != nil {
		return "", err
	}
	var all []subject
	for _, s := range b.all[:2] {
		all = append(all, subject{name: s.name, kernel: s.kernel, initrd: s.initrd, append: s.append, marks: marks{pid1: s.marks.pid1}})
	}
	return b.bootAll(ctx, all)
}

// bootAll boots the subjects by turns and returns the table. In each round chance orders
// them: what one boot leaves to the next, such as what is still on its way to the disk,
// must not fall on the same one each time.
func (b *bench) bootAll(ctx context.Context, all []subject) (string, error) {
	samples := make([][]sample, len(all))
	for round := range b.rounds {
		for _, i := range rand.Perm(len(all)) {
			got, err := boot(ctx, b.sandbox, b.accel, all[i])
			if err != nil {
				return "", fmt.Errorf("boot %s: %w", all[i].name, err)
			}
			fmt.Fprintf(b.out, "boot %d of %d, %s: banner %.2f s\n", round+1, b.rounds, all[i].name, got.banner.Seconds())
			samples[i] = append(samples[i], got)
		}
	}
	return fmt.Sprintf("Medians of %d boots, QEMU %s, 2 CPUs, 1024 MiB. Ratios are to the peer in the same run.\n\n%s", b.rounds, b.accel, bootTable(all, samples)), nil
}

// ram asks a machine how much of its memory is gone, once it has come to rest.
func (b *bench) ram(ctx context.Context, p *vm.Process, port int, got *sample) error {
	m, err := p.Console.Wait(ctx, regexp.MustCompile(`ssh: host key (SHA256:[A-Za-z0-9+/]{43})`))
	if err != nil {
		return err
	}
	if err := b.client.Trust(ctx, port, m.Groups[0]); err != nil {
		return err
	}
	text, err := b.client.Run(ctx, "root", port, "sleep 3; cat /proc/meminfo /proc/zoneinfo", nil)
	if err != nil {
		return err
	}
	got.used, err = usedRAM(string(text))
	return err
}

// usedRAM is what the kernel could not give back, bytes, from the texts of
// /proc/meminfo and /proc/zoneinfo: all that is not free, less the caches. Files
// in a tmpfs (Shmem), which the image is, count among the caches and cannot be
// given back. Pages on the processors' own lists ("count:" in zoneinfo) are free,
// but MemFree leaves them out: 30 MiB after the initrd was released.
func usedRAM(text string) (int64, error) {
	sum := int64(0)
	for key, sign := range map[string]int64{"MemTotal:": 1, "MemFree:": -1, "Buffers:": -1, "Cached:": -1, "SReclaimable:": -1, "Shmem:": 1} {
		n, err := meminfo(text, key)
		if err != nil {
			return 0, fmt.Errorf("read the machine's memory: %w", err)
		}
		sum += sign * n
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 2 || f[0] != "count:" {
			continue
		}
		pages, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the machine's memory: zoneinfo: %w", err)
		}
		sum -= pages * 4096
	}
	return sum, nil
}

// meminfo reads a line of /proc/meminfo, bytes.
func meminfo(text, key string) (int64, error) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == key {
			n, err := strconv.ParseInt(f[1], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no line %s", key)
}

// limitOf is the RAM that an image may take: a quarter more than it holds, and
// 60 MiB for the kernel's growth and the programs that run.
func limitOf(unpacked int64) int64 { return unpacked/4*5 + 60<<20 }
