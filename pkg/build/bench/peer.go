package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/u-root/u-root/pkg/cpio"
	"github.com/ulikunitz/xz"

	"github.com/bee-os/bee/pkg/build/guest"
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
	p := &guest.Programs{Trees: trees, Group: PeerGroup}
	for _, program := range []string{"usr/bin/busybox", "usr/sbin/dropbear"} {
		if err := p.Add(program); err != nil {
			return fmt.Errorf("assemble peer: %w", err)
		}
	}
	for _, m := range peerModules {
		if err := addModule(p, kernel, m); err != nil {
			return fmt.Errorf("assemble peer: %w", err)
		}
	}
	p.Records = append(p.Records, peerFiles...)
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return fmt.Errorf("compress peer: %w", err)
	}
	if err := p.Write(z); err != nil {
		return fmt.Errorf("write peer: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("compress peer: %w", err)
	}
	return nil
}

// addModule adds a module, decompressed: the peer shall be fast.
func addModule(p *guest.Programs, kernel, name string) error {
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
	p.Records = append(p.Records, cpio.StaticFile("lib/modules/"+path.Base(name)+".ko", string(b), 0o644))
	return nil
}
