package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/manifest"
)

// maxText bounds what is read whole, bytes: lists, statements and bundles. The
// largest bill of materials is 5 MB.
const maxText = 64 << 20

// list notes what lies in the folder. Nothing but files and folders has a place
// there: a link may lead anywhere by the time it is flashed.
func (r *run) list() error {
	r.files = make(map[string]int64)
	folders := make(map[string]bool)
	err := fs.WalkDir(r.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case d.IsDir():
			folders[name] = true
			return nil
		case !d.Type().IsRegular():
			r.odd = append(r.odd, fmt.Sprintf("%q is a %s", name, kind(d.Type())))
			return nil
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		r.files[name] = fi.Size()
		return nil
	})
	for name := range r.files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			delete(folders, dir)
		}
	}
	for name := range folders {
		r.odd = append(r.odd, fmt.Sprintf("%q is an empty folder", name))
	}
	slices.Sort(r.odd)
	return err
}

func kind(t fs.FileMode) string {
	if t&fs.ModeSymlink != 0 {
		return "symbolic link"
	}
	return "special file"
}

// isText says whether a file is read whole: a document, a list, a bundle.
func (r *run) isText(name string) bool {
	return slices.Contains(documents, name) || name == manifest.SumsName || isBundle(name)
}

func isBundle(name string) bool { return strings.HasSuffix(name, BundleSuffix) }

func (r *run) read(name string) (text []byte, sum string, err error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, "", err
	}
	if len(text) > maxText {
		return nil, "", fmt.Errorf("read %s: it is larger than %d bytes, which no such file is", name, maxText)
	}
	digest := sha256.Sum256(text)
	return text, hex.EncodeToString(digest[:]), nil
}

// folder says whether something lies there that no list names, or does not
// lie there and should.
func (r *run) folder() {
	var extra, missing []string
	listed := func(name string) bool {
		_, ok := r.m.Output(name)
		return ok || name == manifest.SumsName || slices.Contains(documents, name)
	}
	bundles := 0
	for name := range r.files {
		switch {
		case listed(name):
		case isBundle(name) && !strings.Contains(name, "/"):
			bundles++ // signature looked at it
		default:
			extra = append(extra, fmt.Sprintf("%q", name))
		}
	}
	for _, name := range append(outputNames(r.m), append([]string{manifest.SumsName}, documents...)...) {
		if _, ok := r.files[name]; !ok {
			missing = append(missing, name)
		}
	}
	slices.Sort(extra)
	slices.Sort(missing)
	if len(missing) > 0 {
		r.report.fail("folder", "missing: %s", strings.Join(missing, ", "))
	}
	if extra = append(extra, r.odd...); len(extra) > 0 {
		r.report.fail("folder", "no list names: %s", strings.Join(extra, ", "))
	}
	if len(missing)+len(extra) == 0 {
		r.report.ok("folder", "%d files, %d of them bundles, and nothing else", len(r.files), bundles)
	}
}

func outputNames(m *manifest.Manifest) []string {
	var names []string
	for _, o := range m.Outputs {
		names = append(names, o.Name)
	}
	return names
}

// firstDifference names the first line in which a list is not what it should
// be; empty: it is.
func firstDifference(have, want string) string {
	if have == want {
		return ""
	}
	a, b := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(a) || i == len(a)-1 && a[i] == "" && i < len(b)-1:
			return fmt.Sprintf("line %d is missing: %s", i+1, b[i])
		case i >= len(b) || i == len(b)-1 && b[i] == "" && i < len(a)-1:
			return fmt.Sprintf("line %d is too many: %s", i+1, a[i])
		case a[i] != b[i]:
			return fmt.Sprintf("line %d is %q; the manifest and the files say %q", i+1, a[i], b[i])
		}
	}
	return "it differs"
}
