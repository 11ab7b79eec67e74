package audit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
)

// xidText is how NVIDIA's driver writes an XID to the kernel's log, with the
// GPU's place on the bus with or without a function, and in old releases
// without the word PCI:
//
//	NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
var xidText = pattern(`NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): *(\d+)`)

// fallenOff is the XID of a GPU that the driver cannot reach any more.
const fallenOff = 79

// xidNumber takes the number out of a line; false: it holds none that can be.
func xidNumber(line string) (int64, bool) {
	m := xidText().FindStringSubmatch(line)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[2], 10, 32)
	return n, err == nil
}

// xidAddress makes the address of sysfs, 0000:3b:00.0, of the driver's.
func xidAddress(subject string) string {
	address := strings.ToLower(subject)
	if strings.Count(address, ":") == 2 && !strings.Contains(address, ".") {
		address += ".0"
	}
	return address
}

// triage tells what an XID means and what to do, and hangs it on its GPU.
func triage(gpus []hwreport.GPUDevice, k *hwreport.LogRecord) []hwreport.Finding {
	n, ok := xidNumber(k.First)
	if !ok { // a number that none can be
		n = -1
	}
	kind, _ := hwreport.XIDOf(n)
	id := k.Part.Or("")
	for i := range gpus {
		if id != "" && gpus[i].ID == id {
			gpus[i].XIDs = hwreport.Value(append(gpus[i].XIDs.Or(nil), hwreport.XID{Number: n, Count: k.Count, Text: k.First, Meaning: kind.Meaning, Severity: kind.Severity, Action: kind.Action}))
		}
	}
	subject := k.Part.Or(hwreport.ID(k.Kind, k.Subject, "machine"))
	evidence := hwreport.Evidence{Source: kmsg, Value: k.First}
	found := []hwreport.Finding{hwreport.NewFinding(kind.Severity, "ras.xid", fmt.Sprintf("%s:%d", subject, n),
		fmt.Sprintf("XID %d of GPU %s (%d times): %s. To do: %s", n, xidAddress(k.Subject), k.Count, kind.Meaning, kind.Action), evidence)}
	if n == fallenOff {
		found = append(found, hwreport.NewFinding(hwreport.Failure, "gpu.lost", subject, fmt.Sprintf("the GPU at %s fell off the bus", xidAddress(k.Subject)), evidence))
	}
	return found
}
