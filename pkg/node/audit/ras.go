package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/hwreport"
)

// kmsg is the kernel's log (kernel: Documentation/ABI/testing/dev-kmsg).
const kmsg = "dev/kmsg"

// ras reads what the machine remembers of its own faults.
func ras(_ context.Context, m Machine, out *hwreport.RAS) ([]hwreport.Finding, error) {
	var found []hwreport.Finding
	log, err := raw(m.Root, kmsg)
	if err != nil {
		out.Records, out.Previous = why[[]hwreport.LogRecord](err), why[[]string](err)
	} else {
		records, previous := faults(log)
		out.Records, out.Previous = hwreport.Value(records), hwreport.Absent[[]string]()
		if previous != nil {
			out.Previous = hwreport.Value(previous)
			found = append(found, hwreport.NewFinding(hwreport.Warning, "ras.previous-boot", "", "the firmware kept errors of an earlier boot",
				hwreport.Evidence{Source: "BERT in " + kmsg, Value: strings.Join(previous, "; ")}))
		}
	}
	out.Pstore = pstore(m)
	if list := out.Pstore.Or(nil); len(list) > 0 {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "ras.pstore", "", "an earlier kernel left records of its end",
			hwreport.Evidence{Source: "sys/fs/pstore", Value: strings.Join(list, " ")}))
	}
	out.Tables = acpiTables(m)
	out.Watchdog = watchdogSays(m)
	if s, ok := out.Watchdog.Get(); ok {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "ras.watchdog-reset", "", "the watchdog says of the last reset: "+s,
			hwreport.Evidence{Source: "sys/class/watchdog/watchdog0/bootstatus", Value: s}))
	}
	return found, nil
}

// trouble is one kind of it in a line of the kernel's log. A line is looked at
// closely only where it holds one of the words, which no healthy machine's log does:
// an audit of one compiles no pattern. What a group catches first is the part that it
// happened to.
type trouble struct {
	kind  string
	words []string
	text  func() *regexp.Regexp
}

// near says whether a line holds one of the words.
func (p trouble) near(line string) bool {
	return slices.ContainsFunc(p.words, func(w string) bool { return strings.Contains(line, w) })
}

// pattern is compiled when it is first asked for: what runs at the start of the
// program runs at the start of every command of the image.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// troubles, the more special before the more general.
var troubles = []trouble{
	{"xid", []string{"NVRM: Xid"}, xidText},
	{"edac", []string{" CE ", " UE "}, pattern(`EDAC .*: \d+ [CU]E .*? on (.+?) \(`)},
	{"mce", []string{"Machine Check"}, pattern(`mce: \[Hardware Error\]: (?:CPU (\d+): )?Machine Check`)},
	{"mce", []string{"[Hardware Error]"}, pattern(`\[Hardware Error\]: (?:Corrected error, no action required|Uncorrected, software)`)},
	{"ghes", []string{"Generic Hardware Error"}, pattern(`\{\d+\}\[Hardware Error\]: Hardware error from APEI Generic Hardware Error Source: *(\d+)`)},
	{"memory", []string{"Memory failure"}, pattern(`Memory failure: (0x[0-9a-f]+): `)},
	{"aer", []string{"PCIe Bus Error"}, pattern(`([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]): PCIe Bus Error`)},
	{"aer", []string{"error received", "error message received"}, pattern(`AER: .*(?:error message|error) received(?: from|:) ([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])`)},
	{"io", []string{"error, dev"}, pattern(`(?:I/O|critical \w+) error, dev (\w+)`)},
	{"io", []string{"timeout, ", "controller is down", "Removing after probe failure", "Device not ready"}, pattern(`(nvme\d+): (?:I/O .*timeout|controller is down|Removing after probe failure|Device not ready)`)},
	{"io", []string{"failed command", "hard resetting link", "SError: ", "exception Emask"}, pattern(`\b(ata\d+(?:\.\d+)?): (?:failed command|hard resetting link|SError: |exception Emask)`)},
	{"thermal", []string{"above threshold"}, pattern(`CPU(\d+): (?:Package|Core) temperature (?:is )?above threshold`)},
	{"hang", []string{"blocked for more than"}, pattern(`INFO: task (\S+) blocked for more than`)},
	{"hang", []string{"lockup - CPU"}, pattern(`soft lockup - CPU#(\d+)`)},
	{"hang", []string{"LOCKUP"}, pattern(`(?:hard|Hard) LOCKUP on (?:CPU|cpu) ?#?(\d+)`)},
}

// maxRecords bounds the kinds of trouble that are kept.
const maxRecords = 256

// faults finds the lines of the kernel's log that speak of broken hardware; a
// record is "level,sequence,time,flags;message", continuation lines begin with
// a blank.
func faults(log string) (list []hwreport.LogRecord, previous []string) {
	list = []hwreport.LogRecord{}
	at := map[string]int{}
	bert := false
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, " ") {
			continue
		}
		if head, message, ok := strings.Cut(line, ";"); ok && strings.Count(head, ",") >= 2 {
			line = message
		}
		line = strings.TrimSpace(line)
		if strings.Contains(line, "BERT: Error records from previous boot") {
			bert = true
			continue
		}
		if bert {
			if text, ok := strings.CutPrefix(line, "[Hardware Error]:"); ok {
				if len(previous) < 16 {
					previous = append(previous, strings.TrimSpace(text))
				}
				continue
			}
			bert = false
		}
		for _, p := range troubles {
			if !p.near(line) {
				continue
			}
			m := p.text().FindStringSubmatch(line)
			if m == nil {
				continue
			}
			subject := ""
			for _, g := range m[1:] {
				if g != "" {
					subject = g
					break
				}
			}
			key := p.kind + "\x00" + subject
			if p.kind == "xid" {
				key += "\x00" + m[2]
			}
			if i, ok := at[key]; ok {
				list[i].Count++
			} else if len(list) < maxRecords {
				at[key] = len(list)
				list = append(list, hwreport.LogRecord{Kind: p.kind, Subject: subject, Part: hwreport.Absent[string](), Count: 1, First: line})
			}
			break
		}
	}
	return list, previous
}

func pstore(m Machine) hwreport.Field[[]string] {
	list, err := names(m.Root, "sys/fs/pstore")
	if err != nil {
		return why[[]string](err)
	}
	if len(list) == 0 {
		return hwreport.Absent[[]string]()
	}
	return hwreport.Value(list)
}

func acpiTables(m Machine) hwreport.Field[[]string] {
	entries, err := names(m.Root, "sys/firmware/acpi/tables")
	if err != nil {
		return why[[]string](err)
	}
	var list []string
	for _, e := range entries {
		if slices.Contains([]string{"BERT", "ERST", "EINJ", "HEST"}, e) {
			list = append(list, e)
		}
	}
	if list == nil {
		return hwreport.Absent[[]string]()
	}
	return hwreport.Value(list)
}

// watchdogSays reads why the watchdog thinks that the machine was reset (linux/
// watchdog.h, WDIOF_*); absent where it blames nothing.
func watchdogSays(m Machine) hwreport.Field[string] {
	s, err := raw(m.Root, "sys/class/watchdog/watchdog0/bootstatus")
	if err != nil {
		return why[string](err)
	}
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return hwreport.Unknown[string](fmt.Sprintf("bootstatus: %q is no number", s))
	}
	var words []string
	for _, w := range []struct {
		bit  int64
		name string
	}{{0x01, "overheated"}, {0x02, "fan failed"}, {0x04, "external relay 1"}, {0x08, "external relay 2"}, {0x10, "power under voltage"}, {0x20, "card reset"}, {0x40, "power over voltage"}} {
		if n&w.bit != 0 {
			words = append(words, w.name)
		}
	}
	if words == nil {
		return hwreport.Absent[string]()
	}
	return hwreport.Value(strings.Join(words, ", "))
}

// blame joins the records of the kernel's log to the parts of the report: a
// DIMM by its label, a PCI function by its address, a disk by its name; and
// tells of them.
func blame(r *hwreport.Report) []hwreport.Finding {
	records, ok := r.RAS.Data.Records.Get()
	if !ok {
		return nil
	}
	pci := map[string]string{}
	for _, d := range r.PCIe.Data.Devices.Or(nil) {
		pci[d.Address] = d.ID
	}
	disks := map[string]string{}
	for _, d := range r.Storage.Data.Disks.Or(nil) {
		disks[d.Name] = d.ID
		if n, ok := d.NVMe.Get(); ok {
			disks[n.Controller] = d.ID
		}
	}
	var found []hwreport.Finding
	gpus := r.GPU.Data.Devices.Or(nil)
	for i := range records {
		k := &records[i]
		switch k.Kind {
		case "xid":
			if id, ok := pci[xidAddress(k.Subject)]; ok {
				k.Part = hwreport.Value(id)
			}
			found = append(found, triage(gpus, k)...)
			continue
		case "aer":
			if id, ok := pci[strings.ToLower(k.Subject)]; ok {
				k.Part = hwreport.Value(id)
			}
		case "io":
			if id, ok := disks[k.Subject]; ok {
				k.Part = hwreport.Value(id)
			}
		case "edac":
			for _, d := range r.Memory.Data.Modules.Or(nil) {
				if labelled(strings.TrimSpace(k.Subject), d) {
					k.Part = hwreport.Value(d.ID)
				}
			}
		}
		severity := hwreport.Warning
		if k.Kind == "memory" {
			severity = hwreport.Failure
		}
		subject := k.Part.Or(hwreport.ID(k.Kind, k.Subject, "machine"))
		found = append(found, hwreport.NewFinding(severity, "ras."+k.Kind, subject, fmt.Sprintf("%s (%d times)", k.First, k.Count), hwreport.Evidence{Source: kmsg, Value: k.First}))
	}
	if len(records) > 0 {
		r.RAS.Data.Records = hwreport.Value(records)
	}
	if gpus != nil {
		r.GPU.Data.Devices = hwreport.Value(gpus)
	}
	return found
}

// readBytes reads a file of bytes, untrimmed.
func readBytes(root fs.FS, name string) ([]byte, error) {
	b, err := fs.ReadFile(root, name)
	if err == nil && len(b) > maxAttribute {
		return nil, errors.New(name + ": it is larger than any such file can be")
	}
	return b, err
}
