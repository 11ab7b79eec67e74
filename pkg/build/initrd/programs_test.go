package initrd

import "testing"

// TestSourceSum: what the programs are made of, and how, decides whether they are made
// anew.
func TestSourceSum(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []struct {
		arch            string
		commands, first []string
	}{
		{"amd64", []string{"a", "b"}, nil}, {"arm64", []string{"a", "b"}, nil}, {"amd64", []string{"a"}, nil},
		{"amd64", []string{"a", "b"}, []string{"a"}}, {"amd64", []string{"a", "b"}, []string{"b"}},
	} {
		sum, err := sourceSum("../../..", c.arch, c.commands, c.first)
		if err != nil {
			t.Fatal(err)
		}
		if seen[sum] {
			t.Errorf("%+v: the same sum as another", c)
		}
		seen[sum] = true
	}
}
