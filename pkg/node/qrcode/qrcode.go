// Package qrcode draws on a console, in one code, who a machine is, where it is
// and how it does.
package qrcode

import (
	"strings"

	"rsc.io/qr"

	"github.com/bee-os/bee/pkg/hwreport"
)

// quiet is the margin of a QR code, modules. The standard wants four; two are
// enough for what reads it off a screen, and a console is small.
const quiet = 2

// maxQR bounds the text: 77 characters of QR's alphanumeric set fit version 3
// at level L, which takes 17 lines of a console.
const maxQR = 77

// Identity is what the code says: who the machine is, where it is, how it is.
// It holds only characters of the alphanumeric set (ISO/IEC 18004, 7.3.4), which
// take less room.
func Identity(r *hwreport.Report, address string) string {
	parts := []string{"BEE"}
	if r != nil {
		parts = append(parts, r.Board.Data.System.Serial.Or(""), string(r.Verdict))
	}
	parts = append(parts, address)
	text := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', strings.ContainsRune(" $%*+-./:", c):
			return c
		}
		return '-'
	}, strings.Join(parts, " "))
	if len(text) > maxQR {
		text = text[:maxQR]
	}
	return text
}

// Draw draws a code with half blocks, two modules a character, light on dark:
// light modules are drawn, so that it reads right on a dark screen.
func Draw(text string) ([]string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, err
	}
	light := func(x, y int) bool {
		return x < -quiet || y < -quiet || x >= code.Size+quiet || y >= code.Size+quiet || !code.Black(x, y)
	}
	var lines []string
	for y := -quiet; y < code.Size+quiet; y += 2 {
		var b strings.Builder
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := light(x, y), light(x, y+1) && y+1 < code.Size+quiet; {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		lines = append(lines, b.String())
	}
	return lines, nil
}
