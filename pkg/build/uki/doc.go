// Package uki makes unified kernel images: one EFI program that holds kernel,
// initrd and kernel command line behind systemd's stub (systemd-stub(7), the UAPI
// group's UKI specification). pkg/build/authenticode signs it, pkg/build/pcr says
// what a TPM will measure of it.
//
// # What rests on what
//
// With shim and GRUB, Microsoft's key in the firmware vouches for shim, Debian's
// key in shim for GRUB and the kernel, the kernel's own key for its modules.
// Nothing vouches for the initrd, which holds all of bee, nor for the command
// line and GRUB's configuration: whoever can write to the medium replaces them,
// and their programs run as root on a machine that says "Secure Boot: on". Lockdown
// then only keeps them from changing the running kernel. A TPM notices, where
// somebody compares PCR 8 and 9; nothing is refused.
//
// An image of this package, signed with the user's own key whose certificate is
// in the firmware's db, is one file with one hash. The firmware refuses to
// start it when a byte of kernel, initrd, command line, os-release or stub is
// another one, when the signature is missing, and when another key made it. No
// shim, no GRUB and no file beside it takes part. PCR 4 and 11 have values that
// are known when the image is made.
//
// # What it does not guarantee
//
//   - Whatever else db trusts starts too. With Microsoft's certificates left in
//     db, any shim starts, and with it the path above. Only a db with the user's
//     certificate alone makes the image the one thing that starts; take care that
//     option ROMs of cards in the machine need Microsoft's.
//   - Older images signed with the same key start as well. There is no protection
//     against going back, short of the image's hash in dbx.
//   - It is not confidential: the initrd can be read by whoever holds the medium.
//   - Whoever can set up the firmware can turn Secure Boot off or enrol keys. PCR 7
//     tells.
//   - The stub takes more than what is in the image: add-ons (UKI.efi.extra.d/*.addon.efi,
//     which must be signed too, and may add to the command line), credentials and
//     system extensions beside the image (which come to the initrd as files below
//     /.extra, where nothing of bee looks), and a command line from the hypervisor
//     in SMBIOS (io.systemd.stub.kernel-cmdline-extra). It measures all of these into
//     PCR 12 and 13, which are zero where there were none. A loader's own command line
//     is taken only while Secure Boot is off, and measured into PCR 12 as well.
//   - An image without a command line of its own would take any: Build refuses to
//     make one.
//   - What runs after the start is not measured: bee extends no PCR.
//
// # How a TPM sees it
//
// The firmware extends PCR 4 with the image's Authenticode hash; the stub
// extends PCR 11 with name and content of each section; the kernel's EFI stub
// extends PCR 9 with the command line and the initrd as the kernel gets it. Package
// pcr predicts all three from the file; the end-to-end test reads them in a guest.
package uki
