package qrcode

import (
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/hwreport"
)

func TestIdentityStaysInTheAlphabet(t *testing.T) {
	r := &hwreport.Report{Verdict: hwreport.Warned}
	r.Board.Data.System.Serial = hwreport.Value("to be filled <é> " + strings.Repeat("x", 200))
	got := Identity(r, "fe80::1%eth0")
	if len(got) > maxQR || strings.ContainsFunc(got, func(c rune) bool { return !strings.ContainsRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", c) }) {
		t.Errorf("%q", got)
	}
	lines, err := Draw(got)
	if err != nil || len(lines) > 17 {
		t.Errorf("%d lines, %v", len(lines), err)
	}
}
