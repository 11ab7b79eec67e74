package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	hexDigits = regexp.MustCompile(`^[0-9a-f]+$`)
	word      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
)

// pcrSize is the length of a PCR's value by bank, bytes (TCG Algorithm Registry).
var pcrSize = map[string]int{"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}

// lastPCR is the highest register of a PC (TCG PC Client Platform TPM Profile).
const lastPCR = 23

// check holds the manifest against the rules that the types cannot express.
func (m *Manifest) check() error {
	if m.Name != "bee" {
		return fmt.Errorf("name %q: this is not bee's", m.Name)
	}
	if m.Schema < 1 || m.Schema > Schema {
		return fmt.Errorf("schema %d: this program knows 1 to %d", m.Schema, Schema)
	}
	if y := m.Date.Year(); y < 1980 || y > 9999 || m.Date.Nanosecond() != 0 {
		return fmt.Errorf("date %s: not whole seconds from 1980 on", m.Date)
	}
	for what, s := range map[string]string{"version": m.Version, "family": m.Family, "arch": m.Arch, "variant": m.Variant} {
		if !word.MatchString(s) {
			return fmt.Errorf("%s %q: not a plain word", what, s)
		}
	}
	for _, f := range []func() error{m.checkSource, m.checkInputs, m.checkPCRs, m.checkParts, m.checkOutputs} {
		if err := f(); err != nil {
			return err
		}
	}
	if m.RAM.Budget < 0 || m.RAM.Estimate < 0 {
		return errors.New("ram: less than nothing")
	}
	return nil
}

func (m *Manifest) checkSource() error {
	c := m.Source.Commit
	switch {
	case c == "" && m.Source.Clean:
		return errors.New("source: a clean checkout has a commit")
	case c != "" && (!hexDigits.MatchString(c) || len(c) != 40 && len(c) != 64):
		return fmt.Errorf("source: commit %q is not 40 or 64 hexadecimal digits", c)
	}
	return nil
}

func (m *Manifest) checkInputs() error {
	for _, i := range m.Inputs {
		if i.Name == "" || i.Version == "" || i.Arch == "" || i.Licence == "" || len(i.Roles) == 0 || !isSHA256(i.SHA256) {
			return fmt.Errorf("input %q: name, version, arch, licence, roles and a SHA-256 are all wanted", i.Name)
		}
	}
	for _, g := range m.GoModules {
		if g.Path == "" || g.Version == "" || g.Licence == "" {
			return fmt.Errorf("module %q: path, version and licence are all wanted", g.Path)
		}
	}
	return errors.Join(
		rising("inputs", m.Inputs, compareInputs),
		rising("go_modules", m.GoModules, compareModules),
		rising("tools", m.Tools, compareTools))
}

func (m *Manifest) checkPCRs() error {
	for bank, values := range m.PCRs {
		size, ok := pcrSize[bank]
		if !ok {
			return fmt.Errorf("pcrs: no bank is called %q", bank)
		}
		for register, value := range values {
			n, err := strconv.Atoi(register)
			if err != nil || n < 0 || n > lastPCR || register != strconv.Itoa(n) {
				return fmt.Errorf("pcrs: %q is not a register", register)
			}
			if len(value) != 2*size || !hexDigits.MatchString(value) {
				return fmt.Errorf("pcrs: %s:%s: not %d hexadecimal digits", bank, register, 2*size)
			}
		}
	}
	return nil
}

func (m *Manifest) checkParts() error {
	for _, p := range m.Parts {
		if p.Name == "" || len(p.Integrity) == 0 {
			return fmt.Errorf("part %q: say what its integrity rests on, even if that is nothing", p.Name)
		}
		for _, r := range p.Integrity {
			if !slices.Contains([]Means{Signed, Measured, Hashed, Nothing}, r.Means) || r.Who == "" {
				return fmt.Errorf("part %q: %q %q is not signed, measured, hashed or nothing, and by whom", p.Name, r.Means, r.Who)
			}
			if r.Means == Nothing && len(p.Integrity) > 1 {
				return fmt.Errorf("part %q: nothing stands alone", p.Name)
			}
		}
	}
	return rising("parts", m.Parts, func(a, b Part) int { return strings.Compare(a.Name, b.Name) })
}

func (m *Manifest) checkOutputs() error {
	for _, o := range m.Outputs {
		if err := CheckName(o.Name); err != nil {
			return err
		}
		if slices.Contains([]string{FileName, SumsName}, o.Name) {
			return fmt.Errorf("output %s: the name is the manifest's own", o.Name)
		}
		if o.Size < 0 || !isSHA256(o.SHA256) || !isSHA256(strings.TrimPrefix(o.Verity, verityPrefix)) || !strings.HasPrefix(o.Verity, verityPrefix) || o.Role == "" {
			return fmt.Errorf("output %s: role, size, SHA-256 and fs-verity digest (%s…) are all wanted", o.Name, verityPrefix)
		}
		if err := o.Block.check(o.Size); err != nil {
			return fmt.Errorf("output %s: %w", o.Name, err)
		}
		for _, c := range o.Contents {
			if err := c.check(o.Size); err != nil {
				return fmt.Errorf("output %s: %w", o.Name, err)
			}
		}
		if err := rising("contents of "+o.Name, o.Contents, compareContents); err != nil {
			return err
		}
	}
	return rising("outputs", m.Outputs, compareOutputs)
}

func (b *Block) check(size int64) error {
	if b == nil {
		return nil
	}
	sum := sha256.Sum256(b.Original)
	if len(b.Original) != BlockSize || b.SHA256 != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("parameter block: the original is not %d bytes of the SHA-256 that stands beside it", BlockSize)
	}
	if len(b.Offsets) == 0 {
		return errors.New("parameter block: it stands nowhere")
	}
	next := int64(0)
	for _, o := range b.Offsets {
		if o < next || o > size-BlockSize {
			return fmt.Errorf("parameter block: offset %d overlaps another or lies outside", o)
		}
		next = o + BlockSize
	}
	return nil
}

func (c Content) check(size int64) error {
	if c.Role == "" || c.Path == "" || c.Size < 0 || !isSHA256(c.SHA256) {
		return fmt.Errorf("content %q: role, path, size and SHA-256 are all wanted", c.Path)
	}
	if c.Offset != nil && (*c.Offset < 0 || c.Size > size || *c.Offset > size-c.Size) {
		return fmt.Errorf("content %q: it lies outside", c.Path)
	}
	return nil
}

// CheckName says whether a name may stand for a file of the folder: relative,
// with slashes, never above it, and of characters that SHA256SUMS and a terminal
// show as they are.
func CheckName(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("name %q: it leaves the folder or is not a clean path", name)
	}
	if i := strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' }); i >= 0 {
		return fmt.Errorf("name %q: blanks, backslashes and what is not ASCII have no place in it", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") || strings.HasPrefix(part, "-") {
			return fmt.Errorf("name %q: no part of it may begin with a dot or a dash", name)
		}
	}
	return nil
}

func isSHA256(s string) bool { return len(s) == 64 && hexDigits.MatchString(s) }

// rising says whether each element comes after the one before it.
func rising[T any](what string, list []T, compare func(a, b T) int) error {
	for i := 1; i < len(list); i++ {
		if compare(list[i-1], list[i]) >= 0 {
			return fmt.Errorf("%s: element %d is not after the one before it, or the same", what, i)
		}
	}
	return nil
}
