package initrd

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/bee-os/bee/pkg/kmod"
)

// layout is the folders and links that every image has: one bin, one lib, what
// changes in /run and /var.
var layout = []node{
	{path: "bin", mode: typeDir | 0o755},
	{path: "dev", mode: typeDir | 0o755},
	{path: "etc", mode: typeDir | 0o755},
	{path: "home", mode: typeDir | 0o755},
	{path: "home/bee", mode: typeDir | 0o700, uid: 1000, gid: 1000},
	{path: "lib", mode: typeDir | 0o755},
	{path: "mnt", mode: typeDir | 0o755},
	{path: "proc", mode: typeDir | 0o555},
	{path: "root", mode: typeDir | 0o700},
	{path: "run", mode: typeDir | 0o755},
	{path: "sys", mode: typeDir | 0o555},
	{path: "tmp", mode: typeDir | 0o1777},
	{path: "usr", mode: typeDir | 0o755},
	{path: "usr/share", mode: typeDir | 0o755},
	{path: "var", mode: typeDir | 0o755},
	{path: "var/log", mode: typeDir | 0o755},
	{path: "var/tmp", mode: typeDir | 0o1777},
	// What the kernel opens for PID 1, should /dev not come up.
	{path: "dev/console", mode: typeChar | 0o600, major: 5, minor: 1},
	{path: "dev/null", mode: typeChar | 0o666, major: 1, minor: 3},
	// Where coldplug ahead speaks, before /dev comes up.
	{path: "dev/kmsg", mode: typeChar | 0o644, major: 1, minor: 11},
	link("sbin", "bin"),
	link("usr/bin", "../bin"),
	link("usr/sbin", "../bin"),
	link("usr/lib", "../lib"),
	link("etc/resolv.conf", "/run/bee/resolv.conf"),
	link("etc/motd", "/run/bee/motd"),
	link("etc/mtab", "/proc/self/mounts"),
}

func link(name, target string) node {
	return node{path: name, mode: typeLink | 0o777, text: []byte(target)}
}

// addOverlay adds the files of initramfs/overlay as they are: mode 0644, or
// 0755 where the file is executable.
func (t *tree) addOverlay(fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("add initramfs/overlay/%s: only files belong there; links stand in the layout of pkg/build/initrd", name)
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		mode := uint64(0o644)
		if fi.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return t.add(node{path: name, mode: typeFile | mode, text: text})
	})
}

// addPrograms adds the busybox, a link for each of its commands, PID 1 and
// sudo.
func (t *tree) addPrograms(p programs, commands []string) error {
	nodes := []node{
		{path: "init", mode: typeFile | 0o755, source: p.init},
		{path: "bin/bb", mode: typeFile | 0o755, source: p.busybox},
		// Group sudo (27) may run it, nobody else: see cmds/standalone/sudo.
		{path: "bin/sudo", mode: typeFile | 0o4750, gid: 27, source: p.sudo},
	}
	for _, c := range sorted(commands) {
		if path.Base(c) == path.Base(kmod.ModprobePath) {
			nodes = append(nodes, link(kmod.ModprobePath, "../../bin/bb"))
			continue
		}
		nodes = append(nodes, link("bin/"+path.Base(c), "bb"))
	}
	for _, n := range nodes {
		if err := t.add(n); err != nil {
			return err
		}
	}
	return nil
}

// osRelease is /etc/os-release (os-release(5)).
func osRelease(version, variant string) []byte {
	return fmt.Appendf(nil, "NAME=bee\nID=bee\nPRETTY_NAME=\"bee %s\"\nVERSION_ID=%s\nVARIANT_ID=%s\n", version, version, variant)
}
