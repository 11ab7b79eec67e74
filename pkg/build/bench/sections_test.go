package bench

import (
	"strings"
	"testing"
)

func TestParseSections(t *testing.T) {
	for s, want := range map[string]string{
		"": "boots banner builds audits images families", "images": "images", "images, boots": "boots images", "audits,audits": "audits",
	} {
		got, err := parseSections(s)
		var names []string
		for _, x := range got {
			names = append(names, x.name)
		}
		if strings.Join(names, " ") != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", s, names, err, want)
		}
	}
	for _, s := range []string{"image", ",", "boots,", "boots builds"} {
		if _, err := parseSections(s); err == nil || !strings.Contains(err.Error(), "there are: boots, banner, builds, audits, images, families") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestParseRounds(t *testing.T) {
	for s, want := range map[string]int{"": defaultRounds, "1": 1, "100": 100} {
		if got, err := parseRounds(s); got != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"0", "101", "-1", "five"} {
		if _, err := parseRounds(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}
