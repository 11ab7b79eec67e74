package paramblock

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/build/nearest"
)

// Fields cuts a line into words as a shell does: blanks part them, single and
// double quotes hold them together, wherever in a word they stand. Nothing else
// means anything; a backslash is refused, since no word may hold one.
func Fields(line string) ([]string, error) {
	var words []string
	var b strings.Builder
	open, quote := false, rune(0)
	for _, r := range line {
		switch {
		case r == '\\':
			return nil, errors.New(`read parameters: a backslash has no meaning here; put quotes around a value with blanks, as in bee.module="nbd nbds_max=4"`)
		case r == quote:
			quote = 0
		case quote != 0:
			b.WriteRune(r)
		case r == '\'' || r == '"':
			open, quote = true, r
		case r == ' ' || r == '\t' || r == '\n':
			if open {
				words = append(words, b.String())
				b.Reset()
			}
			open = false
		default:
			b.WriteRune(r)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("read parameters: a quote %c is opened and never closed", quote)
	}
	if open {
		words = append(words, b.String())
	}
	return words, nil
}

// Check holds the words against what the node knows: a bee.* parameter that it
// would only warn of is refused, with the name that was meant where one is
// near. Words of the kernel's own pass.
func Check(words []string) error {
	var errs []error
	for _, w := range words {
		if err := check(w); err != nil {
			errs = append(errs, fmt.Errorf("parameter %s: %w", shown(w), err))
			continue
		}
		_, warnings := bootparam.Parse(`"` + w + `"`)
		name, _, _ := strings.Cut(w, "=")
		for _, warning := range warnings {
			suggestion := ""
			if !known(name) {
				suggestion = nearest.Suggest(name, bootparam.Names())
			}
			errs = append(errs, fmt.Errorf("parameter %s: %s%s", shown(w), warning.Reason, suggestion))
		}
	}
	return errors.Join(errs...)
}

func known(name string) bool {
	name = strings.ReplaceAll(name, "-", "_")
	for _, n := range bootparam.Names() {
		if n == name {
			return true
		}
	}
	return false
}

// Line shows words as they would be typed, without the values of secrets.
func Line(words []string) string {
	if len(words) == 0 {
		return "(no words)"
	}
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = shown(w)
	}
	return strings.Join(list, " ")
}
