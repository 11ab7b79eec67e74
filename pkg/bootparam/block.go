package bootparam

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// BlockName is the parameter that closes the words of a parameter block.
const BlockName = "bee.block"

// BlockSize is the length of a parameter block on a medium, bytes: the words in
// it are never longer together.
const BlockSize = 1024

// blockDigits is how much of a SHA-256 stands in bee.block.
const blockDigits = 16

// BlockSum is the value of bee.block after these words: the beginning of the
// SHA-256 over the words, a newline between them. It tells words that a boot
// loader lost or changed from those that were written; it is no signature.
func BlockSum(words []string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\n")))
	return hex.EncodeToString(sum[:])[:blockDigits]
}

// checkBlock looks for the words of the block at the end of those before the
// sum. Where they begin, nothing says: what the boot loader's own configuration
// has to say stands in front of them.
func checkBlock(before []string, value string) error {
	if len(value) != blockDigits || strings.Trim(value, "0123456789abcdef") != "" {
		return errors.New("not 16 hexadecimal digits")
	}
	length := 0
	for i := len(before) - 1; i >= 0 && length <= BlockSize; i-- {
		length += len(before[i]) + 1
		if BlockSum(before[i:]) == value {
			return nil
		}
	}
	return errors.New("the words before it are not those that were written into the medium's parameter block, some are lost or changed: compare /proc/cmdline with what `go tool mage patch` says of the medium, and write the block again")
}
