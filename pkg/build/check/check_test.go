package check

import (
	"slices"
	"strings"
	"testing"
)

func TestFuzzTargets(t *testing.T) {
	const list = "FuzzA\nFuzzB\nok  \tbee/pkg/x\t0.01s\n?   \tbee/cmds/y\t[no test files]\nok  \tbee/pkg/z\t0.02s\nFuzzC\nok  \tbee/pkg/w\t0.01s\n"
	got := fuzzTargets(strings.NewReader(list))
	want := []fuzzTarget{{"bee/pkg/x", "FuzzA"}, {"bee/pkg/x", "FuzzB"}, {"bee/pkg/w", "FuzzC"}}
	if !slices.Equal(got, want) {
		t.Fatalf("fuzzTargets = %v, want %v", got, want)
	}
}

func TestFuzzTime(t *testing.T) {
	for each, good := range map[string]bool{"60s": true, "10000x": true, "0x": false, "x": false, "-1x": false, "10": false, "0s": false, "-2s": false, "soon": false} {
		if err := checkFuzzTime(each); (err == nil) != good {
			t.Errorf("FUZZTIME=%s: %v", each, err)
		}
	}
}
