package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/licence"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/manifest"
	"github.com/bee-os/bee/pkg/build/provenance"
	"github.com/bee-os/bee/pkg/build/sbom"
	"github.com/bee-os/bee/pkg/build/sign"
)

// describe writes what stands beside every artifact: the manifest, the bill of
// materials, the statement of where it comes from, the list of digests, and, with
// a key, signatures.
func (w *Work) describe(ctx context.Context) error {
	if len(w.outputs) == 0 {
		return errors.New("the family names no file that it made")
	}
	b, err := w.imageBOM()
	if err != nil {
		return err
	}
	m, err := w.newManifest(ctx, b)
	if err != nil {
		return err
	}
	for _, o := range w.outputs {
		if err := m.Add(ctx, w.file(o.Name), o); err != nil {
			return err
		}
	}
	if err := m.Write(w.Dir); err != nil {
		return err
	}
	bill, err := sbom.Encode(m, b)
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.file(sbom.FileName), bill, 0o644); err != nil {
		return err
	}
	var documents []manifest.Sum
	for _, name := range []string{manifest.FileName, sbom.FileName} {
		sum, err := manifest.SumFile(ctx, w.file(name))
		if err != nil {
			return err
		}
		documents = append(documents, manifest.Sum{Name: name, SHA256: sum})
	}
	statement, err := provenance.Encode(provenance.Config{Manifest: m, Documents: documents, Parameters: w.asked()})
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.file(provenance.FileName), statement, 0o644); err != nil {
		return err
	}
	if err := m.WriteSums(ctx, w.Dir, sbom.FileName, provenance.FileName); err != nil {
		return err
	}
	return w.sign(ctx, m, statement)
}

// imageBOM is the bill of materials of the image inside.
func (w *Work) imageBOM() (bom.BOM, error) {
	if w.Family != kernelInitrdName {
		return w.parts.BOM, nil
	}
	text, err := os.ReadFile(w.file(BOMFile))
	if err != nil {
		return bom.BOM{}, err
	}
	return bom.Decode(text)
}

// newManifest says what is known before the files are looked at.
func (w *Work) newManifest(ctx context.Context, b bom.BOM) (*manifest.Manifest, error) {
	image, err := licence.Used(w.Lock, b)
	if err != nil {
		return nil, err
	}
	var inputs []manifest.Input
	for _, used := range []struct {
		entries []lock.Entry
		role    string
	}{{append(image, w.carried...), manifest.RoleImage}, {w.used, manifest.RoleTool}} {
		list, err := w.inputs(ctx, used.entries, used.role)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, list...)
	}
	modules, err := w.modules(b.GoMods)
	if err != nil {
		return nil, err
	}
	tools := []manifest.Tool{{Name: "go", Version: runtime.Version()}}
	for _, e := range w.used {
		if slices.Contains([]string{"grub-common", "gcc-14"}, e.Name) {
			tools = append(tools, manifest.Tool{Name: e.Name, Version: e.Version})
		}
	}
	return manifest.New(manifest.Config{
		Source: manifest.Source{Commit: w.source.Commit, Clean: w.source.Clean}, Date: w.Date, Family: w.Family, Arch: w.Arch,
		Tools: tools, BOM: b, Inputs: inputs, Modules: modules, Boot: w.boot, PCRs: w.pcrs, Parts: w.rests,
	})
}

// inputs says under which licence packages stand. Looking takes a while, so that
// the answer for a package is kept in the cache. It holds for this lock and this
// architecture: a package's documentation may lie in another one.
func (p *project) inputs(ctx context.Context, entries []lock.Entry, role string) ([]manifest.Input, error) {
	store, err := p.openStore()
	if err != nil {
		return nil, err
	}
	pinned, err := sumFile(filepath.Join(p.Root, lock.Name))
	if err != nil {
		return nil, err
	}
	var list []manifest.Input
	for _, e := range entries {
		one, err := kept(p, strings.Join([]string{"package", e.SHA256, e.Arch, strings.Join(e.Groups, " "), role, p.Arch, pinned}, "\n"), func() ([]manifest.Input, error) {
			return licence.Inputs(ctx, p.Lock, store, p.Arch, []lock.Entry{e}, role)
		})
		if err != nil {
			return nil, err
		}
		list = append(list, one...)
	}
	return list, nil
}

func (p *project) modules(mods []bom.GoMod) ([]manifest.GoModule, error) {
	var list []manifest.GoModule
	for _, m := range mods {
		one, err := kept(p, "module "+m.Path+" "+m.Version+" "+m.Sum, func() ([]manifest.GoModule, error) {
			return licence.Modules(licence.ModuleCache(os.Getenv), []bom.GoMod{m})
		})
		if err != nil {
			return nil, err
		}
		list = append(list, one...)
	}
	return list, nil
}

// keptForm is raised when the manifest's inputs or modules get other fields.
const keptForm = "2"

// kept gives what find found for the key when it was asked last, by the same
// rules: an answer of older ones would differ from what another machine finds.
func kept[T any](p *project, key string, find func() ([]T, error)) ([]T, error) {
	sum := sha256.Sum256([]byte(keptForm + "\n" + licence.Rules() + "\n" + key))
	file := filepath.Join(p.Cache, "licences", hex.EncodeToString(sum[:16])+".json")
	var v []T
	if text, err := os.ReadFile(file); err == nil && json.Unmarshal(text, &v) == nil && len(v) > 0 {
		return v, nil
	}
	v, err := find()
	if err != nil {
		return v, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return v, err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return v, err
	}
	return v, renameio.WriteFile(file, text, 0o644) // several builds share the cache
}

// asked is what the build was asked for, without a path of this machine.
func (p *project) asked() map[string]string {
	asked := map[string]string{"manifest": p.Manifest}
	for name, list := range map[string][]string{"parameters": p.Parameters, "commands": p.Add.Commands, "modules": p.Add.Modules, "firmware": p.Add.Firmware} {
		if len(list) > 0 {
			asked[name] = strings.Join(list, " ")
		}
	}
	var files []string
	for _, f := range p.Add.Files {
		files = append(files, "/"+f.Path) // in the image; where it came from is nobody's business
	}
	for name, value := range map[string]string{"nvidia": p.NVIDIA, "nvidia_flavor": p.NVIDIAFlavor, "files": strings.Join(files, " "), "disk_size": number(p.DiskSize), "esp_size": number(p.ESPSize)} {
		if value != "" {
			asked[name] = value
		}
	}
	return asked
}

// number is a size in bytes as a parameter; empty where none is given.
func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// sign puts a detached bundle beside each output and the list of digests, and one
// over the statement, which names them all. Keyless signing leaves a public
// record of each signature, so that it signs the list and the statement alone.
func (w *Work) sign(ctx context.Context, m *manifest.Manifest, statement []byte) error {
	signer, err := w.openSigner(ctx)
	if err != nil || signer == nil {
		return err
	}
	names := []string{manifest.SumsName}
	if w.Keyless == nil {
		for _, o := range m.Outputs {
			names = append(names, o.Name)
		}
	}
	for _, name := range names {
		sum, err := sumFile(w.file(name))
		if err != nil {
			return err
		}
		var digest [sha256.Size]byte
		if _, err := hex.Decode(digest[:], []byte(sum)); err != nil {
			return err
		}
		bundle, err := signer.File(ctx, path.Base(name), digest)
		if err != nil {
			return fmt.Errorf("sign %s: %w", name, err)
		}
		if err := os.WriteFile(w.file(strings.ReplaceAll(name, "/", "_")+sign.Suffix), bundle, 0o644); err != nil {
			return err
		}
	}
	bundle, err := signer.Statement(ctx, statement)
	if err != nil {
		return fmt.Errorf("sign %s: %w", provenance.FileName, err)
	}
	return os.WriteFile(w.file(provenance.FileName+sign.Suffix), bundle, 0o644)
}

// openSigner is nil where nothing is signed.
func (p *project) openSigner(ctx context.Context) (sign.Signer, error) {
	if p.signer != nil {
		return p.signer, nil
	}
	switch {
	case p.CosignKey != "":
		key, err := sign.Load(p.CosignKey, sign.PasswordFromEnv)
		if err != nil {
			return nil, err
		}
		p.signer = key
	case p.Keyless != nil:
		remote, err := p.Keyless(ctx)
		if err != nil {
			return nil, err
		}
		p.signer = remote
	}
	return p.signer, nil
}

// made lists a file of the family for the manifest.
func (w *Work) made(name, role string, o manifest.Options) {
	o.Name, o.Role = name, role
	w.outputs = append(w.outputs, o)
}

// content is a part as it lies in an output; at is its offset there, nil where it
// does not lie in one piece.
func content(role, where, file, sum string, at *int64) (manifest.Content, error) {
	fi, err := os.Stat(file)
	if err != nil {
		return manifest.Content{}, err
	}
	return manifest.Content{Role: role, Path: where, Offset: at, Size: fi.Size(), SHA256: sum}, nil
}

// contents are kernel and initramfs in an output, at what Offset says.
func (p *Parts) contents(offsets map[string]int64) ([]manifest.Content, error) {
	var list []manifest.Content
	for _, c := range []struct{ role, where, file, sum string }{
		{"kernel", mediumKernel, p.Kernel, p.KernelSum}, {"initrd", mediumInitrd, p.Initrd, p.InitrdSum},
	} {
		var at *int64
		if n, ok := offsets[c.where]; ok {
			at = &n
		}
		one, err := content(c.role, c.where, c.file, c.sum, at)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}
