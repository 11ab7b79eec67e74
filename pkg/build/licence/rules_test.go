package licence

import (
	"encoding/hex"
	"testing"
)

func TestRules(t *testing.T) {
	if b, err := hex.DecodeString(Rules()); err != nil || len(b) != 32 {
		t.Errorf("%q, %v", Rules(), err)
	}
	entries, err := sources.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range entries {
		found = found || e.Name() == "licence.go"
	}
	if !found {
		t.Error("the sources are not in this program")
	}
}
