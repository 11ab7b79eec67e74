package bootparam

import (
	"strings"
	"testing"
)

// The sum is that of sha256sum(1): printf 'bee.ip=dhcp\nbee.ssh_key=ssh-ed25519 AAAA me@x' | sha256sum | cut -c1-16.
const (
	blockWords = `bee.ip=dhcp "bee.ssh_key=ssh-ed25519 AAAA me@x"`
	blockSum   = "662618e02ce4800a"
)

func TestBlock(t *testing.T) {
	for cmdline, warns := range map[string]bool{
		"BOOT_IMAGE=/bee/vmlinuz console=ttyS0 quiet " + blockWords + " bee.block=" + blockSum: false,
		blockWords + " bee.block=" + blockSum:                                                  false,
		blockWords + " bee.block=" + blockSum + " bee.debug":                                   false,
		"bee.ip=dhcp bee.ssh_key=\"ssh-ed25519 AAAA me@x\" bee.block=" + blockSum:              false,
		"console=ttyS0 bee.ip=dhcp \"bee.ssh_key=ssh-ed25519 AAAA me@\" bee.block=" + blockSum: true,
		"console=ttyS0 \"bee.ssh_key=ssh-ed25519 AAAA me@x\" bee.block=" + blockSum:            true,
		"console=ttyS0 bee.ip=dhcp bee.block=" + blockSum:                                      true,
		blockWords + " bee.debug bee.block=" + blockSum:                                        true,
		"bee.block=" + blockSum:                                true,
		blockWords + " bee.block=" + strings.ToUpper(blockSum): true,
	} {
		_, warnings := Parse(cmdline)
		if (len(warnings) == 1) != warns || len(warnings) > 1 {
			t.Errorf("%s: %v", cmdline, warnings)
		}
	}
}
