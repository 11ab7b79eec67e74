package artifact

import "github.com/bee-os/bee/pkg/build/manifest"

// What the integrity of the parts of an artifact rests on: the words of its
// manifest. A digest in SHA256SUMS is for whoever checks before the medium is
// written; the other means work at boot.
var (
	listed   = manifest.Rest{Means: manifest.Hashed, Who: "SHA256SUMS, before the medium is used"}
	byDebian = manifest.Rest{Means: manifest.Signed, Who: "Debian Secure Boot CA, where shim or firmware that trusts it starts it"}
	pcr4     = manifest.Rest{Means: manifest.Measured, Who: "PCR 4, by UEFI firmware with a TPM"}
	pcr8     = manifest.Rest{Means: manifest.Measured, Who: "PCR 8, by GRUB on UEFI with a TPM"}
	pcr9     = manifest.Rest{Means: manifest.Measured, Who: "PCR 9, by GRUB on UEFI with a TPM"}
)

// looseParts are those of a kernel and an initramfs that somebody else starts.
var looseParts = []manifest.Part{
	{Name: "kernel", Integrity: []manifest.Rest{byDebian, listed}},
	{Name: "initramfs", Integrity: []manifest.Rest{listed}},
	{Name: "kernel command line", Integrity: []manifest.Rest{{Means: manifest.Nothing, Who: "whoever starts the kernel gives it"}}},
}

// chainParts are those of media that shim and GRUB start. Under Secure Boot the
// kernel is refused where it was changed; the initramfs, GRUB's configuration and
// the parameters are not: a TPM tells, and nothing stops the boot.
func chainParts(bios bool) []manifest.Part {
	parts := []manifest.Part{
		{Name: "shim", Integrity: []manifest.Rest{{Means: manifest.Signed, Who: "Microsoft Corporation UEFI CA 2011 and Microsoft UEFI CA 2023"}, pcr4, listed}},
		{Name: "GRUB", Integrity: []manifest.Rest{{Means: manifest.Signed, Who: "Debian Secure Boot CA, checked by shim"}, pcr4, listed}},
		{Name: "GRUB's configuration", Integrity: []manifest.Rest{pcr8, pcr9, listed}},
		{Name: "kernel", Integrity: []manifest.Rest{{Means: manifest.Signed, Who: "Debian Secure Boot CA, checked by GRUB through shim"}, pcr4, pcr9, listed}},
		{Name: "initramfs", Integrity: []manifest.Rest{pcr9, listed}},
		{Name: "kernel command line", Integrity: []manifest.Rest{pcr8, listed}},
		{Name: "parameter block", Integrity: []manifest.Rest{pcr8, pcr9, {Means: manifest.Hashed, Who: "the block's own first line, against damage and not against intent"}}},
	}
	if bios {
		parts = append(parts, manifest.Part{Name: "GRUB for BIOS", Integrity: []manifest.Rest{listed}})
	}
	return parts
}

// ukiParts are those of a unified kernel image: one file, so one signature.
func ukiParts(signed bool, who string) []manifest.Part {
	rests := []manifest.Rest{{Means: manifest.Measured, Who: "PCR 4, by firmware"}, {Means: manifest.Measured, Who: "PCR 11, by systemd-stub"}, listed}
	if signed {
		rests = append([]manifest.Rest{{Means: manifest.Signed, Who: who}}, rests...)
	}
	var parts []manifest.Part
	for _, name := range []string{"kernel", "initramfs", "kernel command line", "stub"} {
		parts = append(parts, manifest.Part{Name: name, Integrity: rests})
	}
	return parts
}

// piParts are those of a Raspberry Pi's card.
var piParts = []manifest.Part{
	{Name: "firmware, device tree, kernel, initramfs, kernel command line", Integrity: []manifest.Rest{listed}},
}

// netParts are those of a folder that machines start from.
var netParts = []manifest.Part{
	{Name: "shim", Integrity: []manifest.Rest{{Means: manifest.Signed, Who: "Microsoft Corporation UEFI CA 2011 and Microsoft UEFI CA 2023"}, listed}},
	{Name: "GRUB", Integrity: []manifest.Rest{{Means: manifest.Signed, Who: "Debian Secure Boot CA, checked by shim"}, listed}},
	{Name: "iPXE, PXELINUX", Integrity: []manifest.Rest{listed}},
	{Name: "kernel", Integrity: []manifest.Rest{byDebian, listed}},
	{Name: "initramfs", Integrity: []manifest.Rest{pcr9, listed}},
	{Name: "kernel command line", Integrity: []manifest.Rest{pcr8, listed}},
	{Name: "what comes over the wire", Integrity: []manifest.Rest{{Means: manifest.Nothing, Who: "TFTP and plain HTTP protect nothing, and iPXE as Debian builds it checks no signature: use a network that you trust, or shim and GRUB under Secure Boot for the kernel"}}},
}
