package licence

import (
	"errors"
	"fmt"
	"go/build"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/licensecheck"
	"golang.org/x/mod/module"
)

// enough is how much of a file known licences must cover, percent, for its text
// to count as known. The rest is who holds the copyright.
const enough = 75

// licenceFile matches the names that pkg.go.dev takes for a licence's.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([-._].*)?$`)

// notSPDX are names that licensecheck has for texts which SPDX does not list.
var notSPDX = map[string]bool{
	"Aladdin-9": true, "Anti996": true, "BSD-1-Clause-Clear": true, "BSD-3-Clause-NoTrademark": true, "CC-BY-NC-SA-3.0-US": true, "CommonsClause": true,
	"GPL-2.0-or-3.0": true, "GooglePatentClause": true, "GooglePatentsFile": true, "MIT-NoAd": true, "NIST": true, "PrefaceAGPL": true, "Prosperity-3.0.0": true,
}

// ModuleCache is the folder of the Go module cache as the environment says it.
// A value set with `go env -w` is not seen: name the folder then.
func ModuleCache(getenv func(string) string) string {
	if dir := getenv("GOMODCACHE"); dir != "" {
		return dir
	}
	return filepath.Join(filepath.SplitList(build.Default.GOPATH)[0], "pkg", "mod")
}

// ModuleDir is the folder of a module in the module cache.
func ModuleDir(cache, path, version string) (string, error) {
	p, err := module.EscapePath(path)
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	v, err := module.EscapeVersion(version)
	if err != nil {
		return "", fmt.Errorf("find module: %w", err)
	}
	return filepath.Join(cache, filepath.FromSlash(p)+"@"+v), nil
}

// Module finds the licence of the Go module that lies in dir: all licences that
// the licence files at its top hold.
func Module(dir, path string) (Licence, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Licence{}, fmt.Errorf("find licence of module %s: %w; run `go mod download`", path, err)
	}
	if err != nil {
		return Licence{}, fmt.Errorf("find licence of module %s: %w", path, err)
	}
	var ids, odd []string
	for _, e := range entries {
		if !e.Type().IsRegular() || !licenceFile.MatchString(e.Name()) || filepath.Ext(e.Name()) == ".go" {
			continue
		}
		text, err := readText(filepath.Join(dir, e.Name()))
		if err != nil {
			return Licence{}, fmt.Errorf("find licence of module %s: %w", path, err)
		}
		found, whole := scan(text)
		if !whole {
			odd = append(odd, e.Name())
			continue
		}
		ids = append(ids, found...)
	}
	l := Licence{}
	switch {
	case len(odd) > 0:
		ids = append(ids, ref("Go-"+path))
		l.Note = "the text of " + strings.Join(odd, ", ") + " in the module is not a known one: read it there"
	case len(ids) == 0:
		ids = append(ids, ref("Go-"+path))
		l.Note = "the module has no licence file"
	}
	l.SPDX = join(" AND ", ids)
	return l, nil
}

func readText(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("read %s: larger than %d bytes", name, maxText)
	}
	return text, err
}

// scan finds the licences whose text stands in a file; whole says that little
// else does.
func scan(text []byte) (ids []string, whole bool) {
	if len(text) == 0 {
		return nil, false
	}
	c := licensecheck.Scan(text)
	for _, m := range c.Match {
		if notSPDX[m.ID] {
			return nil, false
		}
		if !m.IsURL {
			ids = append(ids, m.ID)
		}
	}
	ids = sortedOnce(ids)
	return ids, len(ids) > 0 && c.Percent >= enough
}
