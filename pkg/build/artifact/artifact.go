// Package artifact makes what bee ships. A family is a kind of artifact; there
// is one file a family and one list.
package artifact

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/build/authenticode"
	"github.com/bee-os/bee/pkg/build/driver"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/folderlock"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/nearest"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/source"
)

// Family is a kind of artifact.
type Family struct {
	Name    string   // folder below images/
	Summary string   // what it is for
	Arches  []string // that it is made for
	Build   func(ctx context.Context, w *Work) error
}

// Families is every kind there is, in the order in which they are made.
var Families = []Family{
	kernelInitrd,
	iso,
	raw,
	arm64UEFI,
	qcow2Disk,
	unified,
	ipxe,
	ociImage,
	rpi4,
}

// Arches are the architectures that bee.lock pins a kernel for, as Go calls
// them, which is what Debian calls them too.
var Arches = []string{"amd64", "arm64"}

// Default is what is made where nobody names a family: the parts of all others.
var Default = []string{kernelInitrdName}

// Media is what most people want, by architecture: a CD or stick, and a disk.
var Media = map[string][]string{"amd64": {"iso", "raw"}, "arm64": {"iso", "disk-image-arm64-uefi"}}

// Config is what a build is asked for. The zero value of a field means its
// default.
type Config struct {
	Root     string    // checkout; default: the current folder
	Arch     string    // GOARCH; default amd64
	Families []string  // names; default Default
	Manifest string    // initramfs/<name>.manifest; default server
	Keys     string    // file of public SSH keys that are baked in; default none
	Out      string    // folder; default images below Root
	Cache    string    // folder; default fetch.CacheDir()
	Date     time.Time // default: that of the newest index in bee.lock
	Progress io.Writer // default os.Stderr

	Parameters []string         // kernel parameters that media carry beside their own
	Add        initrd.Additions // what the image has besides its manifest's
	Vendor     string           // folder of makers' programs; default initrd.VendorTools below Root

	NVIDIA       string // "on", "off"; default: as the manifest says
	NVIDIAFlavor string // a driver.Flavor's name; default the first of them
	ModuleKey    string // PEM file of the key that modules are signed with; default none
	ModuleCert   string // and of its certificate

	SecureBoot authenticode.Pair                              // signs unified kernel images; zero: they are not signed
	CosignKey  string                                         // file of the key that signs what is made; default none
	Keyless    func(ctx context.Context) (sign.Signer, error) // signs instead of a key; default none

	DiskSize int64 // of a disk, bytes; default: what lies in it and some room
	ESPSize  int64 // of its EFI system partition, bytes; default: the same
}

// id tells checkouts apart in the cache: two of them may differ in their
// sources.
func (c Config) id() string {
	sum := sha256.Sum256([]byte(c.Root))
	return hex.EncodeToString(sum[:6])
}

func (c Config) defaults() (Config, error) {
	var err error
	if c.Root == "" {
		c.Root = "."
	}
	if c.Root, err = filepath.Abs(c.Root); err != nil {
		return c, err
	}
	if c.Vendor == "" {
		c.Vendor = filepath.Join(c.Root, initrd.VendorTools)
	}
	if c.Vendor, err = filepath.Abs(c.Vendor); err != nil {
		return c, err
	}
	if c.Arch == "" {
		c.Arch = "amd64"
	}
	if !slices.Contains(Arches, c.Arch) {
		return c, fmt.Errorf("build for %q: bee.lock pins no kernel for it; ARCH is one of: %s", c.Arch, strings.Join(Arches, ", "))
	}
	if len(c.Families) == 0 {
		c.Families = Default
	}
	if c.Manifest == "" {
		c.Manifest = "server"
	}
	if c.Out == "" {
		c.Out = filepath.Join(c.Root, "images")
	}
	if c.Cache == "" {
		if c.Cache, err = fetch.CacheDir(); err != nil {
			return c, err
		}
	}
	if c.Progress == nil {
		c.Progress = os.Stderr
	}
	return c, nil
}

// chosen are the families that the build makes, in the order of Families.
func (c Config) chosen() ([]Family, error) {
	var names []string
	for _, f := range Families {
		names = append(names, f.Name)
	}
	for _, name := range c.Families {
		i := slices.Index(names, name)
		if i < 0 {
			return nil, fmt.Errorf("choose what to make: there is no variant %q%s; there are: %s", name, nearest.Suggest(name, names), strings.Join(names, ", "))
		}
		if !slices.Contains(Families[i].Arches, c.Arch) {
			return nil, fmt.Errorf("choose what to make: %s is not made for %s, only for %s", name, c.Arch, strings.Join(Families[i].Arches, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(Families), func(f Family) bool { return !slices.Contains(c.Families, f.Name) }), nil
}

// Build makes the families that are asked for, each unless nothing that it
// depends on changed since the last time.
func Build(ctx context.Context, c Config) (err error) {
	c, err = c.defaults()
	if err != nil {
		return err
	}
	families, err := c.chosen()
	if err != nil {
		return err
	}
	p, err := c.project(ctx)
	if err != nil {
		return err
	}
	unlock, err := folderlock.Take(ctx, c.Out, c.Progress)
	if err != nil {
		return explain(err, c)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	for _, f := range families {
		if err := p.make(ctx, f); err != nil {
			return fmt.Errorf("build %s: %w", f.Name, explain(err, c))
		}
	}
	return nil
}

// project reads what all families are made of, and checks what can be checked
// before anything is made.
func (c Config) project(ctx context.Context) (*project, error) {
	l, err := lock.Load(os.DirFS(c.Root), lock.Name)
	if err != nil {
		return nil, err
	}
	if c.Date.IsZero() {
		for _, s := range l.Suites {
			if s.Date.After(c.Date) {
				c.Date = s.Date.UTC()
			}
		}
	}
	if err := c.checkPairs(); err != nil {
		return nil, err
	}
	at, err := source.Of(ctx, c.Root)
	return &project{Config: c, Lock: l, source: at}, err
}

// BuildMedia is Build, with Media where nobody names a family.
func BuildMedia(ctx context.Context, c Config) error {
	if len(c.Families) == 0 {
		c.Families = Media[cmp.Or(c.Arch, "amd64")]
	}
	return Build(ctx, c)
}

// BuildAll makes every family, or those that the configuration names, for every
// architecture, whatever the configuration's is.
func BuildAll(ctx context.Context, c Config) error {
	asked := c.Families
	for _, arch := range Arches {
		if c.Arch = arch; len(asked) == 0 {
			c.Families = FamiliesFor(arch)
		} else {
			c.Families = slices.DeleteFunc(slices.Clone(asked), func(name string) bool { return !slices.Contains(FamiliesFor(arch), name) })
		}
		if len(c.Families) == 0 {
			continue
		}
		if err := Build(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// FamiliesFor are the names of the families that are made for an architecture.
func FamiliesFor(arch string) []string {
	var names []string
	for _, f := range Families {
		if slices.Contains(f.Arches, arch) {
			names = append(names, f.Name)
		}
	}
	return names
}

// checkPairs finds keys that do not fit their certificates before anything is
// built, whether or not one of the families uses them.
func (c Config) checkPairs() error {
	modules := driver.Pair{Key: c.ModuleKey, Cert: c.ModuleCert}
	set, err := modules.Set()
	if err == nil && set {
		_, err = modules.Certificate()
	}
	if err != nil {
		return err
	}
	if set, err = c.SecureBoot.Set(); err == nil && set {
		_, err = c.SecureBoot.Certificate()
	}
	return err
}

// explain adds the remedy to errors of the machine.
func explain(err error, c Config) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w; free some space where that lies; downloads and what can be made again are in %s, and BEE_CACHE may name a folder on a larger disk", err, c.Cache)
	}
	return err
}
