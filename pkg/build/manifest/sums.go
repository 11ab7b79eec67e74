package manifest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
)

// SumsName is the name of the list of digests in its folder.
const SumsName = "SHA256SUMS"

// Sum is one line of SHA256SUMS.
type Sum struct{ Name, SHA256 string }

// SumsText is SHA256SUMS as sha256sum(1) of GNU coreutils writes it, in the
// order of names.
func SumsText(sums []Sum) []byte {
	sums = ordered(sums, func(a, b Sum) int { return strings.Compare(a.Name, b.Name) })
	var out strings.Builder
	for _, s := range sums {
		fmt.Fprintf(&out, "%s  %s\n", s.SHA256, s.Name)
	}
	return []byte(out.String())
}

// Write writes the manifest into the folder, whole or not at all.
func (m *Manifest) Write(dir string) error {
	text, err := m.Encode()
	if err != nil {
		return err
	}
	return write(dir, FileName, text)
}

// WriteSums writes SHA256SUMS into the folder, whole or not at all: the
// outputs, with the digests that Add computed, the manifest, which must be
// written, and the other documents beside it, such as the SBOM.
func (m *Manifest) WriteSums(ctx context.Context, dir string, documents ...string) error {
	var sums []Sum
	for _, o := range m.Outputs {
		sums = append(sums, Sum{o.Name, o.SHA256})
	}
	for _, name := range append([]string{FileName}, documents...) {
		if slices.ContainsFunc(sums, func(s Sum) bool { return s.Name == name }) || name == SumsName {
			return fmt.Errorf("write %s: %s is listed already", SumsName, name)
		}
		if err := CheckName(name); err != nil {
			return fmt.Errorf("write %s: %w", SumsName, err)
		}
		digest, err := SumFile(ctx, filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			return fmt.Errorf("write %s: %w", SumsName, err)
		}
		sums = append(sums, Sum{name, digest})
	}
	return write(dir, SumsName, SumsText(sums))
}

// SumFile is the SHA-256 of a file, 64 hexadecimal digits.
func SumFile(ctx context.Context, name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	return sum(ctx, io.NewSectionReader(cancelled{ctx, f}, 0, fi.Size()))
}

func write(dir, name string, text []byte) error {
	err := renameio.WriteFile(filepath.Join(dir, name), text, 0o644, renameio.WithTempDir(dir), renameio.WithStaticPermissions(0o644))
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
