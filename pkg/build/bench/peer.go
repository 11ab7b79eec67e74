package bench

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
	"github.com/ulikunitz/xz"
)

// peerModules are what the peer loads: the network card of the virtual machine
// and what it depends on, in this order.
var peerModules = []string{"net/core/failover", "drivers/net/net_failover", "drivers/net/virtio_net"}

// peerInit is PID 1 of the peer: busybox, udhcpc and dropbear, started as fast
// as a shell can. Nothing waits for anything it does not need.
const peerInit = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
echo "peer: started" > /dev/console
/bin/busybox mkdir -p /dev/pts
/bin/busybox mount -t devpts none /dev/pts
/bin/busybox mount -t sysfs none /sys
for m in failover net_failover virtio_net; do /bin/busybox insmod /lib/modules/$m.ko; done
/bin/busybox ip link set lo up
/bin/busybox ip link set eth0 up
/bin/busybox udhcpc -i eth0 -s /bin/dhcp -f > /dev/null 2>&1 &
/usr/sbin/dropbear -R -E
while :; do /bin/busybox sleep 1000; done
`

// peerDHCP is udhcpc's script.
const peerDHCP = `#!/bin/busybox sh
[ "$1" = bound ] || exit 0
/bin/busybox ip addr add "$ip/$mask" dev "$interface"
/bin/busybox ip route add default via "$router"
echo "peer: address $ip" > /dev/console
`

// peerFiles are the small files that the peer's programs want.
var peerFiles = []cpio.Record{
	cpio.StaticFile("init", peerInit, 0o755),
	cpio.StaticFile("bin/dhcp", peerDHCP, 0o755),
	cpio.StaticFile("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
	cpio.StaticFile("etc/group", "root:x:0:\n", 0o644),
	cpio.StaticFile("etc/shells", "/bin/sh\n", 0o644),
	cpio.Symlink("bin/sh", "busybox"),
	cpio.Directory("etc/dropbear", 0o700),
	cpio.Directory("proc", 0o755),
	cpio.Directory("sys", 0o755),
	cpio.Directory("dev", 0o755),
	cpio.Directory("root", 0o700),
	cpio.Directory("run", 0o755),
	cpio.Directory("var/run", 0o755),
}

// peerImage makes the peer's initrd, as Debian users would make it: busybox and
// dropbear from their packages with the libraries that they need, and three
// modules. trees are the extracted packages; kernel is that of the kernel.
func peerImage(w io.Writer, trees []string, kernel string) error {
	records := append([]cpio.Record(nil), peerFiles...)
	p := peer{trees: trees, have: map[string]bool{}}
	for _, program := range []string{"usr/bin/busybox", "usr/sbin/dropbear"} {
		if err := p.addProgram(program); err != nil {
			return fmt.Errorf("assemble peer: %w", err)
		}
	}
	for _, m := range peerModules {
		if err := p.addModule(kernel, m); err != nil {
			return fmt.Errorf("assemble peer: %w", err)
		}
	}
	records = append(records, p.records...)
	sort.Slice(records, func(i, j int) bool { return records[i].Name < records[j].Name })
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return fmt.Errorf("compress peer: %w", err)
	}
	c := cpio.Newc.Writer(z)
	if err := cpio.WriteRecordsAndDirs(c, records); err != nil {
		return fmt.Errorf("write peer: %w", err)
	}
	if err := cpio.WriteTrailer(c); err != nil {
		return fmt.Errorf("write peer: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress peer: %w", err)
	}
	return nil
}

type peer struct {
	trees   []string
	have    map[string]bool
	records []cpio.Record
}

// addProgram adds a program or library and, by its ELF header, what it needs.
func (p *peer) addProgram(name string) error {
	if p.have[name] {
		return nil
	}
	p.have[name] = true
	b, err := p.read(name)
	if err != nil {
		return err
	}
	target := name
	if strings.HasPrefix(name, "usr/bin/") {
		target = strings.TrimPrefix(name, "usr/")
	}
	p.records = append(p.records, cpio.StaticFile(target, string(b), 0o755))
	f, err := elf.NewFile(bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	defer f.Close()
	for _, s := range f.Progs {
		if s.Type != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(s.Open())
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := p.addLoader(strings.TrimRight(string(loader), "\x00")); err != nil {
			return err
		}
	}
	needed, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for _, lib := range needed {
		if strings.HasPrefix(lib, "ld-linux") {
			continue // it is there as the loader
		}
		if err := p.addLibrary(lib); err != nil {
			return fmt.Errorf("%w, which %s needs", err, name)
		}
	}
	return nil
}

// addLoader adds the dynamic loader under the name that programs ask for.
func (p *peer) addLoader(name string) error {
	name = strings.TrimPrefix(name, "/")
	if p.have[name] {
		return nil
	}
	p.have[name] = true
	b, err := p.read(path.Join("usr", name))
	if err != nil {
		return err
	}
	p.records = append(p.records, cpio.StaticFile(name, string(b), 0o755))
	return nil
}

// addLibrary finds a library in the folders of Debian's architectures.
func (p *peer) addLibrary(lib string) error {
	for _, tree := range p.trees {
		found, err := filepath.Glob(filepath.Join(tree, "usr/lib/*-linux-gnu", lib))
		if err != nil {
			return err
		}
		if len(found) > 0 {
			rel, err := filepath.Rel(tree, found[0])
			if err != nil {
				return err
			}
			return p.addProgram(rel)
		}
	}
	return fmt.Errorf("find library %s: it is in no package of the group %q of bee.lock", lib, PeerGroup)
}

// read finds a file in the packages; links are followed.
func (p *peer) read(name string) ([]byte, error) {
	for _, tree := range p.trees {
		b, err := os.ReadFile(filepath.Join(tree, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return b, err
	}
	return nil, fmt.Errorf("find %s: it is in no package of the group %q of bee.lock", name, PeerGroup)
}

// addModule adds a module, decompressed: the peer shall be fast.
func (p *peer) addModule(kernel, name string) error {
	found, err := filepath.Glob(filepath.Join(kernel, "usr/lib/modules/*/kernel", name+".ko*"))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("find module %s: it is not in the kernel's package", name)
	}
	b, err := os.ReadFile(found[0])
	if err != nil {
		return err
	}
	if strings.HasSuffix(found[0], ".xz") {
		r, err := xz.NewReader(bytes.NewReader(b))
		if err != nil {
			return fmt.Errorf("decompress %s: %w", found[0], err)
		}
		if b, err = io.ReadAll(r); err != nil {
			return fmt.Errorf("decompress %s: %w", found[0], err)
		}
	}
	p.records = append(p.records, cpio.StaticFile("lib/modules/"+path.Base(name)+".ko", string(b), 0o644))
	return nil
}
