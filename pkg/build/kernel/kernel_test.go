package kernel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	const config = "# comment\nCONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=\"text\"\n"
	for _, c := range []struct {
		required string
		want     []string
	}{
		{"CONFIG_A=y # because\nCONFIG_B=m\nCONFIG_A=m\nCONFIG_C=n\nCONFIG_D=\"text\"\n", nil},
		{"CONFIG_B=y # boot needs it\n", []string{"CONFIG_B=y: the kernel has m. boot needs it"}},
		{"CONFIG_C=y\nCONFIG_A=n\n", []string{"CONFIG_C=y: the kernel has n.", "CONFIG_A=n: the kernel has y."}},
	} {
		got, err := compare(c.required, config)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%q: %s", c.required, d)
		}
	}
	for _, bad := range []string{"CONFIG_A\n", "A=y\n", "CONFIG_A=\n"} {
		if _, err := compare("\n"+bad, config); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("compare(%q) = %v, want an error that names line 2", bad, err)
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("CONFIG_A=y # why\n", "CONFIG_A=m\n")
	f.Fuzz(func(t *testing.T, required, config string) {
		missing, err := compare(required, config)
		if err != nil && missing != nil {
			t.Fatal("an error and a result")
		}
		_ = missing
	})
}
