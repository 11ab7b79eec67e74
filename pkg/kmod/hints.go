package kmod

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// hintsName lies beside the tables of an image. It holds the aliases of the
// modules that the full kernel package has and the image has not, and the
// firmware that they ask for: gzip around lines
//
//	firmware MODULE FILE...
//	alias PATTERN MODULE
//
// the firmware lines first, both sorted.
const hintsName = "bee.hints.gz"

// maxHints bounds the unpacked size, bytes. Debian's whole 6.12 kernel takes
// 2 MB.
const maxHints = 32 << 20

// Hints names the module that a device would have with the full kernel.
type Hints struct {
	alias    aliasTable
	firmware map[string][]string
}

// Wanted is a module that the image lacks, with the firmware that it declares
// (relative to /lib/firmware, may hold wildcards).
type Wanted struct {
	Module   string
	Firmware []string
}

// OpenHints reads the hints beside the tables in dir. An image that carries
// every module has none: Lookup then finds nothing.
func OpenHints(fsys fs.FS, dir string) (*Hints, error) {
	name := path.Join(dir, hintsName)
	b, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return &Hints{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open module hints: %w", err)
	}
	h, err := parseHints(b)
	if err != nil {
		return nil, fmt.Errorf("parse module hints %s: %w", name, err)
	}
	return h, nil
}

func parseHints(b []byte) (*Hints, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(z, maxHints+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxHints {
		return nil, fmt.Errorf("more than %d bytes", maxHints)
	}
	h := &Hints{firmware: make(map[string][]string)}
	rest := string(text)
	for strings.HasPrefix(rest, "firmware ") {
		line, after, ok := strings.Cut(rest, "\n")
		if !ok {
			return nil, errors.New("the last line is cut off")
		}
		f := strings.Fields(line)
		if len(f) > 2 {
			h.firmware[f[1]] = f[2:]
		}
		rest = after
	}
	if rest != "" && !strings.HasSuffix(rest, "\n") {
		return nil, errors.New("the last line is cut off")
	}
	h.alias = aliasTable(rest)
	return h, nil
}

// Lookup gives the modules that the full kernel has for a modalias and the
// image has not, by name.
func (h *Hints) Lookup(modalias string) []Wanted {
	var found []Wanted
	h.alias.find(normalizeAlias(modalias), func(mod string) {
		if !slices.ContainsFunc(found, func(w Wanted) bool { return w.Module == mod }) {
			found = append(found, Wanted{Module: mod, Firmware: h.firmware[mod]})
		}
	})
	slices.SortFunc(found, func(a, b Wanted) int { return strings.Compare(a.Module, b.Module) })
	return found
}
