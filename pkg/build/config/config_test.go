package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write templates/bee.toml anew")

var known = Known{
	Arches: []string{"amd64", "arm64"}, Manifests: []string{"gpu", "server", "thin"}, Variants: []string{"kernel-initrd", "iso", "raw", "qcow2"},
	Firmware: []string{"nic", "storage"}, Flavors: []string{"proprietary", "open"},
}

func env(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

var defaults = Config{Arch: "amd64", Manifest: "server", NVIDIAFlavor: "proprietary", VendorTools: "/root/vendor-tools"}

const full = `arch = "arm64"
manifest = "thin"
variants = ["iso", "raw"]
authorized_keys = "keys.pub"
parameters = ["bee.ntp=192.0.2.1", "bee.module=nbd nbds_max=4", "console=tty0"]
commands = ["wget"]
modules = ["nbd", "drivers/md/"]
firmware = ["nic"]
vendor_tools = "/srv/tools"
nvidia = false
nvidia_flavor = "open"
module_key = "/k/m.key"
module_cert = "/k/m.pem"
secure_boot_key = "k/db.key"
secure_boot_cert = "k/db.pem"
cosign_key = "k/cosign.key"
disk_size = "4 GiB"
esp_size = "512 MiB"

[[files]]
source = "site/motd"
path = "/etc/site"

[[files]]
source = "/srv/tool"
path = "usr/local/bin/tool"
mode = "0755"
`

var wantFull = Config{
	Arch: "arm64", Manifest: "thin", Variants: []string{"iso", "raw"}, AuthorizedKeys: "/root/keys.pub",
	Parameters: []string{"bee.ntp=192.0.2.1", "bee.module=nbd nbds_max=4", "console=tty0"}, Commands: []string{"wget"}, Modules: []string{"nbd", "drivers/md/"},
	Firmware: []string{"nic"}, VendorTools: "/srv/tools", NVIDIA: "off", NVIDIAFlavor: "open", ModuleKey: "/k/m.key", ModuleCert: "/k/m.pem",
	SecureBootKey: "/root/k/db.key", SecureBootCert: "/root/k/db.pem", CosignKey: "/root/k/cosign.key", DiskSize: 4 << 30, ESPSize: 512 << 20,
	Files: []File{{"/root/site/motd", "etc/site", 0o644}, {"/srv/tool", "usr/local/bin/tool", 0o755}},
}

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		env  map[string]string
		want Config
	}{
		"nothing": {"", nil, defaults},
		"file":    {full, nil, wantFull},
		"environment wins": {`manifest = "gpu"` + "\nnvidia = true", map[string]string{"MANIFEST": "thin", "NVIDIA": "off", "BEE_MODULES": "nbd,loop", "VARIANT": "iso raw", "BEE_AUTHORIZED_KEYS": "k.pub"},
			Config{Arch: "amd64", Manifest: "thin", NVIDIA: "off", NVIDIAFlavor: "proprietary", VendorTools: "/root/vendor-tools", Modules: []string{"nbd", "loop"}, Variants: []string{"iso", "raw"}, AuthorizedKeys: "k.pub"}},
		"an empty variable says nothing": {`arch = "arm64"`, map[string]string{"ARCH": ""},
			Config{Arch: "arm64", Manifest: "server", NVIDIAFlavor: "proprietary", VendorTools: "/root/vendor-tools"}},
		"lists of the environment": {"", map[string]string{"BEE_PARAMETERS": `bee.ntp=a,b bee.module="nbd nbds_max=4"`, "BEE_FILES": "a:/etc/a b:/bin/b:0755"},
			Config{Arch: "amd64", Manifest: "server", NVIDIAFlavor: "proprietary", VendorTools: "/root/vendor-tools",
				Parameters: []string{"bee.ntp=a,b", "bee.module=nbd nbds_max=4"}, Files: []File{{"a", "etc/a", 0o644}, {"b", "bin/b", 0o755}}}},
		"inline tables": {`files = [{source = "a", path = "/b"}]`, nil,
			Config{Arch: "amd64", Manifest: "server", NVIDIAFlavor: "proprietary", VendorTools: "/root/vendor-tools", Files: []File{{"/root/a", "b", 0o644}}}},
	} {
		got, err := parse("/root", []byte(c.text), env(c.env), known)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	if c, err := Load(dir, env(nil), known); err != nil || c.Manifest != "server" {
		t.Errorf("without a file: %+v, %v", c, err)
	}
	if err := os.WriteFile(filepath.Join(dir, Name), []byte(`manifest = "thin"`), 0o644); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(dir, env(nil), known); err != nil || c.Manifest != "thin" {
		t.Errorf("%+v, %v", c, err)
	}
}

const secret = "c2VjcmV0"

func TestRefuses(t *testing.T) {
	for text, want := range map[string][]string{
		"\nmanifset = \"thin\"":               {`bee.toml line 2: unknown key "manifset"; do you mean manifest?`},
		"arch = \"amd64\"\n\n[nvidai]\nx = 1": {`line 3: unknown key "nvidai"; do you mean nvidia?`},
		"[[file]]\nsource=\"a\"":              {`line 1: unknown key "file"; do you mean files?`},
		"variants = [\"iso\",\n\"rwa\"]":      {`line 1: variants: there is no "rwa"; do you mean raw? (there are: kernel-initrd, iso`},
		`arch = "amd46"`:                      {"line 1: arch", "do you mean amd64?"},
		`manifest = "zzz"`:                    {`there is no "zzz" (there are: gpu`},
		`firmware = ["nics"]`:                 {"do you mean nic?"},
		"\n\narch = @":                        {"bee.toml line 3, column"},
		"arch = \"amd64\"\narch = \"arm64\"":  {"bee.toml line 2: the key arch is set in line 1 already"},
		"arch = 64":                           {"line 1: arch: want a string"},
		`arch = ""`:                           {"want a string"},
		`nvidia = "on"`:                       {"want true or false"},
		`commands = "wget"`:                   {"want a list of strings"},
		`commands = ["a", 1]`:                 {"want a list of strings"},
		`commands = ["a b"]`:                  {"is no name"},
		`modules = ["nbd", "nbd"]`:            {"twice"},
		`disk_size = "4 GB"`:                  {"no size"},
		`disk_size = "-4 GiB"`:                {"no size"},
		`parameters = ["bee.hostnmae=x"]`:     {"line 1: parameters", "do you mean bee.hostname?"},
		`parameters = ["bee.password_hash=$6$a$` + secret + `"]`:                    {"is a secret", "mage patch"},
		"module_key = \"\"\"\n-----BEGIN PRIVATE KEY-----\n" + secret + "\"\"\"":    {"module_key: this is the content of a key's file"},
		`authorized_keys = "ssh-ed25519 ` + secret + ` me"`:                         {"name the file"},
		"cosign_key = \"a\\nb\"":                                                    {"more than one line"},
		`secure_boot_key = "k"`:                                                     {"secure_boot_key and secure_boot_cert"},
		"[[files]]\npath = \"/a\"":                                                  {"line 1: files: file 1: it has no source"},
		"[[files]]\nsource = \"a\"":                                                 {"file 1: path"},
		"[[files]]\nsource = \"a\"\npath = \"/../..\"":                              {"file 1: path"},
		"[[files]]\nsource = \"a\"\npath = \"/b\"\nmode = \"4755\"":                 {"mode"},
		"[[files]]\nsource = \"a\"\npath = \"/b\"\nmod = \"755\"":                   {`unknown key "mod"; do you mean mode?`},
		"[[files]]\nsource = 1\npath = \"/b\"":                                      {"source: want a string"},
		"[[files]]\nsource=\"a\"\npath=\"/b\"\n[[files]]\nsource=\"c\"\npath=\"b\"": {"file 2: /b is named twice"},
		"files = [1]": {"want a table"},
		`parameters = ["x=` + strings.Repeat("y", 900) + `"]`: {"902 bytes long, and 900 fit"},
		"files = 1": {"want tables"},
		"archh = 1\nnvidia = 3\nmanifest = \"thni\"": {"line 1", "line 2", "line 3"},
	} {
		_, err := parse("/root", []byte(text), env(nil), known)
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		at := 0
		for _, w := range want {
			i := strings.Index(strings.ToLower(err.Error()[at:]), strings.ToLower(w))
			if i < 0 {
				t.Errorf("%s: %v, want %q", text, err, w)
				break
			}
			at += i
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	for name, value := range map[string]string{"ARCH": "mips", "NVIDIA": "yes", "VARIANT": "iso,qcow", "BEE_FILES": "a", "BEE_PARAMETERS": `a="b`, "BEE_SB_CERT": "x", "BEE_COSIGN_KEY": "-----BEGIN " + secret} {
		_, err := parse("/root", nil, env(map[string]string{name: value}), known)
		if err == nil || !strings.Contains(err.Error(), name) && name != "BEE_SB_CERT" || strings.Contains(err.Error(), secret) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range Table {
		if d.Key == "" || d.Env == "" || d.Help == "" || d.Example == "" || d.set == nil || seen[d.Key] || seen[d.Env] || (d.Default == "") == (d.Unset == "") || (d.Kind == Path) != (d.paths != nil && d.Kind != Files) {
			t.Errorf("%s is not a whole line of its own", d.Key)
		}
		seen[d.Key], seen[d.Env] = true, true
	}
}

// The example is what lies in templates/, and every line of it is good.
func TestExample(t *testing.T) {
	const name = "../../../templates/bee.toml"
	if *update {
		if err := os.WriteFile(name, []byte(Example()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Example(), string(text)); d != "" {
		t.Error(d)
	}
	if c, err := parse("/root", text, env(nil), known); err != nil || cmp.Diff(defaults, c) != "" {
		t.Errorf("as it is: %+v, %v", c, err)
	}
	set := regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAll(text, []byte("$1"))
	c, err := parse("/root", set, env(nil), known)
	if err != nil || c.Arch != "arm64" || len(c.Files) != 1 || c.ESPSize != 512<<20 {
		t.Errorf("with every key: %+v, %v", c, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(full, "bee.debug", "a:/b")
	f.Add("[a.b]\nc=1\n[[files]]\n", "'", ":")
	f.Fuzz(func(t *testing.T, text, parameters, files string) {
		c, err := parse("/root", []byte(text), env(map[string]string{"BEE_PARAMETERS": parameters, "BEE_FILES": files}), known)
		if err != nil {
			return
		}
		if c.Arch == "" || c.Manifest == "" {
			t.Errorf("%q: %+v", text, c)
		}
		for _, file := range c.Files {
			if file.Source == "" || file.Path == "" || strings.HasPrefix(file.Path, "/") || strings.HasPrefix(file.Path, "..") || file.Mode > 0o777 {
				t.Errorf("%q: %+v", text, file)
			}
		}
	})
}
