package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/paramblock"
)

// Definition is one key of bee.toml, and the variable of the environment that
// stands for it.
type Definition struct {
	Key     string
	Env     string
	Kind    Kind
	Default string // as the environment would say it; empty: what Unset says
	Unset   string // what holds without a value, where that is not Default
	Help    string // one line
	Example string // as it stands in the file

	names func(Known) []string // what every value must be among
	paths func(*Config) []*string
	set   func(*Config, value) error
}

// Table holds every key. Adding one is adding a line here.
var Table = []Definition{
	{Key: "arch", Env: "ARCH", Kind: Word, Default: "amd64", Help: "the machine's architecture, as Go calls it", Example: `"arm64"`,
		names: func(k Known) []string { return k.Arches }, set: word(func(c *Config) *string { return &c.Arch })},
	{Key: "manifest", Env: "MANIFEST", Kind: Word, Default: "server", Help: "which commands, modules and firmware: a file of `initramfs/`", Example: `"thin"`,
		names: func(k Known) []string { return k.Manifests }, set: word(func(c *Config) *string { return &c.Manifest })},
	{Key: "variants", Env: "VARIANT", Kind: Words, Unset: "what the target makes", Help: "kinds of images", Example: `["iso", "raw"]`,
		names: func(k Known) []string { return k.Variants }, set: words(func(c *Config) *[]string { return &c.Variants })},
	{Key: "authorized_keys", Env: "BEE_AUTHORIZED_KEYS", Kind: Path, Unset: "none", Help: "file of public keys that may log in as `root` and `bee`; they are baked in", Example: `"/home/me/.ssh/id_ed25519.pub"`,
		paths: at(func(c *Config) *string { return &c.AuthorizedKeys }), set: file(func(c *Config) *string { return &c.AuthorizedKeys })},
	{Key: "parameters", Env: "BEE_PARAMETERS", Kind: Words, Unset: "none", Help: "kernel parameters in the media's boot configuration, before those of the parameter block", Example: `["bee.ntp=192.0.2.1", "bee.module=nbd nbds_max=4"]`,
		set: setParameters},
	{Key: "commands", Env: "BEE_COMMANDS", Kind: Words, Unset: "the manifest's", Help: "commands besides the manifest's: of u-root's core, or of `cmds/node`", Example: `["base64", "strace"]`,
		set: words(func(c *Config) *[]string { return &c.Commands })},
	{Key: "modules", Env: "BEE_MODULES", Kind: Words, Unset: "the manifest's", Help: "kernel modules besides the manifest's, with all that they need: names, or folders below `kernel/` that end in `/`", Example: `["nbd", "drivers/md/"]`,
		set: words(func(c *Config) *[]string { return &c.Modules })},
	{Key: "firmware", Env: "BEE_FIRMWARE", Kind: Words, Unset: "the manifest's", Help: "firmware lists besides the manifest's: files of `firmware-list/`", Example: `["nic", "storage"]`,
		names: func(k Known) []string { return k.Firmware }, set: words(func(c *Config) *[]string { return &c.Firmware })},
	{Key: "vendor_tools", Env: "BEE_VENDOR_TOOLS", Kind: Path, Default: "vendor-tools", Help: "folder of programs of hardware's makers, one folder an architecture in it", Example: `"/srv/vendor-tools"`,
		paths: at(func(c *Config) *string { return &c.VendorTools }), set: file(func(c *Config) *string { return &c.VendorTools })},
	{Key: "nvidia", Env: "NVIDIA", Kind: Switch, Unset: "as the manifest says", Help: "whether NVIDIA's driver goes in", Example: `true`,
		set: word(func(c *Config) *string { return &c.NVIDIA })},
	{Key: "nvidia_flavor", Env: "NVIDIA_FLAVOR", Kind: Word, Default: "proprietary", Help: "which of NVIDIA's two sources: proprietary (every GPU that the release serves) or open (Turing and newer)", Example: `"open"`,
		names: func(k Known) []string { return k.Flavors }, set: word(func(c *Config) *string { return &c.NVIDIAFlavor })},
	{Key: "module_key", Env: "BEE_MODULE_KEY", Kind: Path, Unset: "not signed", Help: "PEM file of the key that signs the driver's modules, which a kernel under Secure Boot's lockdown must know", Example: `"/etc/keys/module.key"`,
		paths: at(func(c *Config) *string { return &c.ModuleKey }), set: file(func(c *Config) *string { return &c.ModuleKey })},
	{Key: "module_cert", Env: "BEE_MODULE_CERT", Kind: Path, Unset: "none", Help: "PEM file of its certificate", Example: `"/etc/keys/module.pem"`,
		paths: at(func(c *Config) *string { return &c.ModuleCert }), set: file(func(c *Config) *string { return &c.ModuleCert })},
	{Key: "secure_boot_key", Env: "BEE_SB_KEY", Kind: Path, Unset: "not signed", Help: "PEM file of the key that signs the unified kernel image", Example: `"/etc/keys/db.key"`,
		paths: at(func(c *Config) *string { return &c.SecureBootKey }), set: file(func(c *Config) *string { return &c.SecureBootKey })},
	{Key: "secure_boot_cert", Env: "BEE_SB_CERT", Kind: Path, Unset: "none", Help: "PEM file of its certificate, which the firmware must know", Example: `"/etc/keys/db.pem"`,
		paths: at(func(c *Config) *string { return &c.SecureBootCert }), set: file(func(c *Config) *string { return &c.SecureBootCert })},
	{Key: "cosign_key", Env: "BEE_COSIGN_KEY", Kind: Path, Unset: "not signed", Help: "file of the key that signs what is published", Example: `"/etc/keys/cosign.key"`,
		paths: at(func(c *Config) *string { return &c.CosignKey }), set: file(func(c *Config) *string { return &c.CosignKey })},
	{Key: "files", Env: "BEE_FILES", Kind: Files, Unset: "none", Help: "further files of the image, readable by everyone who has it; in the environment `SOURCE:PATH[:MODE]`", Example: `[{source = "site/motd.txt", path = "/etc/site", mode = "0644"}]`,
		paths: sources, set: setFiles},
	{Key: "disk_size", Env: "BEE_DISK_SIZE", Kind: Size, Unset: "as small as what lies in it", Help: "size of a raw disk image, which leaves room for `bee.state`", Example: `"4 GiB"`,
		set: size(func(c *Config) *int64 { return &c.DiskSize })},
	{Key: "esp_size", Env: "BEE_ESP_SIZE", Kind: Size, Unset: "as small as what lies in it", Help: "size of the EFI system partition", Example: `"512 MiB"`,
		set: size(func(c *Config) *int64 { return &c.ESPSize })},
}

func word(field func(*Config) *string) func(*Config, value) error {
	return func(c *Config, v value) error {
		*field(c) = v.text
		return nil
	}
}

func file(field func(*Config) *string) func(*Config, value) error {
	return func(c *Config, v value) error {
		if strings.HasPrefix(v.text, "ssh-") || strings.HasPrefix(v.text, "ecdsa-") {
			return errors.New("this is a key; name the file that holds it")
		}
		*field(c) = v.text
		return nil
	}
}

func at(field func(*Config) *string) func(*Config) []*string {
	return func(c *Config) []*string { return []*string{field(c)} }
}

func words(field func(*Config) *[]string) func(*Config, value) error {
	return func(c *Config, v value) error {
		for i, s := range v.list {
			if s == "" || strings.ContainsAny(s, " \t") {
				return fmt.Errorf("%q is no name", s)
			}
			for _, before := range v.list[:i] {
				if before == s {
					return fmt.Errorf("%q is named twice", s)
				}
			}
		}
		*field(c) = v.list
		return nil
	}
}

// maxParameters is how long the baked-in parameters may be, bytes. GRUB leaves
// out without a word what goes beyond the kernel's COMMAND_LINE_SIZE, 2,048 on
// amd64 and arm64, and a parameter block may take paramblock.Size of it.
const maxParameters = 900

func setParameters(c *Config, v value) error {
	for _, w := range v.list {
		if name, _, _ := strings.Cut(w, "="); bootparam.Secret(name) {
			return fmt.Errorf("%s is a secret, and every copy of the image would hold it; write it into one medium with `go tool mage patch`", name)
		}
	}
	if n := len(strings.Join(v.list, " ")); n > maxParameters {
		return fmt.Errorf("they are %d bytes long, and %d fit: with those of a full parameter block and the media's own, the kernel takes 2,048", n, maxParameters)
	}
	c.Parameters = v.list
	return paramblock.Check(v.list)
}

func sources(c *Config) []*string {
	var list []*string
	for i := range c.Files {
		list = append(list, &c.Files[i].Source)
	}
	return list
}

func setFiles(c *Config, v value) error {
	seen := make(map[string]bool)
	for i, f := range v.files {
		where := fmt.Sprintf("file %d", i+1)
		p := path.Clean("/" + f["path"])[1:]
		switch {
		case f["source"] == "":
			return fmt.Errorf("%s: it has no source", where)
		case p == "" || strings.HasSuffix(f["path"], "/"):
			return fmt.Errorf("%s: path must name a file of the image, such as /etc/site", where)
		case seen[p]:
			return fmt.Errorf("%s: /%s is named twice", where, p)
		}
		seen[p] = true
		mode, err := strconv.ParseUint(f["mode"], 8, 32)
		if f["mode"] == "" {
			mode, err = 0o644, nil
		}
		if err != nil || mode > 0o777 {
			return fmt.Errorf("%s: mode %q is not of the form 0644, which is the default; set-user-id and its kin are not given away", where, f["mode"])
		}
		c.Files = append(c.Files, File{Source: f["source"], Path: p, Mode: fs.FileMode(mode)})
	}
	return nil
}

func size(field func(*Config) *int64) func(*Config, value) error {
	return func(c *Config, v value) error {
		number, unit, _ := strings.Cut(v.text, " ")
		shift := map[string]int{"MiB": 20, "GiB": 30}[unit]
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n <= 0 || shift == 0 {
			return fmt.Errorf("%q is no size such as 512 MiB or 4 GiB", v.text)
		}
		*field(c) = n << shift
		return nil
	}
}
