package artifact

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/authenticode"
	"github.com/bee-os/bee/pkg/build/config"
	"github.com/bee-os/bee/pkg/build/driver"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/sign"
	"github.com/bee-os/bee/pkg/build/sign/keyless"
)

// Load reads what a build is asked for: bee.toml in root, the variables of the
// environment that stand for its keys, SOURCE_DATE_EPOCH
// (reproducible-builds.org; seconds), and those of keyless signing.
func Load(root string, getenv func(string) string) (Config, error) {
	known, err := knownNames(root)
	if err != nil {
		return Config{}, err
	}
	f, err := config.Load(root, getenv, known)
	if err != nil {
		return Config{}, err
	}
	c := Config{
		Root: root, Arch: f.Arch, Families: f.Variants, Manifest: f.Manifest, Keys: f.AuthorizedKeys, Parameters: f.Parameters,
		Add: initrd.Additions{Commands: f.Commands, Modules: f.Modules, Firmware: f.Firmware}, Vendor: f.VendorTools,
		NVIDIA: f.NVIDIA, NVIDIAFlavor: f.NVIDIAFlavor, ModuleKey: f.ModuleKey, ModuleCert: f.ModuleCert,
		SecureBoot: authenticode.Pair{Key: f.SecureBootKey, Cert: f.SecureBootCert}, CosignKey: f.CosignKey,
		DiskSize: f.DiskSize, ESPSize: f.ESPSize,
	}
	for _, file := range f.Files {
		c.Add.Files = append(c.Add.Files, initrd.AddedFile(file))
	}
	if s := getenv("SOURCE_DATE_EPOCH"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n <= 0 {
			return Config{}, fmt.Errorf("read SOURCE_DATE_EPOCH: %q is no number of seconds since 1970", s)
		}
		c.Date = time.Unix(n, 0).UTC()
	}
	remote, wanted, err := keyless.FromEnv(getenv)
	if err != nil {
		return Config{}, err
	}
	if wanted && c.CosignKey == "" {
		c.Keyless = func(ctx context.Context) (sign.Signer, error) { return keyless.New(ctx, remote) }
	}
	return c, nil
}

// Make lets one of the builds make what bee.toml of the current folder and the
// environment ask for.
func Make(ctx context.Context, getenv func(string) string, build func(context.Context, Config) error) error {
	c, err := Load(".", getenv)
	if err != nil {
		return err
	}
	return build(ctx, c)
}

// knownNames are what the values of a configuration are held against.
func knownNames(root string) (config.Known, error) {
	known := config.Known{Arches: Arches, Manifests: initrd.Variants(os.DirFS(filepath.Join(root, "initramfs")))}
	for _, f := range Families {
		known.Variants = append(known.Variants, f.Name)
	}
	lists, err := filepath.Glob(filepath.Join(root, "firmware-list", "*.list"))
	if err != nil {
		return known, err
	}
	for _, l := range lists {
		known.Firmware = append(known.Firmware, strings.TrimSuffix(filepath.Base(l), ".list"))
	}
	for _, f := range driver.Flavors {
		known.Flavors = append(known.Flavors, f.Name)
	}
	slices.Sort(known.Firmware)
	return known, nil
}
