// Package pcr predicts what a TPM's platform configuration registers hold after
// a boot, from the files that are booted: whoever seals a secret or judges a
// machine from afar compares with these. Only the SHA-256 bank is known.
//
// A register begins with zeros, and each measurement extends it: the new value
// is the hash of the old one and of what was measured (TPM 2.0 Library, part 1,
// 17.2). So a prediction is a list of events in their order, and it is right only
// while the list is complete.
//
// What can be predicted from the files alone:
//
//   - PCR 4, what the firmware starts: Applications. It holds one event more where
//     the firmware tried another boot option before, or was asked for its menu.
//   - PCR 11, what systemd's stub starts: Stub. Complete: nothing else in bee
//     extends it.
//   - PCR 9 of a unified kernel image, what its kernel takes: StubKernel. It holds
//     for the pinned release of systemd, whose stub puts files behind the initrd.
//   - PCR 12 and 13 stay zero where nothing lies beside the image and neither a
//     loader nor the hypervisor adds to the command line.
//   - PCR 8 and 9 of GRUB, what it runs and reads: GRUBConfig, GRUBCommand,
//     GRUBFile, GRUBKernelCommandLine and GRUBKernel make the events; the caller knows
//     their order, which is that of the configuration as it is run.
//
// PCR 0 to 3 are the machine's firmware and cards, 5 holds the disk's partition
// table and the boot options, 7 the Secure Boot keys: these are properties of a
// machine and are read from one that is trusted. Log reads its log.
package pcr

import (
	"crypto/sha256"
	"encoding/hex"
)

// Registers that are spoken of here (TCG PC Client Platform Firmware Profile,
// 3.3.4; systemd's TPM2_PCR_MEASUREMENTS).
const (
	BootLoader   = 4  // programs that the firmware starts
	GRUBStrings  = 8  // commands and command lines that GRUB runs
	Files        = 9  // files that GRUB reads; command line and initrd as the kernel takes them
	KernelImage  = 11 // sections of a unified kernel image
	KernelConfig = 12 // what was given to such an image from outside
)

// Digest is a SHA-256 hash or the value of a register.
type Digest [sha256.Size]byte

// String is the hexadecimal form that /sys/class/tpm/tpm0/pcr-sha256 has, in
// small letters.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Event is one measurement.
type Event struct {
	PCR    int
	Digest Digest
	Note   string // what was measured, for people
}

// Measure is the event of measuring data.
func Measure(register int, data []byte, note string) Event {
	return Event{register, sha256.Sum256(data), note}
}

// Extend is the value that a register has after one more measurement.
func Extend(old, event Digest) Digest {
	return sha256.Sum256(append(old[:len(old):len(old)], event[:]...))
}

// Predict is the values of all registers that the events touch. Registers 17 to
// 22, which do not begin with zeros, are none of these.
func Predict(events []Event) map[int]Digest {
	values := make(map[int]Digest)
	for _, e := range events {
		values[e.PCR] = Extend(values[e.PCR], e.Digest)
	}
	return values
}
