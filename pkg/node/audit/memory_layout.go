package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// locatorOf is what names a slot: its locator, with the bank's in front where
// the firmware writes the same locator on several.
func locatorOf(repeated map[string]int, d hwreport.DIMM) string {
	l, b := d.Locator.Or(""), d.Bank.Or("")
	if repeated[l] > 1 && b != "" {
		return b + " " + l
	}
	return l
}

// Firmware writes processor and channel into the locators as it likes: "CPU1_DIMM_A2",
// "P0_Node0_Channel1_Dimm0", "PROC 2 DIMM 3", "NODE 1", "A1".

// socketOf is the processor that the locator or the bank names, else the node.
func socketOf(d hwreport.DIMM) hwreport.Field[string] {
	for _, words := range [][]string{{"cpu", "proc", "processor", "socket", "p"}, {"node"}} {
		for _, text := range []string{d.Locator.Or(""), d.Bank.Or("")} {
			if n := numberAfter(text, words); n != "" {
				return hwreport.Value("CPU " + n)
			}
		}
	}
	return hwreport.Absent[string]()
}

// numberAfter is the first number that follows one of some words, which are all that
// stands between two other characters, and at most two separators.
func numberAfter(text string, words []string) string {
	for text != "" {
		n := leading(text, isLetter)
		if n == 0 {
			text = text[1:]
			continue
		}
		word := text[:n]
		text = text[n:]
		if slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, word) }) {
			rest := afterSeparators(text)
			if n := leading(rest, isDigit); n > 0 {
				return rest[:n]
			}
		}
	}
	return ""
}

func channelOf(t smbios.Tables, s smbios.Structure, d hwreport.DIMM) hwreport.Field[string] {
	for i, c := range t.Of(37) { // memory channel (7.38): a list of load and handle
		n, _ := c.Byte(6)
		for k := range int(n) {
			if h, ok := c.Word(8 + 3*k); ok && h == s.Handle {
				return hwreport.Value(strconv.Itoa(i))
			}
		}
	}
	for _, c := range []string{channelNamed(d.Locator.Or("")), channelNamed(d.Bank.Or("")), channelOfSlot(d.Locator.Or(""))} {
		if c != "" {
			return hwreport.Value(c)
		}
	}
	return hwreport.Absent[string]()
}

// channelNamed is the number, or the single letter with a digit where one follows it,
// after the word channel or what it is shortened to.
func channelNamed(text string) string {
	text = strings.ToUpper(text)
	for ; text != ""; text = text[1:] {
		for _, word := range []string{"CHANNEL", "CHAN", "CH"} {
			rest, ok := strings.CutPrefix(text, word)
			if !ok {
				continue
			}
			rest = afterSeparators(rest)
			if n := leading(rest, isDigit); n > 0 {
				return rest[:n]
			}
			if leading(rest, isLetter) == 1 {
				return rest[:1+min(1, leading(rest[1:], isDigit))]
			}
		}
	}
	return ""
}

// channelOfSlot is the letter of "A1", "DIMM_B2", "CPU1-C 3": alone, or after "DIMM", and
// a number at the end.
func channelOfSlot(text string) string {
	text = strings.ToUpper(text)
	slot := strings.TrimRight(text, "0123456789")
	if slot == text {
		return ""
	}
	if n := len(slot); n > 0 && strings.ContainsRune(" _-", rune(slot[n-1])) {
		slot = slot[:n-1]
	}
	if slot == "" || slot[len(slot)-1] < 'A' || slot[len(slot)-1] > 'P' {
		return ""
	}
	before, letter := slot[:len(slot)-1], slot[len(slot)-1:]
	before, _ = strings.CutSuffix(before, "DIMM")
	if before != "" && isLetter(before[len(before)-1]) {
		return ""
	}
	return letter
}

// afterSeparators leaves out as many as two.
func afterSeparators(text string) string {
	n := leading(text, func(c byte) bool { return strings.IndexByte(" _#-", c) >= 0 })
	return text[min(n, 2):]
}

// leading counts the bytes at the beginning that are of one kind.
func leading(text string, kind func(byte) bool) int {
	for i := range len(text) {
		if !kind(text[i]) {
			return i
		}
	}
	return len(text)
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// errorTypes are DSP0134 7.19.1, from 1.
var errorTypes = []string{"Other", "Unknown", "OK", "Bad read", "Parity error", "Single-bit error", "Double-bit error", "Multi-bit error", "Nibble error",
	"Checksum error", "CRC error", "Corrected single-bit error", "Corrected error", "Uncorrectable error"}

// moduleError reads the error that a module points at: type 18 or 33. Handles
// 0xfffe and 0xffff mean that there is none.
func moduleError(t smbios.Tables, s smbios.Structure) hwreport.Field[string] {
	h, ok := s.Word(6)
	if !ok || h >= 0xfffe {
		return hwreport.Absent[string]()
	}
	for _, kind := range []byte{18, 33} {
		for _, e := range t.Of(kind) {
			if e.Handle != h {
				continue
			}
			n, ok := e.Byte(4)
			if !ok || n == 0 || n == 2 || n == 3 {
				return hwreport.Absent[string]()
			}
			return named(errorTypes, n, ok)
		}
	}
	return hwreport.Absent[string]()
}

// sizes tells where slots and arrays contradict each other.
func sizes(t smbios.Tables, out *hwreport.Memory) []hwreport.Finding {
	var stated int64
	for _, a := range out.Arrays.Or(nil) {
		stated += a.Slots.Or(0)
	}
	if have := int64(len(t.Of(17))); stated > 0 && have > 0 && have != stated {
		return []hwreport.Finding{hwreport.NewFinding(hwreport.Info, "memory.slots-differ", "", fmt.Sprintf("the firmware states %d slots and describes %d", stated, have),
			hwreport.Evidence{Source: "SMBIOS types 16 and 17", Value: fmt.Sprintf("%d/%d", stated, have)})}
	}
	return nil
}

// population judges how the modules are spread: processors with different
// amounts, channels of one processor with different amounts, modules of
// different sizes or speeds side by side.
func population(dimms []hwreport.DIMM) []hwreport.Finding {
	sockets, channels := map[string]int64{}, map[string]map[string]int64{}
	slots := map[string]bool{}
	sized, speeds := map[int64]int{}, map[int64]int{}
	for _, d := range dimms {
		socket := d.Socket.Or("")
		slots[socket] = true
		n, full := d.Bytes.Get()
		if !full {
			continue
		}
		sized[n]++
		if v, ok := d.SpeedMTs.Get(); ok {
			speeds[v]++
		}
		sockets[socket] += n
		if c, ok := d.Channel.Get(); ok {
			if channels[socket] == nil {
				channels[socket] = map[string]int64{}
			}
			channels[socket][c] += n
		}
	}
	var found []hwreport.Finding
	if len(slots) > 1 && !slots[""] && differ(slots, sockets) {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "memory.unbalanced", "sockets", "the processors have different amounts of memory",
			hwreport.Evidence{Source: "SMBIOS type 17", Value: spread(sockets)}))
	}
	for _, s := range slices.Sorted(maps.Keys(channels)) {
		have := map[string]bool{}
		for c := range channels[s] {
			have[c] = true
		}
		if differ(have, channels[s]) {
			found = append(found, hwreport.NewFinding(hwreport.Info, "memory.unbalanced", hwreport.ID("channels", s, "board"), strings.TrimSpace(s+" has channels with different amounts of memory"),
				hwreport.Evidence{Source: "SMBIOS type 17", Value: spread(channels[s])}))
		}
	}
	if len(sized) > 1 {
		found = append(found, hwreport.NewFinding(hwreport.Info, "memory.mixed-sizes", "", "modules of different sizes",
			hwreport.Evidence{Source: "SMBIOS type 17", Value: counts(sized, hwreport.Size)}))
	}
	if len(speeds) > 1 {
		found = append(found, hwreport.NewFinding(hwreport.Info, "memory.mixed-speeds", "", "modules of different rated speeds: all run at the slowest",
			hwreport.Evidence{Source: "SMBIOS type 17", Value: counts(speeds, func(n int64) string { return fmt.Sprintf("%d MT/s", n) })}))
	}
	return found
}

func differ(keys map[string]bool, sums map[string]int64) bool {
	var list []int64
	for k := range keys {
		list = append(list, sums[k])
	}
	return len(list) > 0 && slices.Min(list) != slices.Max(list)
}

func spread(sums map[string]int64) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(sums)) {
		list = append(list, fmt.Sprintf("%s: %s", cmp.Or(k, "?"), hwreport.Size(sums[k])))
	}
	return strings.Join(list, ", ")
}

func counts(m map[int64]int, name func(int64) string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%d × %s", m[k], name(k)))
	}
	return strings.Join(list, ", ")
}

// controllers reads EDAC (kernel: Documentation/admin-guide/RAS).
func controllers(m Machine) hwreport.Field[[]hwreport.MemoryController] {
	const dir = "sys/devices/system/edac/mc"
	entries, err := names(m.Root, dir)
	if err != nil {
		return hwreport.Unknown[[]hwreport.MemoryController](err.Error())
	}
	var list []hwreport.MemoryController
	for _, e := range entries {
		if !numbered(e, "mc") {
			continue
		}
		d := dir + "/" + e
		c := hwreport.MemoryController{ID: "edac:" + e, Driver: text(m.Root, d+"/mc_name"), Bytes: mebibytes(number(m.Root, d+"/size_mb")),
			Corrected: number(m.Root, d+"/ce_count"), Uncorrectable: number(m.Root, d+"/ue_count"), CorrectedNone: number(m.Root, d+"/ce_noinfo_count"), Modules: []hwreport.EDACModule{}}
		below, err := names(m.Root, d)
		if err != nil {
			return hwreport.Unknown[[]hwreport.MemoryController](err.Error())
		}
		for _, k := range below {
			if !numbered(k, "dimm") && !numbered(k, "rank") {
				continue
			}
			at := d + "/" + k
			c.Modules = append(c.Modules, hwreport.EDACModule{Label: text(m.Root, at+"/dimm_label").Or(""), Location: text(m.Root, at+"/dimm_location"), DIMM: hwreport.Absent[string](),
				Bytes: mebibytes(number(m.Root, at+"/size")), Mode: text(m.Root, at+"/dimm_edac_mode"), Corrected: number(m.Root, at+"/dimm_ce_count"), Uncorrectable: number(m.Root, at+"/dimm_ue_count")})
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return hwreport.Absent[[]hwreport.MemoryController]()
	}
	return hwreport.Value(list)
}

func mebibytes(f hwreport.Field[int64]) hwreport.Field[int64] {
	if n, ok := f.Get(); ok {
		return hwreport.Value(n << 20)
	}
	return f
}

// joinEDAC gives the drivers' counters to the slots whose locator stands in
// their labels, and tells of errors where nobody knows the slot.
func joinEDAC(dimms []hwreport.DIMM, out *hwreport.Memory) []hwreport.Finding {
	list, watched := out.Controller.Get()
	switch {
	case watched:
		out.ECCActive = hwreport.Value(false)
	case out.ECC.Or("") == "None":
		out.ECCActive = hwreport.Value(false)
	default:
		out.ECCActive = hwreport.Unknown[bool]("no driver counts errors")
	}
	var found []hwreport.Finding
	for i := range list {
		for k := range list[i].Modules {
			e := &list[i].Modules[k]
			if mode := e.Mode.Or("None"); mode != "None" && mode != "Unknown" && mode != "Reserved" {
				out.ECCActive = hwreport.Value(true)
			}
			n, at := 0, 0
			for j, d := range dimms {
				if labelled(e.Label, d) {
					n, at = n+1, j
				}
			}
			subject := hwreport.ID("edac", e.Label, list[i].ID)
			if n == 1 {
				d := &dimms[at]
				e.DIMM = hwreport.Value(d.ID)
				d.Corrected, d.Uncorrectable = add(d.Corrected, e.Corrected), add(d.Uncorrectable, e.Uncorrectable)
				subject = d.ID
			}
			found = append(found, errorFindings(subject, e.Corrected.Or(0), e.Uncorrectable.Or(0))...)
		}
	}
	if watched {
		out.Controller = hwreport.Value(list)
	}
	return found
}

// labelled says whether an EDAC label names a slot: it is the locator, or the
// bank's and the locator's text (ghes_edac), or ends with the locator.
func labelled(label string, d hwreport.DIMM) bool {
	l, b := d.Locator.Or(""), d.Bank.Or("")
	return l != "" && (label == l || label == b+" "+l || label == l+" "+b)
}

func add(a, b hwreport.Field[int64]) hwreport.Field[int64] {
	n, ok := b.Get()
	if !ok {
		return a
	}
	return hwreport.Value(a.Or(0) + n)
}

func errorFindings(subject string, corrected, uncorrected int64) []hwreport.Finding {
	var found []hwreport.Finding
	if uncorrected > 0 {
		found = append(found, hwreport.NewFinding(hwreport.Failure, "memory.uncorrected-errors", subject, fmt.Sprintf("%d errors could not be corrected", uncorrected),
			hwreport.Evidence{Source: "EDAC ue_count", Value: strconv.FormatInt(uncorrected, 10)}))
	}
	if corrected > 0 {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "memory.corrected-errors", subject, fmt.Sprintf("%d errors were corrected", corrected),
			hwreport.Evidence{Source: "EDAC ce_count", Value: strconv.FormatInt(corrected, 10)}))
	}
	return found
}

func edacFindings(out *hwreport.Memory) []hwreport.Finding {
	var found []hwreport.Finding
	for _, c := range out.Controller.Or(nil) {
		ce, ue := c.Corrected.Or(0), c.Uncorrectable.Or(0)
		for _, e := range c.Modules { // told by module already
			ce, ue = ce-e.Corrected.Or(0), ue-e.Uncorrectable.Or(0)
		}
		found = append(found, errorFindings(c.ID, ce, ue)...)
	}
	if ecc := out.ECC.Or(""); strings.Contains(ecc, "ECC") && out.Controller.State() == hwreport.IsAbsent && out.Modules.State() == hwreport.IsValue {
		found = append(found, hwreport.NewFinding(hwreport.Info, "memory.ecc-unwatched", "", "the memory has ECC, but no driver counts its errors",
			hwreport.Evidence{Source: "SMBIOS type 16", Value: ecc}))
	}
	return found
}
