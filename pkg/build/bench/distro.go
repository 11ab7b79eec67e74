package bench

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/debian"
	"github.com/bee-os/bee/pkg/build/kernel"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// InitrdPeers is the group of bee.lock with the builders that distributions make
// their initramfs with.
const InitrdPeers = "peer-initrd"

// distro is a tree with those builders and the pinned kernel as Debian installs
// them.
type distro struct {
	box     *sandbox.Sandbox
	conf    string // their configuration, shown as /conf
	out     string // shown as /out
	release string // of the kernel
	modules []string
	booster string // folder with the programs booster and init; may be empty
}

// openDistro makes the tree, and in dir the configuration. modules are what a
// small initramfs holds.
func openDistro(ctx context.Context, l *lock.File, store *debian.Store, k *kernel.Kernel, dir string, modules []string) (*distro, error) {
	d := &distro{conf: filepath.Join(dir, "conf"), out: filepath.Join(dir, "peers"), release: k.Release, modules: modules}
	if err := os.Mkdir(d.out, 0o755); err != nil {
		return nil, err
	}
	entries := append(l.Group(InitrdPeers, arch), k.Entry)
	plain, err := sandbox.New(ctx, store, entries)
	if err != nil {
		return nil, err
	}
	s := installed{Store: store, plain: plain, release: k.Release, dir: filepath.Join(dir, "installed")}
	var sums []string
	for _, e := range entries {
		sums = append(sums, e.SHA256)
	}
	sum := sha256.Sum256([]byte("as the maintainer scripts leave it\n" + strings.Join(sums, "\n")))
	s.entry = lock.Entry{Name: "installed", Version: k.Release, Arch: arch, SHA256: hex.EncodeToString(sum[:])}
	if d.box, err = sandbox.New(ctx, s, append(slices.Clone(entries), s.entry)); err != nil {
		return nil, err
	}
	return d, d.configure()
}

// installed adds to the packages what their maintainer scripts would have made:
// the indexes of the modules, and the name awk.
type installed struct {
	*debian.Store
	plain   *sandbox.Sandbox
	release string
	dir     string
	entry   lock.Entry // stands for what is added
}

// Trees implements sandbox.Store.
func (s installed) Trees(ctx context.Context, entries []lock.Entry) ([]string, error) {
	dirs, err := s.Store.Trees(ctx, slices.DeleteFunc(slices.Clone(entries), func(e lock.Entry) bool { return e.SHA256 == s.entry.SHA256 }))
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(s.dir, "usr/bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink("gawk", filepath.Join(bin, "awk")); err != nil {
		return nil, err
	}
	err = s.plain.Run(ctx, sandbox.Step{
		Args: []string{"depmod", "--basedir", "/", "--outdir", "/out", s.release},
		Rw:   []sandbox.Bind{{Host: s.dir, Path: "/out"}},
	})
	return append(dirs, s.dir), err
}

// configure writes the configuration of the small images.
func (d *distro) configure() error {
	// The last two are a machine in which booster finds no device.
	for _, name := range []string{"conf.d", "hooks", "scripts", "sys/module", "sys/devices"} {
		if err := os.MkdirAll(filepath.Join(d.conf, name), 0o755); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(filepath.Join(d.box.Tree(), "etc/initramfs-tools/initramfs.conf"))
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		"initramfs.conf": string(text),
		"modules":        strings.Join(d.modules, "\n") + "\n",
		"small.yaml":     "compression: zstd\nmodules: -*," + strings.Join(d.modules, ",") + "\n",
		"universal.yaml": "compression: zstd\nuniversal: true\n",
		"all.yaml":       "compression: zstd\nuniversal: true\nmodules: \"*\"\n",
	} {
		if err := os.WriteFile(filepath.Join(d.conf, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// entrant is a program of the tree that writes /out/<file>. SOURCE_DATE_EPOCH is
// taken away: with it mkinitramfs compresses on one core.
func (d *distro) entrant(name, file string, args ...string) entrant {
	out := filepath.Join(d.out, file)
	step := sandbox.Step{
		Args: args, Env: []string{"SOURCE_DATE_EPOCH=", "TMPDIR=/tmp"}, Dir: "/tmp",
		Ro: []sandbox.Bind{{Host: d.conf, Path: "/conf"}}, Rw: []sandbox.Bind{{Host: d.out, Path: "/out"}},
	}
	if d.booster != "" {
		step.Ro = append(step.Ro, sandbox.Bind{Host: d.booster, Path: "/booster"}, sandbox.Bind{Host: filepath.Join(d.conf, "sys"), Path: "/sys"})
	}
	return entrant{
		name:   name,
		before: func() error { return os.RemoveAll(out) },
		run: func(ctx context.Context) (int64, error) {
			if err := d.box.Run(ctx, step); err != nil {
				return 0, err
			}
			return sizeOf(out)
		},
	}
}

// boosterEntrant is booster, where BEE_BOOSTER says where it lies: trixie has no
// package of it, and Go's module proxy refused every version that was tried.
func (d *distro) boosterEntrant(name, config string, args ...string) entrant {
	if d.booster == "" {
		return entrant{name: name, absent: "trixie has no package of it that bee.lock could pin; let BEE_BOOSTER name a folder with its programs booster and init"}
	}
	file := strings.TrimSuffix(config, ".yaml") + ".booster"
	all := slices.Concat([]string{"/booster/booster", "build", "--force", "--init-binary", "/booster/init",
		"--kernel-version", d.release, "--config", "/conf/" + config}, args, []string{"/out/" + file})
	return d.entrant(name, file, all...)
}

func (d *distro) dracut(name, file string, args ...string) entrant {
	all := slices.Concat([]string{"dracut", "--force", "--no-hostonly", "--zstd", "--no-early-microcode", "--tmpdir", "/tmp", "--kver", d.release}, args, []string{"/out/" + file})
	return d.entrant(name, file, all...)
}

// small are the builders with the modules of a virtual machine.
func (d *distro) small() []entrant {
	return []entrant{
		d.boosterEntrant("booster, the same modules", "small.yaml"),
		d.entrant("mkinitramfs, MODULES=list, the same modules", "small.mkinitramfs", "mkinitramfs", "-d", "/conf", "-m", "list", "-o", "/out/small.mkinitramfs", d.release),
		d.dracut("dracut, base and udev, the same modules", "small.dracut", "--modules", "base bash udev-rules kernel-modules", "--drivers", strings.Join(d.modules, " ")),
	}
}

// large are the builders with what any machine may need.
func (d *distro) large() []entrant {
	const limit = "/out/limit.cpio"
	return []entrant{
		d.boosterEntrant("booster, universal", "universal.yaml"),
		d.boosterEntrant("booster, all modules", "all.yaml"),
		d.entrant("mkinitramfs, MODULES=most", "most.mkinitramfs", "mkinitramfs", "-o", "/out/most.mkinitramfs", d.release),
		d.dracut("dracut, --no-hostonly", "generic.dracut"),
		d.entrant("limit: cpio of every module as it is", "limit.cpio", "sh", "-c",
			"cd /usr/lib/modules/"+d.release+" && find . | cpio --quiet -o -H newc > "+limit),
	}
}
