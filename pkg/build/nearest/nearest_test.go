package nearest

import "testing"

// The distances are those that the literature gives for these pairs.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"saturday", "sunday", 3},
		{"teh", "the", 1}, {"ca", "abc", 3}, {"bee.hots", "bee.host", 1}, {"same", "same", 0},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q → %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("%q → %q: %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestSuggest(t *testing.T) {
	names := []string{"arch", "manifest", "variants", "nvidia", "nvidia_flavor"}
	for word, want := range map[string]string{
		"manifset": "; do you mean manifest?", "variant": "; do you mean variants?", "nvidia-flavor": "; do you mean nvidia_flavor?",
		"nvidai": "; do you mean nvidia?", "zzz": "", "": "",
	} {
		if got := Suggest(word, names); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
