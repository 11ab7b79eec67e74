package bench

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// defaultRounds is how often each subject is measured where nobody says more.
const defaultRounds = 5

// section is a part of the benchmark that can be run alone. It returns what is
// printed at the end.
type section struct {
	name string
	run  func(*bench, context.Context) (string, error)
}

// sections are all of them, in the order in which they run.
var sections = []section{
	{"boots", (*bench).boots},
	{"banner", (*bench).banner},
	{"builds", (*bench).builds},
	{"audits", (*bench).audit},
	{"images", (*bench).images},
	{"families", (*bench).families}, // three minutes each, half an hour in all
}

// parseSections reads BEE_BENCH: names with commas between them; empty is all.
func parseSections(s string) ([]section, error) {
	if s == "" {
		return sections, nil
	}
	var names []string
	for _, x := range sections {
		names = append(names, x.name)
	}
	asked := strings.Split(s, ",")
	for i, name := range asked {
		asked[i] = strings.TrimSpace(name)
		if !slices.Contains(names, asked[i]) {
			return nil, fmt.Errorf("read BEE_BENCH: there is no section %q; there are: %s", asked[i], strings.Join(names, ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(sections), func(x section) bool { return !slices.Contains(asked, x.name) }), nil
}

// parseRounds reads BEE_BENCH_ROUNDS.
func parseRounds(s string) (int, error) {
	if s == "" {
		return defaultRounds, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 100 {
		return 0, fmt.Errorf("read BEE_BENCH_ROUNDS: %q is no number from 1 to 100", s)
	}
	return n, nil
}
