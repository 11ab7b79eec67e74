package audit

import (
	"regexp"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/smbios"
)

// FuzzDIMMPlaces holds what is read from locator and bank against expressions for the
// same: those are easier to read, and take longer to compile than all locators to read.
func FuzzDIMMPlaces(f *testing.F) {
	socketText := regexp.MustCompile(`(?i)(?:^|[^a-z])(?:cpu|proc|processor|socket|p)[ _#-]{0,2}(\d+)`)
	nodeText := regexp.MustCompile(`(?i)(?:^|[^a-z])node[ _#-]{0,2}(\d+)`)
	channelText := regexp.MustCompile(`(?i)(?:channel|chan|ch)[ _#-]{0,2}([a-z]\d|[a-z](?:[^a-z]|$)|\d+)`)
	dimmText := regexp.MustCompile(`(?i)(?:^|[^a-z])(?:dimm)?[ _#-]{0,2}([a-p])[ _-]?\d+$`)
	for _, s := range []string{"CPU1_DIMM_A2", "P0_Node0_Channel1_Dimm0", "PROC 2 DIMM 3", "NODE 1", "A1", "DIMM 0", "ChanA1-B", "CH-#B12x", "chan  c", "channel   1", "ch_1 2", "XDIMMA1", "P-_-1", "processor#12"} {
		f.Add(s, "")
		f.Add("BANK 0", s)
	}
	first := func(re *regexp.Regexp, texts ...string) string {
		for _, text := range texts {
			if m := re.FindStringSubmatch(text); m != nil {
				if c := m[1]; len(c) == 2 && !strings.ContainsAny(c, "0123456789") {
					return strings.ToUpper(c[:1]) // and what ends the word
				}
				return strings.ToUpper(m[1])
			}
		}
		return ""
	}
	f.Fuzz(func(t *testing.T, locator, bank string) {
		for _, c := range []byte(locator + bank) {
			if c >= 0x80 || c == '\n' {
				return // the expressions fold more letters than a firmware writes
			}
		}
		d := hwreport.DIMM{Locator: hwreport.Value(locator), Bank: hwreport.Value(bank)}
		socket := first(socketText, locator, bank)
		if socket == "" {
			socket = first(nodeText, locator, bank)
		}
		if socket != "" {
			socket = "CPU " + socket
		}
		if got := socketOf(d).Or(""); got != socket {
			t.Errorf("%q, %q: socket %q, want %q", locator, bank, got, socket)
		}
		channel := first(channelText, locator, bank)
		if channel == "" {
			channel = first(dimmText, locator)
		}
		if got := channelOf(smbios.Tables{}, smbios.Structure{}, d).Or(""); got != channel {
			t.Errorf("%q, %q: channel %q, want %q", locator, bank, got, channel)
		}
	})
}
