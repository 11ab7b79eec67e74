package paramblock

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The golden file's first line is what `tail -c +88 FILE | sha256sum` says, and
// its bee.block what sha256sum says of the words.
func TestGolden(t *testing.T) {
	got := mustNew(t, "bee.ip=dhcp", "bee.ssh_key=ssh-ed25519 AAAA me@x")
	const name = "testdata/block.cfg"
	if *update {
		write(t, name, got)
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	if len(got) != 1024 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestRoundTrip(t *testing.T) {
	for _, words := range [][]string{nil, {"quiet"}, odd, {"a b", "bee.x= leading", "trailing "}} {
		got, err := Parse(mustNew(t, words...))
		if d := cmp.Diff(words, got); err != nil || d != "" {
			t.Errorf("%q: %v %s", words, err, d)
		}
	}
	for line := range bytes.Lines(mustNew(t)) {
		if !strings.HasPrefix(string(line), "#") && !strings.Contains(Default, string(line)) {
			t.Errorf("the empty block says %q", line)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for word, says := range map[string]string{
		"":                         "empty",
		"--":                       "first program",
		"bee.block=1":              "made by this program",
		"bee.block":                "made by this program",
		"bee.ssh_key='x'":          "character 13 is '",
		`bee.x="y"`:                `character 7 is "`,
		`a\b`:                      `character 2 is \`,
		"a\nb":                     `character 2 is '\n'`,
		"a\tb":                     `character 2 is '\t'`,
		"a\x00b":                   `character 2 is '\x00'`,
		"josé":                     "printable ASCII",
		"bee.password_hash=$6$a'b": "bee.password_hash=…",
	} {
		_, err := New([]string{"first", word})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "$6$") {
			t.Errorf("%q: %v, want an error with %q", word, err, says)
		}
	}
}

// A block is full to the byte, and what is one byte longer says so.
func TestTooLong(t *testing.T) {
	most := 0
	for n := 1; ; n++ {
		_, err := New([]string{strings.Repeat("x", n)})
		if err == nil {
			most = n
			continue
		}
		var long *TooLong
		if !errors.As(err, &long) || long.Over != 1 || !strings.Contains(err.Error(), "1 bytes longer") {
			t.Errorf("%d: %v", n, err)
		}
		break
	}
	if most < 850 {
		t.Errorf("there is room for %d bytes only", most)
	}
	var long *TooLong
	if _, err := New([]string{strings.Repeat("x", most+100)}); !errors.As(err, &long) || long.Over != 100 {
		t.Error(err)
	}
	words, err := Parse(mustNew(t, strings.Repeat("x", most)))
	if err != nil || len(words) != 1 {
		t.Errorf("%q, %v", words, err)
	}
}

// resum gives a changed block a good checksum.
func resum(block []byte) []byte {
	copy(block, fmt.Sprintf("%s%x\n", first, sha256.Sum256(block[body:])))
	return block
}

func TestParseRefuses(t *testing.T) {
	good := mustNew(t, "bee.ip=dhcp", "quiet")
	change := func(from, to string) []byte { return bytes.Replace(good, []byte(from), []byte(to), 1) }
	const form = "not of the form"
	for _, c := range []struct {
		says  string
		block []byte
	}{
		{"1023 bytes", good[:1023]},
		{"does not begin", change("#", "!")},
		{`version "2"`, change("params 1", "params 2")},
		{"checksum", change("dhcp", "dhcq")},
		{form, resum(change("quiet", "Quiet"))}, // bee.block is that of the old words
		{form, resum(change("\"$@\"", "\"$*\""))},
		{form, resum(change("\n}\n", "\n)\n"))},
		{form, resum(change("###\n", "##\n#"))},
		{form, resum(change("' 'quiet", "' \"quiet"))},
	} {
		words, err := Parse(c.block)
		if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, ErrSum) != (c.says == "checksum") {
			t.Errorf("%q: %q, %v", c.says, words, err)
		}
	}
}

func TestFields(t *testing.T) {
	for in, want := range map[string][]string{
		"":                                 nil,
		"  bee.ip=dhcp\t quiet ":           {"bee.ip=dhcp", "quiet"},
		`bee.ssh_key="ssh-ed25519 AAAA u"`: {"bee.ssh_key=ssh-ed25519 AAAA u"},
		`'bee.ssh_key=ssh-ed25519 AAAA u'`: {"bee.ssh_key=ssh-ed25519 AAAA u"},
		`a'b "c'd "" e`:                    {`ab "cd`, "", "e"},
	} {
		got, err := Fields(in)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%q: %v %s", in, err, d)
		}
	}
	for in, says := range map[string]string{`a "b`: "never closed", `a\ b`: "backslash"} {
		if _, err := Fields(in); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestCheck(t *testing.T) {
	if err := Check([]string{"bee.ip=dhcp", "bee-debug", "console=tty0", "bee.debug", "bee.module=nbd nbds_max=4", "bee.reboot-on-failure"}); err != nil {
		t.Error(err)
	}
	for word, says := range map[string]string{
		"bee.hotsname=x":             "do you mean bee.hostname?",
		"bee.pi=dhcp":                "do you mean bee.ip?",
		"bee.watchdog=1":             "5…3600",
		"bee.ip=nowhere":             "bee.ip=dhcp|off",
		"bee.hostname":               "needs a value",
		"bee.password_hash=hunter22": "bee.password_hash=…",
		"x'y":                        "backslash",
	} {
		if err := Check([]string{"quiet", word}); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v, want an error with %q", word, err, says)
		}
	}
	if err := Check([]string{"bee.x", "bee.y"}); err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("two errors: %v", err)
	}
}

func TestFind(t *testing.T) {
	block := mustNew(t, "quiet")
	image := make([]byte, 2*chunk+3*sector)
	want := []int64{0, 5 * sector, chunk - sector, chunk + 4*sector, int64(len(image)) - Size}
	for _, at := range want {
		copy(image[at:], block)
	}
	copy(image[100*sector+1:], block) // not on a sector
	got, err := Find(bytes.NewReader(image), int64(len(image)))
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	for _, at := range got {
		if _, err := readBlock(bytes.NewReader(image), at); err != nil {
			t.Error(err)
		}
	}
	for _, short := range []int{0, 1, Size - 1} {
		if got, err := Find(bytes.NewReader(block[:short]), int64(short)); err != nil || got != nil {
			t.Errorf("%d bytes: %v, %v", short, got, err)
		}
	}
}

func TestAsBuilt(t *testing.T) {
	empty := mustNew(t)
	built := bytes.Repeat([]byte("some text"), 2000)
	for _, at := range []int{0, 4 * sector, 10 * sector} {
		copy(built[at:], empty)
	}
	patched := bytes.Clone(built)
	copy(patched, mustNew(t, odd...))
	copy(patched[4*sector:], mustNew(t, "quiet"))
	read := func(image []byte) []byte {
		t.Helper()
		r, err := AsBuilt(bytes.NewReader(image), int64(len(image)))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if !bytes.Equal(read(built), built) || !bytes.Equal(read(patched), built) {
		t.Error("the image is not read as it was built")
	}
	patched[4*sector+500] ^= 1 // a block that is not whole is not looked past
	if bytes.Equal(read(patched), built) {
		t.Error("a broken block went unseen")
	}
}

func FuzzParse(f *testing.F) {
	for _, words := range [][]string{nil, odd, {"quiet"}} {
		b, err := New(words)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:])
	}
	f.Fuzz(func(t *testing.T, block []byte) {
		words, err := Parse(block)
		if err != nil {
			if len(block) == Size { // past the checksum, which no chance finds
				if words, err = Parse(resum(bytes.Clone(block))); err == nil && !bytes.HasPrefix(block[body:], []byte(head)) {
					t.Errorf("%q gives %q", block, words)
				}
			}
			return
		}
		again, err := New(words)
		if err != nil || !bytes.Equal(again[:], block) {
			t.Errorf("%q is made again as %q, %v", block, again, err)
		}
	})
}

func FuzzNew(f *testing.F) {
	f.Add("bee.ip=dhcp 'bee.ssh_key=ssh-ed25519 AAAA u' quiet")
	f.Add("' ' a' 'b")
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Fields(line)
		if err != nil {
			return
		}
		block, err := New(words)
		if err != nil {
			return
		}
		got, err := Parse(block[:])
		if d := cmp.Diff(words, got); err != nil || d != "" {
			t.Errorf("%q: %v %s", words, err, d)
		}
	})
}
