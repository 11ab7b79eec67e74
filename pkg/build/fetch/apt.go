package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/deb822"
)

// HostMirrors returns the base URLs of Debian's archives that the host's own
// apt uses, by archive name ("debian", "debian-security"), from
// etc/apt/sources.list and etc/apt/sources.list.d below root (sources.list(5)).
// A host without apt, or with no Debian archive among its sources, has none.
// A file that cannot be read or parsed is left out and told in the error; the
// map holds what the others say.
func HostMirrors(root fs.FS) (map[string][]string, error) {
	found := make(map[string][]string)
	var problems []error
	files := []string{"etc/apt/sources.list"}
	for _, pattern := range []string{"*.list", "*.sources"} {
		more, err := fs.Glob(root, "etc/apt/sources.list.d/"+pattern)
		if err != nil {
			return nil, fmt.Errorf("list apt sources: %w", err)
		}
		files = append(files, more...)
	}
	for _, name := range files {
		data, err := fs.ReadFile(root, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var sources []aptSource
		if err == nil {
			sources, err = parseSources(name, string(data))
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("read /%s: %w", name, err))
		}
		for _, s := range sources {
			if archive := s.archive(); archive != "" && !slices.Contains(found[archive], s.base()) {
				found[archive] = append(found[archive], s.base())
			}
		}
	}
	// A mirror of the main archive mostly has the others beside it; asking costs
	// one 404 where it has not.
	for _, base := range found["debian"] {
		if beside := base + "-security"; strings.HasSuffix(base, "/debian") && !slices.Contains(found["debian-security"], beside) {
			found["debian-security"] = append(found["debian-security"], beside)
		}
	}
	return found, errors.Join(problems...)
}

// aptSource is one enabled "deb" source.
type aptSource struct {
	uri        string
	suite      string
	components []string
}

func (s aptSource) base() string { return strings.TrimRight(s.uri, "/") }

// archive tells which of Debian's archives the source is, "" for any other.
// Debian's have a component main; vendors who call their path /debian too
// mostly have not, and where they have, the digest still decides.
func (s aptSource) archive() string {
	u, err := url.Parse(s.uri)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || !slices.Contains(s.components, "main") {
		return ""
	}
	switch path.Base(u.Path) {
	case "debian":
		return "debian"
	case "debian-security":
		return "debian-security"
	}
	return ""
}

func parseSources(name, text string) ([]aptSource, error) {
	if strings.HasSuffix(name, ".sources") {
		return parseDeb822Sources(text)
	}
	return parseListSources(text), nil
}

// parseDeb822Sources reads the stanza format of *.sources.
func parseDeb822Sources(text string) ([]aptSource, error) {
	stanzas, err := deb822.Parse(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	var out []aptSource
	for _, s := range stanzas {
		enabled := strings.ToLower(s.Get("Enabled"))
		if enabled == "no" || enabled == "false" || enabled == "0" || !slices.Contains(s.Words("Types"), "deb") {
			continue
		}
		for _, uri := range s.Words("URIs") {
			for _, suite := range s.Words("Suites") {
				out = append(out, aptSource{uri, suite, s.Words("Components")})
			}
		}
	}
	return out, nil
}

// parseListSources reads "deb [options] uri suite component…" lines. Like apt's
// own front ends it passes over lines of any other kind.
func parseListSources(text string) []aptSource {
	var out []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || rest == "" || (rest[0] != ' ' && rest[0] != '\t') {
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			if _, rest, ok = strings.Cut(rest, "]"); !ok {
				continue
			}
		}
		if w := strings.Fields(rest); len(w) >= 2 {
			out = append(out, aptSource{w[0], w[1], w[2:]})
		}
	}
	return out
}
