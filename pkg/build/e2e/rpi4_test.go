package e2e

import (
	"bufio"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// TestRPi4 judges the SD card, boots kernel, device tree and initramfs that lie
// on it in QEMU's model of the board, which has no network, and without the tree
// in QEMU's arm64 machine, which has. What only a board can show: that its
// firmware starts from the card, and that network, USB, screen and the serial
// line on its header work.
func TestRPi4(t *testing.T) {
	skip(t)
	p, err := pressedARM64()
	if err != nil {
		t.Fatal(err)
	}
	j, card := newJudge(t), p.file("disk-image-rpi4", artifact.RawFile)
	table := j.disk(card).Table
	if table.Label != "dos" || len(table.Partitions) != 1 {
		t.Fatalf("the board's firmware wants an MBR, bee one partition: %+v", table)
	}
	part := table.Partitions[0]
	if part.Type != "c" || !part.Bootable || part.Start != 2048 {
		t.Errorf("the partition is %+v", part)
	}
	dir := j.volume(card, part.Start, part.Size)
	t.Run("firmware", func(t *testing.T) { testPiFirmware(t, dir) })
	t.Run("config.txt", func(t *testing.T) { testPiConfig(t, dir) })
	t.Run("cmdline.txt", func(t *testing.T) {
		text, err := os.ReadFile(filepath.Join(dir, "cmdline.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(text), "quiet console=tty0 console=ttyS1,115200\n"; got != want {
			t.Errorf("%q, want %q: one line, and nothing behind it", got, want)
		}
	})
	t.Run("raspi4b", func(t *testing.T) { testPiBoard(t, p.lab, dir) })
	t.Run("boot", func(t *testing.T) {
		taken := *p.lab
		taken.images = dir
		m := start(t, &taken, options{key: p.client, noKey: true})
		m.arrives(false)
	})
}

// testPiFirmware: the board's own processor starts start4.elf, which is one of
// VideoCore's (ELF machine 137), with fixup4.dat.
func testPiFirmware(t *testing.T, dir string) {
	f, err := elf.Open(filepath.Join(dir, "start4.elf"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Machine != 137 {
		t.Errorf("start4.elf is for machine %d", f.Machine)
	}
	if fi, err := os.Stat(filepath.Join(dir, "fixup4.dat")); err != nil || fi.Size() < 1024 {
		t.Errorf("fixup4.dat: %v, %v", fi, err)
	}
}

// piKeys are what config.txt may say on a Pi 4, and which values bee uses
// (raspberrypi.com/documentation/computers/config_txt.html).
var piKeys = map[string]*regexp.Regexp{
	"arm_64bit": regexp.MustCompile(`^1$`), "enable_uart": regexp.MustCompile(`^1$`), "upstream_kernel": regexp.MustCompile(`^1$`),
	"device_tree": regexp.MustCompile(`^[\w.-]+\.dtb$`), "kernel": regexp.MustCompile(`^[\w.-]+$`), "initramfs": regexp.MustCompile(`^[\w.-]+ followkernel$`),
}

// parsePiConfig reads config.txt: lines of at most 98 characters, "key=value",
// but "initramfs NAME ADDRESS"; filters in brackets.
func parsePiConfig(text string) (map[string]string, error) {
	settings := make(map[string]string)
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if len(line) > 98 {
			return nil, fmt.Errorf("line %d is longer than 98 characters: the rest is not read", i+1)
		}
		if line == "" || line[0] == '#' || line == "[pi4]" || line == "[all]" {
			continue
		}
		separator := "="
		if strings.HasPrefix(line, "initramfs") {
			separator = " "
		}
		key, value, ok := strings.Cut(line, separator)
		known, documented := piKeys[key]
		if !ok || !documented || !known.MatchString(value) {
			return nil, fmt.Errorf("line %d: %q is not what the documentation knows", i+1, line)
		}
		if _, twice := settings[key]; twice {
			return nil, fmt.Errorf("line %d: %s is there twice", i+1, key)
		}
		settings[key] = value
	}
	return settings, nil
}

// testPiConfig: what config.txt names is on the card, and is what it should be.
func testPiConfig(t *testing.T, dir string) {
	for _, broken := range []string{"kernel vmlinuz", "kernal=vmlinuz", "initramfs=initrd.img followkernel", "arm_64bit=1\narm_64bit=1", "[pi5]", "# " + strings.Repeat("x", 100)} {
		if _, err := parsePiConfig(broken); err == nil {
			t.Errorf("the check lets %q through", broken)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.txt"))
	if err != nil {
		t.Fatal(err)
	}
	settings, err := parsePiConfig(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for key := range piKeys {
		if settings[key] == "" {
			t.Errorf("%s is not set", key)
		}
	}
	initramfs, _, _ := strings.Cut(settings["initramfs"], " ")
	for name, magic := range map[string]struct {
		at   int
		word uint32
	}{
		settings["kernel"]:      {56, binary.LittleEndian.Uint32([]byte("ARM\x64"))}, // Documentation/arch/arm64/booting.rst
		settings["device_tree"]: {0, binary.LittleEndian.Uint32([]byte{0xd0, 0x0d, 0xfe, 0xed})},
		initramfs:               {0, binary.LittleEndian.Uint32([]byte("0707"))}, // cpio: an uncompressed segment comes first
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(b) < magic.at+4 || binary.LittleEndian.Uint32(b[magic.at:]) != magic.word {
			t.Errorf("%s does not begin as such a file does: % x", name, b[:min(len(b), 64)])
		}
	}
	tree, err := os.ReadFile(filepath.Join(dir, settings["device_tree"]))
	if err != nil || !strings.Contains(string(tree), "raspberrypi,4-model-b\x00") {
		t.Errorf("the device tree is not the board's: %v", err)
	}
}

// piLines are what the kernel's log holds, in this order, of a boot on the board.
var piLines = []*regexp.Regexp{
	regexp.MustCompile(`Machine model: Raspberry Pi 4 Model B`),
	regexp.MustCompile(`bee: PID 1 began`),
	regexp.MustCompile(`bee: sshd: ready`),
	regexp.MustCompile(`bee: coldplug: ready`),
	regexp.MustCompile(`bee: audit: done`),
}

// testPiBoard boots in QEMU's raspi4b up to the audit. The model has no PCIe, no
// Ethernet and nothing at the addresses of HDMI's interrupts, I2C and clocks: the
// drivers of these are left out, as the kernel would die of what the bus answers.
// It hangs after the first byte that a program writes to the mini UART, which is
// the console on the board, so that the log goes out through the other one, by
// the kernel alone, which bee.debug lets speak. More processors than one only
// make it slower.
func testPiBoard(t *testing.T, b *lab, dir string) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), bootTime, fmt.Errorf("not within %v", bootTime))
	defer cancel()
	said, console := io.Pipe()
	defer said.Close()
	cmd, err := b.sandbox.Command(ctx, sandbox.Step{
		Args: []string{"qemu-system-aarch64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "raspi4b", "-m", "2048", "-smp", "4",
			"-accel", "tcg,thread=multi", "-serial", "stdio", "-no-reboot",
			"-kernel", "/card/" + artifact.KernelFile, "-initrd", "/card/" + artifact.InitrdFile, "-dtb", "/card/bcm2711-rpi-4-b.dtb",
			"-append", "console=tty0 earlycon=pl011,0xfe201000 keep_bootcon bee.debug maxcpus=1 initcall_blacklist=brcmstb_l2_driver_init,brcmstb_i2c_driver_init,clk_dvp_driver_init"},
		Ro: []sandbox.Bind{{Host: dir, Path: "/card"}}, Stdout: console, Stderr: console,
	})
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() { console.CloseWithError(cmd.Wait()) }()
	var text []string
	lines := bufio.NewScanner(said)
	for left := piLines; len(left) > 0; {
		if !lines.Scan() {
			t.Fatalf("the board did not say %v: %v, %v; it said last:\n%s", left[0], lines.Err(), context.Cause(ctx), strings.Join(text[max(0, len(text)-60):], "\n"))
		}
		text = append(text, lines.Text())
		if left[0].MatchString(lines.Text()) {
			left = left[1:]
		}
	}
	cancel()
	if _, err := io.Copy(io.Discard, said); err == nil { // until QEMU is gone
		t.Error("QEMU ended by itself")
	}
}
