package vm

// escapeState is where a filter for terminal output stands: it leaves out
// carriage returns, bells and escape sequences (ECMA-48: CSI, OSC and the
// two-byte ones).
type escapeState int

const (
	plain escapeState = iota
	escaped
	inCSI
	inOSC
	inCharset // one more byte follows, as in ESC ( B
)

// visible takes the next byte and says whether it is text.
func (s *escapeState) visible(b byte) bool {
	switch *s {
	case escaped:
		switch b {
		case '[':
			*s = inCSI
		case ']':
			*s = inOSC
		case '(', ')', '#', '%':
			*s = inCharset
		default:
			*s = plain
		}
		return false
	case inCSI:
		if b >= 0x40 && b <= 0x7e { // final byte
			*s = plain
		}
		return false
	case inOSC:
		switch b {
		case 0x07:
			*s = plain
		case 0x1b: // the terminator ESC \ begins
			*s = escaped
		}
		return false
	case inCharset:
		*s = plain
		return false
	}
	if b == 0x1b {
		*s = escaped
		return false
	}
	return b != '\r' && b != 0x07 && b != 0
}
