package busybox

import (
	"slices"
	"strings"
	"testing"
)

const core = "github.com/u-root/u-root/cmds/core"

func TestList(t *testing.T) {
	names, err := List(t.Context(), "../../..", core)
	if err != nil || !slices.Contains(names, "cat") || !slices.Contains(names, "base64") || slices.Contains(names, "core") {
		t.Errorf("%q, %v", names, err)
	}
	if names, err := List(t.Context(), "../../..", core+"/cat"); err != nil || len(names) != 0 {
		t.Errorf("below a command: %q, %v", names, err)
	}
}

func TestResolve(t *testing.T) {
	if err := Resolve(t.Context(), "../../..", []string{core + "/base64"}); err != nil {
		t.Error(err)
	}
	if err := Resolve(t.Context(), "../../..", nil); err != nil {
		t.Error(err)
	}
	// Its client of TFTP is not among our modules.
	if err := Resolve(t.Context(), "../../..", []string{core + "/wget"}); err == nil || !strings.Contains(err.Error(), "go get -tool "+core+"/wget") {
		t.Errorf("wget: %v", err)
	}
}
