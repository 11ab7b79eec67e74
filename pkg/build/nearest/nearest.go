// Package nearest finds what somebody meant who mistyped a name.
package nearest

// Name is the one among names that differs least from word, and "" where none
// is near: a third of the word's letters, and at least one, may be wrong.
func Name(word string, names []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, n := range names {
		if d := distance(word, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// Suggest is "; do you mean NAME?", or "" where no name is near.
func Suggest(word string, names []string) string {
	if n := Name(word, names); n != "" {
		return "; do you mean " + n + "?"
	}
	return ""
}

// distance is how many letters must be added, taken away, changed, or swapped
// with their neighbour to make b of a: the restricted distance of Damerau (A
// technique for computer detection and correction of spelling errors, 1964)
// and Levenshtein, in bytes.
func distance(a, b string) int {
	var before []int
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
