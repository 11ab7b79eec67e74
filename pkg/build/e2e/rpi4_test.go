package e2e

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/build/artifact"
)

// TestRPi4 judges the SD card, and boots the kernel and the initramfs that lie on
// it in QEMU's arm64 machine. What only a board can show is the rest: that its
// firmware reads the card, and that the drivers of its own devices work.
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
		key, value, ok := strings.Cut(line, "=")
		if strings.HasPrefix(line, "initramfs ") {
			key, value, ok = strings.Cut(line, " ")
		}
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
