package initrd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"debug/buildinfo"

	"golang.org/x/mod/modfile"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/busybox"
)

// Import paths of what a manifest names.
const (
	module  = "github.com/bee-os/bee"
	nodeDir = "cmds/node"
	coreDir = "github.com/u-root/u-root/cmds/core"
)

// programs are the compiled programs of an image.
type programs struct {
	busybox, init, sudo string // files
	mods                []bom.GoMod
}

// programsDir is where they are kept: a folder a checkout, variant and architecture.
func programsDir(c Config, v Variant) string {
	return filepath.Join(c.Cache, "programs", v.Name+"-"+c.Arch+"-"+c.id())
}

// buildPrograms compiles what the variant names, in dir. Nothing is compiled when no
// source changed since the last time.
func buildPrograms(ctx context.Context, c Config, v Variant, dir string) (programs, error) {
	p := programs{
		busybox: filepath.Join(dir, "bb"),
		init:    filepath.Join(dir, "init"),
		sudo:    filepath.Join(dir, "sudo"),
	}
	commands := commandPaths(v)
	sum, err := sourceSum(c.Root, c.Arch, commands, firstPaths(v))
	if err != nil {
		return programs{}, fmt.Errorf("look at the Go sources: %w", err)
	}
	record := filepath.Join(dir, "built.json")
	if mods, ok := builtBefore(record, sum, p); ok {
		p.mods = mods
		return p, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return programs{}, err
	}
	if err := os.Remove(record); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return programs{}, err
	}
	bb := busybox.Program{Root: c.Root, Module: module, Commands: commands, First: firstPaths(v), Arch: c.Arch, Dir: filepath.Join(dir, "busybox")}
	fmt.Fprintf(c.Progress, "compile %d commands and PID 1 for %s\n", len(commands), c.Arch)
	var wg sync.WaitGroup
	var errs [2]error
	wg.Go(func() { errs[0] = bb.Build(ctx, p.busybox) })
	wg.Go(func() {
		errs[1] = busybox.Compile(ctx, c.Root, busybox.Env(c.Arch), dir+"/",
			busybox.Package{Path: initPath, Entry: initEntry}, busybox.Package{Path: "./cmds/standalone/sudo"})
	})
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return programs{}, err
	}
	if p.mods, err = linkedModules(c.Root, filepath.Join(bb.Dir, "gen", "src"), p.init, p.sudo); err != nil {
		return programs{}, fmt.Errorf("list the Go modules of the image: %w", err)
	}
	text, err := json.Marshal(built{Sum: sum, Mods: p.mods})
	if err != nil {
		return programs{}, err
	}
	return p, os.WriteFile(record, text, 0o644)
}

// commandPaths are the import paths of the variant's commands.
func commandPaths(v Variant) []string {
	var paths []string
	for _, c := range v.Core {
		paths = append(paths, coreDir+"/"+c)
	}
	for _, c := range v.Node {
		paths = append(paths, module+"/"+nodeDir+"/"+c)
	}
	return sorted(paths)
}

// first are the commands on the way to the first SSH session. netup initialises
// what sshd needs too, while it waits for a network card; the other way round,
// sshd would have DHCP's tables on its way. coldplug is run before any (initEntry).
var first = []string{"coldplug", "sshsetup", "sshd", "netup"}

// PID 1, and where it begins: there it starts coldplug ahead, beside its own start.
const (
	initPath  = "./cmds/standalone/init"
	initEntry = "main.start"
)

func firstPaths(v Variant) []string {
	var paths []string
	for _, c := range first {
		if slices.Contains(v.Node, c) {
			paths = append(paths, module+"/"+nodeDir+"/"+c)
		}
	}
	return paths
}

// built records what lies in a programs folder.
type built struct {
	Sum  string
	Mods []bom.GoMod
}

func builtBefore(record, sum string, p programs) ([]bom.GoMod, bool) {
	text, err := os.ReadFile(record)
	if err != nil {
		return nil, false
	}
	var b built
	if json.Unmarshal(text, &b) != nil || b.Sum != sum {
		return nil, false
	}
	for _, f := range []string{p.busybox, p.init, p.sudo} {
		if _, err := os.Stat(f); err != nil {
			return nil, false
		}
	}
	return b.Mods, true
}

// sourceSum is a digest over everything that the compiled programs depend on.
func sourceSum(root, arch string, commands, first []string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %s %q %q %s %s\n", runtime.Version(), arch, commands, first, initPath, initEntry)
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(text))
	}
	for _, dir := range []string{"cmds", "pkg", "pkg/build/busybox"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (d.Name() == "testdata" || name == filepath.Join(root, "pkg/build")):
				return filepath.SkipDir // of the builder, only what generates the busybox is in a program
			case d.IsDir() || strings.HasSuffix(name, "_test.go"):
				return nil
			}
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, name)
			fmt.Fprintf(h, "%s %x\n", rel, sha256.Sum256(text))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// linkedModules lists the Go modules that the programs were made of: those
// that have a folder among the busybox's generated sources, and those that the
// standalone programs say they have.
func linkedModules(root, src string, standalone ...string) ([]bom.GoMod, error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	mod, err := modfile.Parse("go.mod", text, nil)
	if err != nil {
		return nil, err
	}
	sums, err := goSums(filepath.Join(root, "go.sum"))
	if err != nil {
		return nil, err
	}
	versions := make(map[string]string)
	for _, r := range mod.Require {
		if _, err := os.Stat(filepath.Join(src, filepath.FromSlash(r.Mod.Path))); err == nil {
			versions[r.Mod.Path] = r.Mod.Version
		}
	}
	for _, file := range standalone {
		info, err := buildinfo.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, d := range info.Deps {
			versions[d.Path] = d.Version
		}
	}
	var list []bom.GoMod
	for _, p := range sortedKeys(versions) {
		list = append(list, bom.GoMod{Path: p, Version: versions[p], Sum: sums[p+" "+versions[p]]})
	}
	return list, nil
}

// goSums reads go.sum: "path version" → checksum of the module's files.
func goSums(name string) (map[string]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && !strings.HasSuffix(f[1], "/go.mod") {
			sums[f[0]+" "+f[1]] = f[2]
		}
	}
	return sums, nil
}

// checkCommands names every command of the manifest that is not there.
func checkCommands(root string, v Variant) error {
	var errs []error
	for _, c := range v.Node {
		if _, err := os.Stat(filepath.Join(root, nodeDir, c, "main.go")); err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: there is no such command", nodeDir, c))
		}
	}
	all := slices.Concat(v.Core, v.Node)
	slices.Sort(all)
	for i := 1; i < len(all); i++ {
		if all[i] == all[i-1] {
			errs = append(errs, fmt.Errorf("%s: it is both a core and a node command", all[i]))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("check initramfs/%s.manifest: %w", v.Name, errors.Join(errs...))
	}
	return nil
}
