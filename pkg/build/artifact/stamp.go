package artifact

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/source"
)

// stamp remembers what the files of a folder were made of, so that a build
// with nothing to do ends at once. The builder's own sources count too.
type stamp struct {
	file    string // in the cache
	sources string // digest
}

// record is the stamp's file.
type record struct {
	Sources string
	Outputs map[string]state
}

// state is enough to see that a file was touched.
type state struct {
	Size int64
	Time time.Time
}

// inputs of a build below the checkout; the last is where makers' programs lie
// unless the configuration says another place.
var inputs = []string{"bee.lock", "go.mod", "go.sum", "cmds", "pkg", "initramfs", "kernel-config", "firmware-list", "templates", "boot", initrd.VendorTools}

func newStamp(c Config, dir string, keys []byte, at source.State) (stamp, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %s %d %x %v\n", runtime.Version(), c.Arch, c.Manifest, c.Date.Unix(), sha256.Sum256(keys), at)
	fmt.Fprintf(h, "%q %q %q %q %q %q %d %d %v\n", c.NVIDIA, c.NVIDIAFlavor, c.Parameters, c.Add.Commands, c.Add.Modules, c.Add.Firmware, c.DiskSize, c.ESPSize, c.Keyless != nil)
	files := []string{c.ModuleKey, c.ModuleCert, c.SecureBoot.Key, c.SecureBoot.Cert, c.CosignKey}
	for _, f := range c.Add.Files {
		fmt.Fprintf(h, "%q %o\n", f.Path, f.Mode)
		files = append(files, f.Source)
	}
	for _, file := range files {
		if file == "" {
			fmt.Fprintln(h)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return stamp{}, err
		}
		fmt.Fprintf(h, "%x\n", sha256.Sum256(text))
	}
	inputs := slices.Clone(inputs)
	if c.Vendor != "" {
		rel, err := filepath.Rel(c.Root, c.Vendor)
		if err != nil {
			return stamp{}, err
		}
		inputs[len(inputs)-1] = rel
	}
	for _, in := range inputs {
		top := filepath.Join(c.Root, in)
		if real, err := filepath.EvalSymlinks(top); err == nil {
			top = real // the folder of makers' programs may be a link
		}
		err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return filepath.SkipDir
			case d.IsDir(), strings.HasSuffix(name, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			fi, err := os.Stat(name) // what a link leads to is what is built of
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(c.Root, name)
			fmt.Fprintf(h, "%s %o %x\n", rel, fi.Mode()&0o111, sha256.Sum256(text))
			return err
		})
		if err != nil {
			return stamp{}, err
		}
	}
	id := sha256.Sum256([]byte(dir))
	return stamp{
		file:    filepath.Join(c.Cache, "built", hex.EncodeToString(id[:8])+".json"),
		sources: hex.EncodeToString(h.Sum(nil)),
	}, nil
}

// fresh says whether the folder holds what was made of these sources, and
// nothing else.
func (s stamp) fresh(dir string) bool {
	text, err := os.ReadFile(s.file)
	if err != nil {
		return false
	}
	var r record
	if json.Unmarshal(text, &r) != nil || r.Sources != s.sources {
		return false
	}
	now, err := states(dir)
	return err == nil && maps.EqualFunc(now, r.Outputs, func(a, b state) bool { return a.Size == b.Size && a.Time.Equal(b.Time) })
}

// states describes every file below a folder.
func states(dir string) (map[string]state, error) {
	found := make(map[string]state)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		found[filepath.ToSlash(rel)] = state{fi.Size(), fi.ModTime()}
		return err
	})
	return found, err
}

// forget makes sure that a build which ends half-way is not taken for done.
func (s stamp) forget() error {
	if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (s stamp) keep(dir string) error {
	outputs, err := states(dir)
	if err != nil {
		return err
	}
	text, err := json.Marshal(record{Sources: s.sources, Outputs: outputs})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.file), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(s.file, text, 0o644)
}
