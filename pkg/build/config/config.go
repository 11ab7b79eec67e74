// Package config reads what a build is asked for: bee.toml in the root of the
// checkout, and the environment, which wins over the file, which wins over the
// defaults. Every key stands as one line in one table, from which parsing,
// the README's table and the example file are made.
//
// Nothing secret is a value: keys are named by their file.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/bee-os/bee/pkg/build/nearest"
)

// Name is the file in the root of the checkout.
const Name = "bee.toml"

// Config is what a build is asked for, defaults filled in. Paths of the file
// are relative to the root of the checkout and come with it; those of the
// environment come as they are.
type Config struct {
	Arch     string   // GOARCH
	Manifest string   // initramfs/<name>.manifest
	Variants []string // families of artifacts; empty: those that the target makes

	AuthorizedKeys string   // file of public SSH keys; empty: none
	Parameters     []string // kernel parameters in the media's own boot configuration
	Commands       []string // of u-root's core or cmds/node, besides the manifest's
	Modules        []string // as in a manifest: names, or folders that end in '/'
	Firmware       []string // lists of firmware-list/, besides the manifest's
	VendorTools    string   // folder of makers' programs, one folder an architecture in it
	Files          []File   // further files of the image

	NVIDIA       string // "on", "off"; empty: as the manifest says
	NVIDIAFlavor string // a driver.Flavor's name

	ModuleKey, ModuleCert         string // PEM files; both or neither
	SecureBootKey, SecureBootCert string // PEM files; both or neither
	CosignKey                     string // file

	DiskSize int64 // of a raw disk image, bytes; 0: as small as what lies in it
	ESPSize  int64 // of an EFI system partition, bytes; 0: the same
}

// File is one further file of the image.
type File struct {
	Source string      // file of this machine
	Path   string      // relative to the image's root
	Mode   fs.FileMode // permissions
}

// Known are the names that values are held against. An empty list takes any
// name.
type Known struct {
	Arches, Manifests, Variants, Firmware, Flavors []string
}

// Load reads bee.toml in root, if there is one, and the environment. Every
// mistake is named, with its line and the name that was meant where one is
// near.
func Load(root string, getenv func(string) string, known Known) (Config, error) {
	text, err := os.ReadFile(filepath.Join(root, Name))
	if errors.Is(err, fs.ErrNotExist) {
		text, err = nil, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read %s: %w", Name, err)
	}
	return parse(root, text, getenv, known)
}

// parse is Load with the text of the file.
func parse(root string, text []byte, getenv func(string) string, known Known) (Config, error) {
	var c Config
	file, errs := readFile(text)
	for _, d := range Table {
		v, where, err := d.find(file, getenv)
		if err == nil && v != nil {
			err = d.take(&c, *v, known)
		}
		if err != nil {
			errs = append(errs, located{where, fmt.Errorf("%s: %w", where.name(d), err)})
			continue
		}
		if v != nil && where.line >= 0 && d.paths != nil {
			for _, p := range d.paths(&c) {
				*p = below(root, *p)
			}
		}
	}
	errs = append(errs, pairs(c)...)
	if len(errs) > 0 {
		slices.SortStableFunc(errs, func(a, b located) int { return cmp.Compare(a.line, b.line) })
		var list []error
		for _, e := range errs {
			list = append(list, e.error)
		}
		return Config{}, fmt.Errorf("read what the build is asked for: %w", errors.Join(list...))
	}
	return c, nil
}

// A place is where a value came from.
type place struct {
	line int // in bee.toml, from 1; 0: the default; -1: the environment
}

func (p place) name(d Definition) string {
	if p.line > 0 {
		return fmt.Sprintf("%s line %d: %s", Name, p.line, d.Key)
	}
	return d.Env
}

// located is an error of a place, by which errors are put in order.
type located struct {
	place
	error
}

// find settles which of environment, file and default says what a key is. A
// variable that is empty says nothing.
func (d Definition) find(file map[string]entry, getenv func(string) string) (*value, place, error) {
	text, where := getenv(d.Env), place{-1}
	if text == "" {
		if e, ok := file[d.Key]; ok {
			v, err := d.Kind.fromFile(e.value)
			return &v, place{e.line}, err
		}
		text, where = d.Default, place{0}
	}
	if text == "" {
		return nil, where, nil
	}
	v, err := d.Kind.fromText(text)
	return &v, where, err
}

// take checks a value and puts it into the configuration.
func (d Definition) take(c *Config, v value, known Known) error {
	for _, s := range v.all() {
		if err := noSecret(s); err != nil {
			return err
		}
	}
	if d.names != nil {
		if names := d.names(known); len(names) > 0 {
			for _, s := range v.all() {
				if !slices.Contains(names, s) {
					return fmt.Errorf("there is no %q%s (there are: %s)", s, nearest.Suggest(s, names), join(names))
				}
			}
		}
	}
	return d.set(c, v)
}

// pairs refuses a key without its certificate, and the other way round.
func pairs(c Config) []located {
	var errs []located
	for _, p := range []struct{ key, cert, names string }{
		{c.ModuleKey, c.ModuleCert, "module_key and module_cert"},
		{c.SecureBootKey, c.SecureBootCert, "secure_boot_key and secure_boot_cert"},
	} {
		if (p.key == "") != (p.cert == "") {
			errs = append(errs, located{place{0}, fmt.Errorf("%s: one is set and the other is not; a key signs nothing without its certificate", p.names)})
		}
	}
	return errs
}

// below is a path of the file as it is from here.
func below(root, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}
