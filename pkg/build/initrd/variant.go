package initrd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/build/deb822"
)

// Variant says what goes into an image: a file initramfs/<name>.manifest, one
// stanza in the format of deb822(5). Lists of an included variant come first.
// A list or a budget may be given for one architecture alone, in a field such as
// Modules-arm64; For makes them one.
type Variant struct {
	Name    string
	Summary string

	Core      []string // u-root core commands
	Node      []string // commands of cmds/node
	Modules   []string // module names, or folders below kernel/ that end in '/'
	Without   []string // the same, left out although a folder has them
	Raw       []string // modules stored without compression: those a boot waits for
	Load      []string // modules that are loaded whether or not a device asks
	After     []string // "module:companion": the second is loaded whenever the first was, as softdep post: does
	Before    []string // the same, but before it, as softdep pre: does
	Firmware  []string // lists in firmware-list/
	Data      []string // files of the lock's group "data": pci.ids
	Microcode bool     // early archive for Intel and AMD processors
	Zstd      bool     // programs are compressed: a smaller file that starts later

	ForNVIDIA []string // commands of cmds/node that go in with the NVIDIA driver
	NVIDIA    bool     // the driver goes in unless the build is told otherwise

	Budget       int64 // bytes of RAM that the unpacked image may take
	NVIDIABudget int64 // and so many more with the NVIDIA driver

	ByArch map[string]*Variant // what fields such as Modules-arm64 say: lists that are added, budgets that count instead
}

// arches are the architectures, as Go calls them, that a field's name may end
// in.
var arches = []string{"amd64", "arm64"}

// ReadVariant reads <name>.manifest from fsys.
func ReadVariant(fsys fs.FS, name string) (Variant, error) {
	return readVariant(fsys, name, nil)
}

func readVariant(fsys fs.FS, name string, from []string) (Variant, error) {
	if slices.Contains(from, name) {
		return Variant{}, fmt.Errorf("read manifest %q: it includes itself: %s", name, strings.Join(append(from, name), " → "))
	}
	if name == "" || strings.ContainsAny(name, "/\\ ") {
		return Variant{}, fmt.Errorf("read manifest %q: this is no manifest's name; there are: %s", name, strings.Join(Variants(fsys), ", "))
	}
	file := name + ".manifest"
	f, err := fsys.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Variant{}, fmt.Errorf("read manifest %q: there is none of that name in initramfs/; there are: %s", name, strings.Join(Variants(fsys), ", "))
	}
	if err != nil {
		return Variant{}, fmt.Errorf("read manifest: %w", err)
	}
	defer f.Close()
	stanzas, err := deb822.Parse(f)
	if err != nil {
		return Variant{}, fmt.Errorf("parse initramfs/%s: %w", file, err)
	}
	if len(stanzas) != 1 {
		return Variant{}, fmt.Errorf("parse initramfs/%s: %d stanzas where one was expected", file, len(stanzas))
	}
	var v Variant
	if base := stanzas[0].Get("Include"); base != "" {
		if v, err = readVariant(fsys, base, append(from, name)); err != nil {
			return Variant{}, err
		}
		for _, own := range v.ByArch { // a new budget is for every architecture
			if stanzas[0].Get("RAM-Budget") != "" {
				own.Budget = 0
			}
		}
	}
	if err := v.apply(stanzas[0]); err != nil {
		return Variant{}, fmt.Errorf("parse initramfs/%s: %w", file, err)
	}
	if v.Name != name {
		return Variant{}, fmt.Errorf("parse initramfs/%s: it calls itself %q", file, v.Name)
	}
	return v, nil
}

// For is the variant on one architecture: with what the fields of that name say.
func (v Variant) For(arch string) Variant {
	own := v.ByArch[arch]
	v.ByArch = nil
	if own == nil {
		return v
	}
	add := own.lists()
	for name, list := range v.lists() {
		*list = slices.Concat(*list, *add[name])
	}
	v.Budget = cmp.Or(own.Budget, v.Budget)
	v.NVIDIABudget = cmp.Or(own.NVIDIABudget, v.NVIDIABudget)
	return v
}

// lists are the variant's lists by the name of their field.
func (v *Variant) lists() map[string]*[]string {
	return map[string]*[]string{
		"core": &v.Core, "node": &v.Node, "modules": &v.Modules, "without-modules": &v.Without, "raw-modules": &v.Raw,
		"nvidia-node": &v.ForNVIDIA, "load": &v.Load, "load-after": &v.After, "load-before": &v.Before, "firmware": &v.Firmware, "data": &v.Data,
	}
}

// Variants are the names of all manifests in fsys.
func Variants(fsys fs.FS) []string {
	files, err := fs.Glob(fsys, "*.manifest")
	if err != nil {
		return nil // only for a bad pattern
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".manifest")
	}
	return files
}

func (v *Variant) apply(s deb822.Stanza) error {
	for _, f := range s.Fields {
		name := strings.ToLower(f.Name)
		err := v.set(name, f.Value)
		for _, arch := range arches {
			if base, ok := strings.CutSuffix(name, "-"+arch); ok && errors.Is(err, errUnknown) {
				err = v.of(arch).setOwn(base, f.Value)
			}
		}
		if errors.Is(err, errUnknown) {
			return fmt.Errorf("line %d: unknown field %q", f.Line, f.Name)
		}
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", f.Line, f.Name, err)
		}
	}
	switch {
	case v.Name == "":
		return errors.New("the field Variant is missing")
	case v.Budget <= 0:
		return errors.New("the field RAM-Budget is missing: how much RAM may the unpacked image take, such as 128 MiB?")
	}
	return v.onceOnly()
}

// errUnknown is of a field that there is not.
var errUnknown = errors.New("unknown field")

// set takes one field, by its name in lower case.
func (v *Variant) set(name, value string) (err error) {
	switch name {
	case "variant":
		v.Name = value
	case "summary":
		v.Summary = value
	case "include":
	case "microcode":
		v.Microcode, err = yesNo(value)
	case "nvidia":
		v.NVIDIA, err = yesNo(value)
	case "programs":
		switch value {
		case "raw":
			v.Zstd = false
		case "zstd":
			v.Zstd = true
		default:
			err = fmt.Errorf("%q is neither raw nor zstd", value)
		}
	default:
		err = v.setOwn(name, value)
	}
	return err
}

// setOwn takes a field that an architecture may have of its own: a list or a
// budget.
func (v *Variant) setOwn(name, value string) (err error) {
	switch name {
	case "ram-budget":
		v.Budget, err = size(value)
		return err
	case "nvidia-ram-budget":
		v.NVIDIABudget, err = size(value)
		return err
	}
	list, ok := v.lists()[name]
	if !ok {
		return errUnknown
	}
	for _, word := range strings.Fields(value) {
		if slices.Contains(*list, word) {
			return fmt.Errorf("it names %q twice", word)
		}
		*list = append(*list, word)
	}
	return nil
}

// of is what the fields of one architecture say.
func (v *Variant) of(arch string) *Variant {
	if v.ByArch == nil {
		v.ByArch = make(map[string]*Variant)
	}
	if v.ByArch[arch] == nil {
		v.ByArch[arch] = &Variant{}
	}
	return v.ByArch[arch]
}

// onceOnly refuses what stands in a list and in that of an architecture too.
func (v *Variant) onceOnly() error {
	for arch, own := range v.ByArch {
		add := own.lists()
		for name, list := range v.lists() {
			for _, word := range *add[name] {
				if slices.Contains(*list, word) {
					return fmt.Errorf("%[1]s and %[1]s-%[2]s both name %[3]q", name, arch, word)
				}
			}
		}
	}
	return nil
}

func yesNo(s string) (bool, error) {
	switch s {
	case "yes":
		return true, nil
	case "no":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", s)
}

// size reads "N MiB" as bytes.
func size(s string) (int64, error) {
	n, ok := strings.CutSuffix(s, " MiB")
	v, err := strconv.ParseInt(n, 10, 32)
	if !ok || err != nil || v <= 0 {
		return 0, fmt.Errorf("%q is no size such as 128 MiB", s)
	}
	return v << 20, nil
}
