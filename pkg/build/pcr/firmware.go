package pcr

import (
	"fmt"
	"io"

	"github.com/bee-os/bee/pkg/build/authenticode"
)

// calling is what firmware measures into PCR 4 besides programs (PC Client Platform
// Firmware Profile, 3.3.4.5 and 10.4.3).
const calling = "Calling EFI Application from Boot Option"

// Applications is what UEFI firmware measures into PCR 4 when its first boot
// option starts, and each program starts the next one: their Authenticode hashes
// in that order (shim, GRUB, kernel; or a unified kernel image alone).
func Applications(hashes ...Digest) []Event {
	list := []Event{
		Measure(BootLoader, []byte(calling), calling),
		Separator(BootLoader),
	}
	for i, h := range hashes {
		list = append(list, Event{BootLoader, h, fmt.Sprintf("EFI program %d", i+1)})
	}
	return list
}

// Separator ends what the firmware measures before it starts anything, in each
// of PCR 0 to 7.
func Separator(register int) Event {
	return Measure(register, make([]byte, 4), "separator")
}

// Application is the hash of an EFI program of size bytes, for Applications.
func Application(r io.ReaderAt, size int64) (Digest, error) {
	d, err := authenticode.Hash(r, size)
	return d, err
}
