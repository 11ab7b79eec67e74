package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/pciids"
	"github.com/bee-os/bee/pkg/node/audit/tree"
)

// shortest is the length from which on a value is looked for in bytes; a
// shorter one would be found everywhere and is looked for only where it stands
// alone: see inPlace.
const shortest = 5

// secret says whether a value tells one machine from another.
func secret(s string) bool { return len(s) > 1 && !placeholder(s) }

// redactTree replaces, in everything that was read, what tells this machine
// from its sisters: text by text of the same length and alphabet made with the
// key, so that structures keep their shape, and their checksums are set anew.
// Then the archive is played back: where a value is still to be seen, nothing
// is written.
func redactTree(t *tree.Tree, r *hwreport.Report, key []byte, list []Collector) error {
	secrets, err := hwreport.Secrets(r)
	if err != nil {
		return err
	}
	var pairs, alone []swap
	for _, s := range secrets {
		switch {
		case !secret(s):
		case len(s) >= shortest:
			pairs = append(pairs, swaps(s, key)...)
		default:
			alone = append(alone, swaps(s, key)[0])
		}
	}
	slices.SortStableFunc(pairs, func(a, b swap) int { return cmp.Compare(len(b.old), len(a.old)) })
	replace := func(b []byte) []byte {
		for _, p := range pairs {
			b = bytes.ReplaceAll(b, p.old, p.new)
		}
		for _, p := range alone {
			b = p.inPlace(b)
		}
		return b
	}
	nvml := device.NVMLReport(hwreport.NVMLMaxSize).File()
	t.Rewrite(func(_ string, b []byte) []byte { return b }, func(name string, b []byte) []byte {
		if name == nvml {
			return hwreport.RedactNVML(b, key)
		}
		return b
	})
	units := map[byte][]byte{}
	t.Rewrite(func(name string, b []byte) []byte {
		if name == pciids.Path { // public
			return b
		}
		return repaired(name, b, replace(b))
	}, func(name string, b []byte) []byte {
		if unit, at, ok := fruChunk(name); ok && len(b) > 2 {
			all := units[unit]
			if grow := at + len(b) - 2 - len(all); grow > 0 {
				all = append(all, make([]byte, grow)...)
			}
			copy(all[at:], b[2:])
			units[unit] = all
			return b
		}
		return repaired(name, b, replace(b))
	})
	for unit, all := range units {
		units[unit] = repairFRU(all, replace(slices.Clone(all)))
	}
	t.Rewrite(func(_ string, b []byte) []byte { return b }, func(name string, b []byte) []byte {
		if unit, at, ok := fruChunk(name); ok && len(b) > 2 {
			return append(b[:2:2], units[unit][at:at+len(b)-2]...)
		}
		return b
	})
	t.Meta.Redacted = true
	return leaks(t, secrets, list)
}

// swap is one form of a secret and what stands for it.
type swap struct{ old, new []byte }

// inPlace replaces a value where it stands alone: as a whole file, as a string of
// SMBIOS, or behind its own length, as a page of serial numbers has it (SPC-4,
// 7.8.18: the page's length is that of the number).
func (p swap) inPlace(b []byte) []byte {
	if bytes.Equal(bytes.TrimSpace(b), p.old) {
		b = bytes.Replace(b, p.old, p.new, 1)
	}
	for _, edge := range []struct{ before, after []byte }{{[]byte{0}, []byte{0}}, {[]byte{0, byte(len(p.old))}, nil}} {
		b = bytes.ReplaceAll(b, slices.Concat(edge.before, p.old, edge.after), slices.Concat(edge.before, p.new, edge.after))
	}
	return b
}

// swaps makes the forms in which firmware, kernel and devices write a value.
func swaps(s string, key []byte) []swap {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(strings.ToLower(s)))
	stream := h.Sum(nil)
	prefix, digits := "", s
	for _, p := range []string{"naa.", "eui.", "uuid.", "t10.", "0x", "nqn.", "GPU-", "MIG-"} {
		if rest, ok := strings.CutPrefix(s, p); ok {
			prefix, digits = p, rest
		}
	}
	bare := strings.NewReplacer(":", "", "-", "", ".", "").Replace(digits)
	raw, err := hex.DecodeString(bare)
	isHex := err == nil && len(raw) >= 6 && strings.ContainsAny(bare, "abcdefABCDEF:-") || err == nil && prefix != "" && len(raw) >= 6 || err == nil && strings.Contains(digits, ":")
	out := []byte(digits)
	for i, c := range out {
		n := stream[i%len(stream)] + byte(i/len(stream))
		switch {
		case c >= '0' && c <= '9':
			out[i] = '0' + n%10
		case isHex && c >= 'a' && c <= 'f':
			out[i] = 'a' + n%6
		case isHex && c >= 'A' && c <= 'F':
			out[i] = 'A' + n%6
		case c >= 'a' && c <= 'z':
			out[i] = 'a' + n%26
		case c >= 'A' && c <= 'Z':
			out[i] = 'A' + n%26
		}
	}
	if string(out) == digits { // the hash may say the same by chance
		i := strings.IndexFunc(digits, func(c rune) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' })
		if i >= 0 {
			out[i] ^= 1
		}
	}
	list := []swap{{[]byte(digits), out}}
	if up := strings.ToUpper(digits); up != digits {
		list = append(list, swap{[]byte(up), bytes.ToUpper(out)})
	}
	if low := strings.ToLower(digits); low != digits {
		list = append(list, swap{[]byte(low), bytes.ToLower(out)})
	}
	list = append(list, swap{pairwise([]byte(digits)), pairwise(out)}) // as ATA writes it
	if !isHex {
		return list
	}
	newRaw, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "", ".", "").Replace(string(out)))
	if err != nil {
		return list
	}
	list = append(list, swap{raw, newRaw}, swap{[]byte(bare), []byte(hex.EncodeToString(newRaw))}, swap{[]byte(strings.ToUpper(bare)), []byte(strings.ToUpper(hex.EncodeToString(newRaw)))})
	if len(raw) == 16 { // as SMBIOS writes a UUID
		mix := func(b []byte) []byte {
			return append([]byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]}, b[8:]...)
		}
		list = append(list, swap{mix(raw), mix(newRaw)})
	}
	if len(raw) == 8 { // words the other way round, as IDENTIFY DEVICE holds a world wide name
		list = append(list, swap{pairwise(raw), pairwise(newRaw)})
	}
	return list
}

func pairwise(b []byte) []byte {
	out := slices.Clone(b)
	if len(out)%2 != 0 {
		out = append(out, ' ')
	}
	for i := 0; i+1 < len(out); i += 2 {
		out[i], out[i+1] = out[i+1], out[i]
	}
	return out
}

// fruChunk takes apart the name of a question for a piece of an inventory
// (IPMI 2.0, 34.2): its unit and where the piece begins.
func fruChunk(name string) (unit byte, at int, ok bool) {
	rest, ok := strings.CutPrefix(name, "dev/ipmi0/ipmi/0a11")
	if !ok {
		return 0, 0, false
	}
	text, _, _ := strings.Cut(rest, "-")
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 4 {
		return 0, 0, false
	}
	return b[0], int(b[1]) | int(b[2])<<8, true
}

// repairFRU sets the checksums of areas that had a right one.
func repairFRU(old, b []byte) []byte {
	if len(b) < 8 {
		return b
	}
	for _, i := range []int{2, 3, 4} {
		at := int(b[i]) * 8
		if at == 0 || at+2 > len(b) {
			continue
		}
		end := at + int(b[at+1])*8
		if end <= at || end > len(b) || sum8(old[at:end]) != 0 {
			continue
		}
		b[end-1] -= sum8(b[at:end])
	}
	return b
}

func sum8(b []byte) (s byte) {
	for _, c := range b {
		s += c
	}
	return s
}

// repaired sets the checksums of structures that are not FRU: product data,
// transceivers, IDENTIFY DEVICE.
func repaired(name string, old, b []byte) []byte {
	if bytes.Equal(old, b) {
		return b
	}
	cover := func(from, to, at int) { // the sum of [from, to) stands at at
		if at < len(b) && sum8(old[from:to]) == old[at] {
			b[at] = sum8(b[from:to])
		}
	}
	switch {
	case strings.HasSuffix(name, "/vpd"):
		if i := bytes.LastIndex(b, []byte("RV")); i >= 0 && i+3 < len(b) && sum8(old[:i+4]) == 0 {
			b[i+3] -= sum8(b[:i+4])
		}
	case strings.Contains(name, "/ethtool/43") && len(b) > 16+222:
		switch b[16] {
		case 0x02, 0x03:
			cover(16, 16+63, 16+63)
			cover(16+64, 16+95, 16+95)
		case 0x0c, 0x0d, 0x11:
			cover(16+128, 16+128+63, 16+128+63)
			cover(16+128+64, 16+128+95, 16+128+95)
		default:
			cover(16+128, 16+222, 16+222)
		}
	case strings.Contains(name, "/scsi/85") && len(b) >= 512:
		if d := b[len(b)-512:]; d[510] == 0xa5 && sum8(old[len(old)-512:]) == 0 {
			d[511] -= sum8(d)
		}
	}
	return b
}

// leaks plays the archive back and looks for what should be gone.
func leaks(t *tree.Tree, secrets []string, list []Collector) error {
	r := Run(context.Background(), Config{Collectors: list, Machine: NewMachine(t, t), Past: &t.Meta})
	now, err := hwreport.Secrets(r)
	if err != nil {
		return err
	}
	var left []string
	for _, s := range secrets {
		if !secret(s) {
			continue
		}
		if slices.Contains(now, s) {
			left = append(left, "the report")
		}
		if len(s) < shortest {
			continue
		}
		low := []byte(strings.ToLower(s))
		t.Each(func(name string, b []byte) {
			if name != pciids.Path && bytes.Contains(bytes.ToLower(b), low) {
				left = append(left, name)
			}
		})
	}
	if left == nil {
		return nil
	}
	slices.Sort(left)
	return fmt.Errorf("redact: values that should be hidden are still in %s: nothing was written; capture without --redact, or with --only for the other sections", strings.Join(slices.Compact(left), ", "))
}
