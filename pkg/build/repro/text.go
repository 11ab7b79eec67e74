package repro

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxText bounds a document that is read whole, bytes.
const maxText = 64 << 20

func document(v view) []byte {
	if v.size > maxText {
		return nil
	}
	return v.bytes(0, v.size)
}

func isJSON(v view) bool {
	text := document(v)
	return text != nil && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && json.Valid(text)
}

// explainJSON names the first key whose value differs.
func explainJSON(_ *explaining, a, b view, _ int64) []string {
	left, errLeft := decode(document(a))
	right, errRight := decode(document(b))
	if errLeft != nil || errRight != nil {
		return nil
	}
	path, what := differs(left, right)
	if what == "" {
		return []string{"JSON: the values are the same, they are written in another way (order of keys, blanks, escapes)"}
	}
	return []string{"JSON: " + strings.TrimPrefix(path, "."), what}
}

func decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// differs gives the path of the first difference, keys in order; what is empty
// where there is none.
func differs(a, b any) (path, what string) {
	switch left := a.(type) {
	case map[string]any:
		right, ok := b.(map[string]any)
		if !ok {
			break
		}
		keys := maps.Clone(left)
		maps.Copy(keys, right)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			l, inLeft := left[k]
			r, inRight := right[k]
			if inLeft != inRight {
				return "." + k, onlyIn(inLeft)
			}
			if p, w := differs(l, r); w != "" {
				return "." + k + p, w
			}
		}
		return "", ""
	case []any:
		right, ok := b.([]any)
		if !ok {
			break
		}
		for i := range min(len(left), len(right)) {
			if p, w := differs(left[i], right[i]); w != "" {
				return fmt.Sprintf("[%d]%s", i, p), w
			}
		}
		if len(left) != len(right) {
			return fmt.Sprintf("[%d]", min(len(left), len(right))), fmt.Sprintf("the first list has %d elements, the second %d", len(left), len(right))
		}
		return "", ""
	default:
		if a == b {
			return "", ""
		}
	}
	return "", fmt.Sprintf("%s in the first and %s in the second", short(a), short(b))
}

func onlyIn(first bool) string {
	if first {
		return "only the first has it"
	}
	return "only the second has it"
}

// maxShown bounds a value that is shown, bytes.
const maxShown = 120

func short(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return cut(string(text))
}

func cut(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}

func isText(v view) bool {
	text := document(v)
	return len(text) > 0 && utf8.Valid(text) && !bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' && r != '\r' })
}

// explainText shows the line.
func explainText(_ *explaining, a, b view, at int64) []string {
	left, right := document(a), document(b)
	n := min(at, int64(len(left)), int64(len(right)))
	line := 1 + bytes.Count(left[:n], []byte("\n"))
	start := int64(bytes.LastIndexByte(left[:n], '\n') + 1)
	return []string{fmt.Sprintf("line %d", line), fmt.Sprintf("%s in the first and %s in the second", lineAt(left, start), lineAt(right, start))}
}

func lineAt(text []byte, start int64) string {
	line, _, _ := bytes.Cut(text[start:], []byte("\n"))
	return cut(fmt.Sprintf("%q", line))
}
