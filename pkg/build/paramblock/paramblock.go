// Package paramblock makes, finds and changes the parameter block of a medium:
// a file of exactly 1,024 bytes in the ISO and in the EFI system partition that
// GRUB sources, so that an operator gives the kernel and bee other parameters
// without building anew and without any tool but one that writes 1,024 bytes.
//
// The block is GRUB's own language: a first line with a checksum over the rest,
// then the definition of the function bee_linux, which grub.cfg defines without
// further words before it sources the file, then comments up to its end.
//
//	# bee-params 1 sha256:…
//	function bee_linux {
//	linux "$@" 'bee.ip=dhcp' 'bee.ssh_key=ssh-ed25519 AAAA me@host' 'bee.block=…'
//	}
//	####…
//
// GRUB gives the kernel a word with a blank in it whole, in double quotes, and
// puts a backslash before quotes and backslashes (grub-core/lib/cmdline.c),
// which the kernel's parser (lib/cmdline.c, next_arg) does not take away again:
// words with those characters are refused. GRUB does not check the sum;
// bee.block, the last word, lets the node tell whether the words arrived.
package paramblock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/bootparam"
)

// Size is the length of a block, bytes; Path is where the file lies in every
// file system that has one, as GRUB names it.
const (
	Size = bootparam.BlockSize
	Path = "/bee/params.cfg"
)

// Function is what the block defines in GRUB, and Default its definition for
// grub.cfg, which holds where no block can be read.
const (
	Function = "bee_linux"
	Default  = head + tail
)

// Parts of a block, in this order; the words stand between head and tail.
const (
	magic  = "# bee-params "
	first  = magic + "1 sha256:" // 1 is the version of the form
	digits = 2 * sha256.Size
	head   = "function " + Function + " {\nlinux \"$@\""
	tail   = "\n}\n"
	body   = len(first) + digits + 1 // where the sum's range begins
)

// padLine is the length of a line of padding with its newline.
const padLine = 64

// ErrSum tells that a block does not hold its checksum: it was edited by hand,
// or the medium is damaged.
var ErrSum = errors.New("the block does not match its checksum; somebody edited it by hand, or the medium is damaged")

// errForm tells that a block with a good checksum is not one that New makes.
var errForm = errors.New("the block has a good checksum, and yet it is not of the form that this program writes")

// TooLong tells that the words do not fit into a block.
type TooLong struct {
	Over int // bytes too many
}

func (e *TooLong) Error() string {
	return fmt.Sprintf("the words are %d bytes longer than the %d bytes of the block have room for; leave some out, or bake them in with the key parameters of bee.toml", e.Over, Size)
}

// New makes the block with these words, each as the kernel shall see it,
// without quotes around it. bee.block is added. Without words the block adds
// nothing.
func New(words []string) ([Size]byte, error) {
	var block [Size]byte
	var b strings.Builder
	b.WriteString(head)
	for _, w := range words {
		if err := check(w); err != nil {
			return block, fmt.Errorf("write parameter %s into the block: %w", shown(w), err)
		}
		b.WriteString(" '" + w + "'")
	}
	if len(words) > 0 {
		b.WriteString(" '" + bootparam.BlockName + "=" + bootparam.BlockSum(words) + "'")
	}
	b.WriteString(tail)
	room := Size - body - b.Len()
	if room < 0 {
		return block, fmt.Errorf("write the parameter block: %w", &TooLong{-room})
	}
	for ; room > 0; room -= padLine {
		b.WriteString(strings.Repeat("#", min(room, padLine)-1) + "\n")
	}
	sum := sha256.Sum256([]byte(b.String()))
	copy(block[:], first+hex.EncodeToString(sum[:])+"\n"+b.String())
	return block, nil
}

// check refuses what GRUB or the kernel would not hand on as it is.
func check(word string) error {
	name, _, _ := strings.Cut(word, "=")
	switch {
	case word == "":
		return errors.New("it is empty")
	case word == "--":
		return errors.New("the kernel keeps what follows it for the first program; nothing of bee reads that")
	case strings.ReplaceAll(name, "-", "_") == bootparam.BlockName:
		return errors.New("it is the checksum over the other words and made by this program")
	}
	for i := range len(word) {
		switch c := word[i]; {
		case c == '\'' || c == '"' || c == '\\':
			return fmt.Errorf("character %d is %c, which GRUB gives to the kernel with a backslash before it; there is no way to write it", i+1, c)
		case c < ' ' || c > '~':
			return fmt.Errorf("character %d is %q; only printable ASCII arrives unchanged through GRUB and the kernel", i+1, c)
		}
	}
	return nil
}

// Parse reads the words of a block, without bee.block. Its error wraps ErrSum
// where the block does not hold its checksum.
func Parse(block []byte) ([]string, error) {
	switch {
	case len(block) != Size:
		return nil, fmt.Errorf("read the parameter block: it has %d bytes, and a block has %d", len(block), Size)
	case !bytes.HasPrefix(block, []byte(magic)):
		return nil, fmt.Errorf("read the parameter block: it does not begin with %q", magic)
	case !bytes.HasPrefix(block, []byte(first)):
		version, _, _ := strings.Cut(string(block[len(magic):len(magic)+8]), " ")
		return nil, fmt.Errorf("read the parameter block: its form is version %q, and this program knows 1; use the bee that made the image", version)
	}
	sum := sha256.Sum256(block[body:])
	if string(block[len(first):body]) != hex.EncodeToString(sum[:])+"\n" {
		return nil, fmt.Errorf("read the parameter block: %w", ErrSum)
	}
	words, err := parseWords(string(block[body:]))
	if err != nil {
		return nil, err
	}
	// Only what New writes is understood: GRUB reads more than this.
	if again, err := New(words); err != nil || !bytes.Equal(again[:], block) {
		return nil, fmt.Errorf("read the parameter block: %w", errForm)
	}
	return words, nil
}

// parseWords cuts out the words between head and tail.
func parseWords(text string) ([]string, error) {
	text, ok := strings.CutPrefix(text, head)
	line, _, closed := strings.Cut(text, tail)
	if !ok || !closed {
		return nil, fmt.Errorf("read the parameter block: %w", errForm)
	}
	if line == "" {
		return nil, nil
	}
	line, opens := strings.CutPrefix(line, " '")
	line, closes := strings.CutSuffix(line, "'")
	words := strings.Split(line, "' '")
	if !opens || !closes || len(words) < 2 {
		return nil, fmt.Errorf("read the parameter block: %w", errForm)
	}
	return slices.Clone(words[:len(words)-1]), nil // New writes bee.block again
}

// shown is a word as a message may show it.
func shown(word string) string {
	if name, _, has := strings.Cut(word, "="); has && bootparam.Secret(name) {
		return name + "=…"
	}
	if strings.Contains(word, " ") {
		return "'" + word + "'"
	}
	return word
}
