package config

import (
	"fmt"
	"strings"
)

// Markdown is the table as the README shows it; a test compares the two.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| key | variable | default | meaning |\n|---|---|---|---|\n")
	for _, d := range Table {
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", d.Key, d.Env, d.otherwise("`"), d.Help)
	}
	return b.String()
}

// Example is a bee.toml with every key in a comment; templates/bee.toml is it.
func Example() string {
	var b strings.Builder
	b.WriteString("# What a build is asked for. Copy this file to the root of the checkout and take\n" +
		"# away the '#' before what you want. Each key is a variable of the environment\n" +
		"# too, which wins. Paths are relative to the root of the checkout.\n")
	for _, d := range Table {
		fmt.Fprintf(&b, "\n# %s\n# (%s; default: %s)\n#%s = %s\n", strings.ReplaceAll(d.Help, "`", ""), d.Env, d.otherwise(""), d.Key, d.Example)
	}
	return b.String()
}

// otherwise is what holds without a value; quote stands around a real one.
func (d Definition) otherwise(quote string) string {
	if d.Default == "" {
		return d.Unset
	}
	return quote + d.Default + quote
}
