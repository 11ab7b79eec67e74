package audit

import "testing"

// TestShortSecretInPlace: four digits are a serial number where they stand alone,
// and a number like others elsewhere.
func TestShortSecretInPlace(t *testing.T) {
	p := swap{old: []byte("4000"), new: []byte("7153")}
	for before, after := range map[string]string{
		"4000":                         "7153",
		"4000\n":                       "7153\n",
		"ACME\x004000\x00\x00":         "ACME\x007153\x00\x00",
		"\x00\x80\x00\x044000":         "\x00\x80\x00\x047153", // VPD page 80h
		"\x00\x80\x00\x064000  ":       "\x00\x80\x00\x064000  ",
		"size 4000":                    "size 4000",
		"14000\n":                      "14000\n",
		"ACME\x0040001\x00":            "ACME\x0040001\x00",
		"\x00\x83\x00\x08\x02\x014000": "\x00\x83\x00\x08\x02\x014000",
	} {
		if got := string(p.inPlace([]byte(before))); got != after {
			t.Errorf("%q becomes %q, want %q", before, got, after)
		}
	}
}
