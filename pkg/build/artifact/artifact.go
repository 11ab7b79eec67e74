// Package artifact makes what bee ships. A family is a kind of artifact; there
// is one file a family and one list.
package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/lock"
)

// Family is a kind of artifact.
type Family struct {
	Name  string // folder below images/
	Build func(ctx context.Context, c Config, l *lock.File) error
}

// Families is every kind there is, in the order in which they are made.
var Families = []Family{
	kernelInitrd,
}

// Arches are the architectures that bee.lock pins a kernel for, as Go calls
// them, which is what Debian calls them too.
var Arches = []string{"amd64", "arm64"}

// Config is what a build is asked for. The zero value of a field means its
// default.
type Config struct {
	Root     string    // checkout; default: the current folder
	Arch     string    // GOARCH; default amd64
	Manifest string    // initramfs/<name>.manifest; default server
	Keys     string    // file of public SSH keys that are baked in; default none
	Out      string    // folder; default images below Root
	Cache    string    // folder; default fetch.CacheDir()
	Date     time.Time // default: that of the newest index in bee.lock
	Progress io.Writer // default os.Stderr

	NVIDIA       string // "on", "off"; default: as the manifest says
	NVIDIAFlavor string // a driver.Flavor's name; default the first of them
	ModuleKey    string // PEM file of the key that modules are signed with; default none
	ModuleCert   string // and of its certificate
}

// id tells checkouts apart in the cache: two of them may differ in their
// sources.
func (c Config) id() string {
	sum := sha256.Sum256([]byte(c.Root))
	return hex.EncodeToString(sum[:6])
}

// FromEnv reads ARCH, MANIFEST, BEE_AUTHORIZED_KEYS, NVIDIA, NVIDIA_FLAVOR,
// BEE_MODULE_KEY, BEE_MODULE_CERT and SOURCE_DATE_EPOCH
// (reproducible-builds.org; seconds).
func FromEnv(getenv func(string) string) Config {
	c := Config{Arch: getenv("ARCH"), Manifest: getenv("MANIFEST"), Keys: getenv("BEE_AUTHORIZED_KEYS"),
		NVIDIA: getenv("NVIDIA"), NVIDIAFlavor: getenv("NVIDIA_FLAVOR"), ModuleKey: getenv("BEE_MODULE_KEY"), ModuleCert: getenv("BEE_MODULE_CERT")}
	if s := getenv("SOURCE_DATE_EPOCH"); s != "" {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 {
			c.Date = time.Unix(n, 0).UTC()
		}
	}
	return c
}

func (c Config) defaults() (Config, error) {
	var err error
	if c.Root == "" {
		c.Root = "."
	}
	if c.Root, err = filepath.Abs(c.Root); err != nil {
		return c, err
	}
	if c.Arch == "" {
		c.Arch = "amd64"
	}
	if !slices.Contains(Arches, c.Arch) {
		return c, fmt.Errorf("build for %q: bee.lock pins no kernel for it; ARCH is one of: %s", c.Arch, strings.Join(Arches, ", "))
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

// Build makes every artifact, unless nothing that it depends on changed since
// the last time.
func Build(ctx context.Context, c Config) error {
	c, err := c.defaults()
	if err != nil {
		return err
	}
	l, err := lock.Load(os.DirFS(c.Root), lock.Name)
	if err != nil {
		return err
	}
	if c.Date.IsZero() {
		for _, s := range l.Suites {
			if s.Date.After(c.Date) {
				c.Date = s.Date.UTC()
			}
		}
	}
	for _, f := range Families {
		if err := f.Build(ctx, c, l); err != nil {
			return fmt.Errorf("build %s: %w", f.Name, explain(err, c))
		}
	}
	return nil
}

// explain adds the remedy to errors of the machine.
func explain(err error, c Config) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w; free some space, or let BEE_CACHE name a folder on a larger disk (now %s)", err, c.Cache)
	}
	return err
}
