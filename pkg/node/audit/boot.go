package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/hwreport"
)

const efiVars = "sys/firmware/efi/efivars"

// efiGlobal is the vendor of the variables that the UEFI specification itself
// defines (2.10, 3.3).
const efiGlobal = "8be4df61-93ca-11d2-aa0d-00e098032b8c"

// boot reads what was started and how.
func boot(_ context.Context, m Machine, out *hwreport.Boot) ([]hwreport.Finding, error) {
	out.Kernel = text(m.Root, "proc/sys/kernel/osrelease")
	var found []hwreport.Finding
	if line, err := raw(m.Root, "proc/cmdline"); err != nil {
		out.Cmdline, out.Warnings = why[string](err), why[[]string](err)
	} else {
		out.Cmdline = hwreport.Value(mask(line))
		_, warnings := bootparam.Parse(line)
		list := []string{}
		for _, w := range warnings {
			list = append(list, w.String())
			name, _, _ := strings.Cut(w.Param, "=")
			found = append(found, hwreport.NewFinding(hwreport.Warning, "boot.parameter-ignored", name, w.String(), hwreport.Evidence{Source: "proc/cmdline", Value: w.Param}))
		}
		out.Warnings = hwreport.Value(list)
	}
	switch {
	case exists(m, "sys/firmware/devicetree"):
		out.Mode = hwreport.Value("devicetree")
	case exists(m, "sys/firmware"):
		out.Mode = hwreport.Value("bios")
	default:
		out.Mode = hwreport.Unknown[string]("there is no sys/firmware to look at")
	}
	out.SecureBoot, out.SetupMode = hwreport.Absent[bool](), hwreport.Absent[bool]()
	if exists(m, "sys/firmware/efi") {
		out.Mode = hwreport.Value("efi")
		out.SecureBoot, out.SetupMode = efiFlag(m.Root, "SecureBoot"), efiFlag(m.Root, "SetupMode")
	}
	out.Lockdown = lockdown(m.Root)
	out.Taint = number(m.Root, "proc/sys/kernel/tainted")
	found = append(found, taint(out.Taint.Or(0))...)
	out.Image = image(m.Root)
	bootDevice(m, out)
	return found, nil
}

// mask hides the values of parameters that are nobody's business.
func mask(line string) string {
	words := bootparam.Split(line)
	for i, w := range words {
		name, value, has := strings.Cut(w, "=")
		if has && bootparam.Secret(name) {
			w = name + "=…"
		} else if has && strings.ContainsAny(value, " \t") {
			w = name + `="` + value + `"`
		}
		words[i] = w
	}
	return strings.Join(words, " ")
}

// efiFlag reads a one-byte variable: four bytes of attributes come first
// (kernel: Documentation/filesystems/efivarfs.rst).
func efiFlag(root fs.FS, name string) hwreport.Field[bool] {
	b, err := fs.ReadFile(root, efiVars+"/"+name+"-"+efiGlobal)
	if err != nil {
		if all, _ := names(root, efiVars); len(all) == 0 {
			return hwreport.Unknown[bool]("the firmware's variables are not mounted")
		}
		return why[bool](err)
	}
	if len(b) != 5 {
		return hwreport.Unknown[bool](fmt.Sprintf("%s has %d bytes", name, len(b)))
	}
	return hwreport.Value(b[4] != 0)
}

// lockdown reads "none [integrity] confidentiality" (man 7 kernel_lockdown).
func lockdown(root fs.FS) hwreport.Field[string] {
	s, err := raw(root, "sys/kernel/security/lockdown")
	if err != nil {
		return why[string](err)
	}
	_, rest, ok := strings.Cut(s, "[")
	word, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return hwreport.Unknown[string](strconv.Quote(s) + " names no mode")
	}
	return hwreport.Value(word)
}

// taint tells the bits that speak of trouble (kernel: Documentation/
// admin-guide/tainted-kernels.rst).
func taint(bits int64) []hwreport.Finding {
	var words []string
	for _, b := range []struct {
		bit  int
		name string
	}{{4, "machine check"}, {5, "bad page"}, {7, "oops"}, {9, "warning"}, {14, "soft lockup"}} {
		if bits>>b.bit&1 != 0 {
			words = append(words, b.name)
		}
	}
	if words == nil {
		return nil
	}
	return []hwreport.Finding{hwreport.NewFinding(hwreport.Warning, "boot.kernel-tainted", "", "the kernel has seen: "+strings.Join(words, ", ")+"; see dmesg",
		hwreport.Evidence{Source: "proc/sys/kernel/tainted", Value: strconv.FormatInt(bits, 10)})}
}

// image reads the bill of materials of what runs.
func image(root fs.FS) hwreport.Field[hwreport.Image] {
	b, err := bom.ReadHead(root)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return hwreport.Absent[hwreport.Image]()
		}
		return hwreport.Unknown[hwreport.Image](err.Error())
	}
	i := hwreport.Image{Version: b.Version, BuildDate: b.BuildDate.UTC().Format(time.RFC3339), Variant: b.Variant}
	if text, err := fs.ReadFile(root, bom.Path); err == nil {
		i.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256(text))
	}
	return hwreport.Value(i)
}
