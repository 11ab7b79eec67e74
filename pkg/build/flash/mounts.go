package flash

import (
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// use is one way in which a device is in use.
type use struct {
	dev    string // major:minor, or empty where only the source is known
	source string // /dev/sda1
	how    string // "mounted on /home", "used as swap"
	system bool   // the machine runs from it
}

// systemMounts are where the running system lies. What is on one of these is
// told as such.
var systemMounts = []string{"/", "/boot", "/boot/efi", "/efi", "/usr", "/var"}

// readUses reads what is mounted (proc_pid_mountinfo(5)) and what is swapped to
// (proc_swaps(5)).
func readUses(proc fs.FS) ([]use, error) {
	mounts, err := fs.ReadFile(proc, "self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read what is mounted: %w", err)
	}
	uses, err := parseMounts(string(mounts))
	if err != nil {
		return nil, err
	}
	swaps, err := fs.ReadFile(proc, "swaps")
	if err != nil {
		return nil, fmt.Errorf("read what is swapped to: %w", err)
	}
	return append(uses, parseSwaps(string(swaps))...), nil
}

func parseMounts(text string) ([]use, error) {
	var uses []use
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 2 {
			return nil, fmt.Errorf("read what is mounted: the line %q is not of the form that proc_pid_mountinfo(5) says", strings.TrimSpace(line))
		}
		point := unescape(f[4])
		u := use{dev: f[2], source: unescape(g[1]), how: "mounted on " + strconv.Quote(point)}
		for _, m := range systemMounts {
			u.system = u.system || m == point
		}
		uses = append(uses, u)
	}
	return uses, nil
}

func parseSwaps(text string) []use {
	var uses []use
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "Filename" {
			uses = append(uses, use{source: unescape(f[0]), how: "used as swap"})
		}
	}
	return uses
}

// unescape undoes the octal escapes of blanks and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// names says whether a use is of the device with this number or name. Some file
// systems (btrfs) have a number of their own: then the source tells.
func (u use) names(dev, name, mapped string) bool {
	if u.dev != "" && u.dev == dev {
		return true
	}
	if !strings.HasPrefix(u.source, "/dev/") {
		return false
	}
	return u.source == "/dev/"+name || mapped != "" && u.source == path.Join("/dev/mapper", mapped)
}
