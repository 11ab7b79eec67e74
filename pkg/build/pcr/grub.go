package pcr

// GRUBFile is what GRUB's tpm module measures of a file that it reads: its
// configuration, modules, the kernel, the initrd (grub-core/commands/tpm.c).
func GRUBFile(content Digest, name string) Event {
	return Event{Files, content, name}
}

// GRUBConfig is GRUBFile of the configuration that GRUB begins with: 2.12 opens it
// twice, once to see that it is there.
func GRUBConfig(content Digest, name string) []Event {
	return []Event{GRUBFile(content, name), GRUBFile(content, name)}
}

// GRUBCommand is what it measures of a command of its configuration, as it is
// run: variables are replaced, quotes taken away, arguments parted by one space.
func GRUBCommand(line string) Event {
	return Measure(GRUBStrings, []byte(line), "grub_cmd: "+line)
}

// GRUBKernelCommandLine is what it measures of the kernel's command line, which
// begins with the name of the kernel's file and has quotes around each parameter
// that holds blanks. Only the log tells it from a command.
func GRUBKernelCommandLine(line string) Event {
	return Measure(GRUBStrings, []byte(line), "kernel_cmdline: "+line)
}

// GRUBKernel is what the kernel that GRUB 2.12 starts measures of itself into PCR 9:
// the command line, of which line is as in GRUBKernelCommandLine, and the initrd.
// Unlike systemd's stub, GRUB does not count the NUL at the end.
func GRUBKernel(line string, initrd Digest) []Event {
	return kernel("BOOT_IMAGE="+line, initrd)
}
