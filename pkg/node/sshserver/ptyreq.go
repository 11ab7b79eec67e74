package sshserver

import (
	"encoding/binary"
	"fmt"
	"os"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// ptyRequest is what a client says about its terminal (RFC 4254, 6.2).
type ptyRequest struct {
	Term          string
	Columns, Rows uint32
	Width, Height uint32 // pixels
	Modes         string // encoded, section 8
}

// windowChange is RFC 4254, 6.7.
type windowChange struct {
	Columns, Rows uint32
	Width, Height uint32
}

func parsePTYRequest(payload []byte) (ptyRequest, error) {
	var r ptyRequest
	if err := gossh.Unmarshal(payload, &r); err != nil {
		return r, fmt.Errorf("parse pty-req: %w", err)
	}
	r.Term = terminalName(r.Term)
	return r, nil
}

// terminalName lets through what names a terminfo entry; TERM reaches the
// environment of programs that build paths from it.
func terminalName(s string) string {
	if s == "" || len(s) > 64 {
		return "dumb"
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' && c != '+' {
			return "dumb"
		}
	}
	if s[0] == '.' {
		return "dumb"
	}
	return s
}

// terminalModes changes t as a client's encoded modes say (RFC 4254, 8; the
// flags as termios(3) names them). Unknown opcodes are passed over.
func terminalModes(t *unix.Termios, encoded string) {
	b := []byte(encoded)
	for len(b) >= 5 && b[0] != 0 && b[0] < 160 {
		op, arg := b[0], binary.BigEndian.Uint32(b[1:5])
		b = b[5:]
		if i, ok := modeChars[op]; ok {
			if arg >= 255 {
				arg = 0 // "no character", _POSIX_VDISABLE on Linux
			}
			t.Cc[i] = uint8(arg)
			continue
		}
		f, ok := modeFlags[op]
		if !ok {
			continue
		}
		word := [...]*uint32{&t.Iflag, &t.Oflag, &t.Cflag, &t.Lflag}[f.word]
		*word &^= f.mask
		if arg != 0 {
			*word |= f.bits
		}
	}
}

type modeFlag struct {
	word       int // 0 input, 1 output, 2 control, 3 local
	mask, bits uint32
}

func flag(word int, bit uint32) modeFlag { return modeFlag{word, bit, bit} }

var modeChars = map[uint8]int{
	1: unix.VINTR, 2: unix.VQUIT, 3: unix.VERASE, 4: unix.VKILL, 5: unix.VEOF, 6: unix.VEOL, 7: unix.VEOL2,
	8: unix.VSTART, 9: unix.VSTOP, 10: unix.VSUSP, 12: unix.VREPRINT, 13: unix.VWERASE, 14: unix.VLNEXT, 16: unix.VSWTC, 18: unix.VDISCARD,
}

var modeFlags = map[uint8]modeFlag{
	30: flag(0, unix.IGNPAR), 31: flag(0, unix.PARMRK), 32: flag(0, unix.INPCK), 33: flag(0, unix.ISTRIP), 34: flag(0, unix.INLCR),
	35: flag(0, unix.IGNCR), 36: flag(0, unix.ICRNL), 37: flag(0, unix.IUCLC), 38: flag(0, unix.IXON), 39: flag(0, unix.IXANY),
	40: flag(0, unix.IXOFF), 41: flag(0, unix.IMAXBEL), 42: flag(0, unix.IUTF8),
	50: flag(3, unix.ISIG), 51: flag(3, unix.ICANON), 52: flag(3, unix.XCASE), 53: flag(3, unix.ECHO), 54: flag(3, unix.ECHOE),
	55: flag(3, unix.ECHOK), 56: flag(3, unix.ECHONL), 57: flag(3, unix.NOFLSH), 58: flag(3, unix.TOSTOP), 59: flag(3, unix.IEXTEN),
	60: flag(3, unix.ECHOCTL), 61: flag(3, unix.ECHOKE), 62: flag(3, unix.PENDIN),
	70: flag(1, unix.OPOST), 71: flag(1, unix.OLCUC), 72: flag(1, unix.ONLCR), 73: flag(1, unix.OCRNL), 74: flag(1, unix.ONOCR), 75: flag(1, unix.ONLRET),
	90: {2, unix.CSIZE, unix.CS7}, 91: {2, unix.CSIZE, unix.CS8}, 92: flag(2, unix.PARENB), 93: flag(2, unix.PARODD),
}

// A terminal is the pair of a pseudoterminal's ends (pts(4)).
type terminal struct {
	master, slave *os.File
	name          string // /dev/pts/N
}

// openTerminal makes one of the size and with the modes that r asks for,
// owned by uid.
func openTerminal(r ptyRequest, uid int) (_ *terminal, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/ptmx: %w", err)
	}
	t := &terminal{master: os.NewFile(uintptr(fd), "/dev/ptmx")}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, fmt.Errorf("name pseudoterminal: %w", err)
	}
	t.name = fmt.Sprintf("/dev/pts/%d", n)
	if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, fmt.Errorf("unlock %s: %w", t.name, err)
	}
	// TIOCGPTPEER opens the other end whatever is mounted where (tty_ioctl, Linux 4.13).
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, fmt.Errorf("open %s: %w", t.name, errno)
	}
	t.slave = os.NewFile(peer, t.name)
	if uid != os.Geteuid() {
		if err = t.slave.Chown(uid, groupTTY); err != nil {
			return nil, fmt.Errorf("give %s away: %w", t.name, err)
		}
		if err = t.slave.Chmod(0o620); err != nil {
			return nil, fmt.Errorf("restrict %s: %w", t.name, err)
		}
	}
	termios, err := unix.IoctlGetTermios(int(peer), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read modes of %s: %w", t.name, err)
	}
	terminalModes(termios, r.Modes)
	if err = unix.IoctlSetTermios(int(peer), unix.TCSETS, termios); err != nil {
		return nil, fmt.Errorf("set modes of %s: %w", t.name, err)
	}
	if err = t.resize(windowChange{r.Columns, r.Rows, r.Width, r.Height}); err != nil {
		return nil, err
	}
	return t, nil
}

// resize also makes the kernel send SIGWINCH to whoever is in the foreground.
func (t *terminal) resize(w windowChange) error {
	raw, err := t.master.SyscallConn()
	if err != nil {
		return fmt.Errorf("resize %s: %w", t.name, err)
	}
	size := &unix.Winsize{Row: clampSize(w.Rows), Col: clampSize(w.Columns), Xpixel: clampSize(w.Width), Ypixel: clampSize(w.Height)}
	if cerr := raw.Control(func(fd uintptr) { err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, size) }); cerr != nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("resize %s: %w", t.name, err)
	}
	return nil
}

func (t *terminal) close() {
	t.master.Close()
	if t.slave != nil {
		t.slave.Close()
	}
}

func clampSize(n uint32) uint16 { return uint16(min(n, 0xffff)) }
