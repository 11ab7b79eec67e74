package vm

import (
	"os"
	"path/filepath"
	"testing"
)

func TestJoinInitrds(t *testing.T) {
	dir := t.TempDir()
	part := filepath.Join(dir, "part")
	if err := os.WriteFile(part, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	p := &Process{}
	if got, err := p.joinInitrds(nil); err != nil || got != "" {
		t.Errorf("no part: %q, %v", got, err)
	}
	if got, err := p.joinInitrds([]string{part}); err != nil || got != part {
		t.Errorf("one part: %q, %v", got, err)
	}
	got, err := p.joinInitrds([]string{part, part})
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(got)
	if err != nil || string(b) != "12345\x00\x00\x0012345\x00\x00\x00" {
		t.Errorf("joined %q, %v", b, err)
	}
	if err := p.removeTemp(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(got); !os.IsNotExist(err) {
		t.Errorf("the joined file is still there: %v", err)
	}
	if _, err := p.joinInitrds([]string{part, filepath.Join(dir, "absent")}); err == nil {
		t.Error("an absent part was joined")
	}
	if err := p.removeTemp(); err != nil {
		t.Error(err)
	}
}
