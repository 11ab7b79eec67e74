package e2e

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/sandbox"
	"github.com/bee-os/bee/pkg/build/vm"
)

// netAddr is what the server hands out to a machine that starts from it, and
// server where it listens.
const (
	netAddr    = "192.0.2.150"
	serverAddr = "192.0.2.1"
)

// TestNetboot starts machines with an empty disk from the family ipxe, in every
// way that its folder serves, off a real dnsmasq (DHCP, TFTP) and a plain HTTP
// server.
func TestNetboot(t *testing.T) {
	skip(t)
	if os.Getenv(inside) == "" {
		if _, err := pressed(); err != nil { // so that the other process finds all in the cache
			t.Fatal(err)
		}
		reexec(t)
		return
	}
	makeTap(t)
	p, err := pressed()
	if err != nil {
		t.Fatal(err)
	}
	const http = "http://" + serverAddr + "/"
	for name, boot := range map[string]struct {
		firmware string
		dhcp     []string   // options of dnsmasq
		fwcfg    []vm.FwCfg // what OVMF is told
	}{
		// The card's option ROM is iPXE on SeaBIOS: it is told to load iPXE of the
		// folder all the same, as a machine with its maker's PXE would be.
		"PXE, undionly.kpxe, HTTP": {"SeaBIOS", []string{"--dhcp-match=set:ipxe,175", "--dhcp-boot=tag:!ipxe,undionly.kpxe", "--dhcp-boot=tag:ipxe," + http + "boot.ipxe"}, nil},
		"PXE, PXELINUX":            {"SeaBIOS", []string{"--dhcp-boot=pxelinux.0"}, nil},
		"UEFI PXE, ipxe.efi, TFTP": {"OVMF", []string{"--dhcp-boot=ipxe.efi"}, nil},
		"UEFI PXE, Secure Boot":    {"Secure Boot", []string{"--dhcp-boot=shimx64.efi"}, nil},
		"UEFI HTTP, ipxe.efi, HTTP": {"OVMF", []string{"--dhcp-vendorclass=set:http,HTTPClient", "--dhcp-option-force=tag:http,60,HTTPClient", "--dhcp-boot=tag:http," + http + "ipxe.efi"},
			// It would try PXE first, and wait long for an offer.
			[]vm.FwCfg{{Name: "opt/org.tianocore/IPv4PXESupport", Text: "n"}, {Name: "opt/org.tianocore/IPv6PXESupport", Text: "n"}}},
	} {
		t.Run(name, func(t *testing.T) {
			p.netboot(t, boot.firmware, boot.dhcp, boot.fwcfg)
		})
	}
}

// TestNetbootARM64 does the same with AAVMF.
func TestNetbootARM64(t *testing.T) {
	skip(t)
	if os.Getenv(inside) == "" {
		if _, err := pressedARM64(); err != nil {
			t.Fatal(err)
		}
		reexec(t)
		return
	}
	makeTap(t)
	p, err := pressedARM64()
	if err != nil {
		t.Fatal(err)
	}
	for firmware, file := range map[string]string{"AAVMF": "ipxe.efi", "Secure Boot": "shimaa64.efi"} {
		t.Run(file, func(t *testing.T) {
			p.netboot(t, firmware, []string{"--dhcp-boot=" + file}, nil)
		})
	}
}

// netboot starts a machine with an empty disk from the folder of the family ipxe,
// and logs in.
func (p *press) netboot(t *testing.T, firmware string, dhcp []string, fwcfg []vm.FwCfg) {
	t.Helper()
	m := start(t, p.lab, options{media: true, key: p.client, uefi: p.firmware(t, firmware), memory: 2048, fwcfg: fwcfg,
		nics: []vm.NIC{{MAC: mac, Tap: tap, Boot: true}}, disks: []vm.Disk{{File: emptyDisk(t)}}})
	dir := artifact.Dir(p.out, "ipxe", p.arch)
	l := &link{machine: m, served: []sandbox.Bind{{Host: dir, Path: "/srv"}}}
	l.serve(netAddr, append([]string{"--enable-tftp", "--tftp-root=/srv", "--tftp-no-fail"}, dhcp...)...)
	l.http(dir)
	l.fingerprint = m.wait(fingerprintLine).Groups[0]
	l.trust(netAddr)
	l.reach(netAddr)
	m.wait(auditDone)
	if got := l.run(netAddr, "cat /sys/kernel/security/lockdown; cat /var/log/bee-audit.json"); !strings.Contains(got, `"complete": true`) || strings.Contains(got, "[integrity]") != (firmware == "Secure Boot") {
		t.Errorf("lockdown and audit:\n%s", got)
	}
}

// emptyDisk is a disk that nothing starts from.
func emptyDisk(t *testing.T) string {
	t.Helper()
	name := t.TempDir() + "/empty"
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 64<<20); err != nil {
		t.Fatal(err)
	}
	return name
}

// http serves a folder as a plain HTTP server would, until the test ends.
func (l *link) http(dir string) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.ctx)
	var said sandbox.Tail
	cmd, err := l.lab.sandbox.Command(ctx, sandbox.Step{
		Args: []string{"busybox", "httpd", "-f", "-p", serverAddr + ":80", "-h", "/srv"},
		Ro:   []sandbox.Bind{{Host: dir, Path: "/srv"}}, Network: true, Stdout: &said, Stderr: &said,
	})
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := cmd.Wait(); err != nil && ctx.Err() == nil {
			l.t.Errorf("httpd: %v\n%s", err, said.String())
		}
	}()
	l.t.Cleanup(func() {
		cancel()
		<-done
	})
}
