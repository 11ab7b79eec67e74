package pcr

// GRUBFile is what GRUB's tpm module measures of a file that it reads: its
// configuration, modules, the kernel, the initrd (grub-core/commands/tpm.c).
func GRUBFile(content Digest, name string) Event {
	return Event{Files, content, name}
}

// GRUBCommand is what it measures of a command of its configuration, as it is
// run: variables are replaced, arguments parted by one space.
func GRUBCommand(line string) Event {
	return Measure(GRUBStrings, []byte(line), "grub_cmd: "+line)
}

// GRUBKernelCommandLine is what it measures of the kernel's command line, which
// begins with the name of the kernel's file. Only the log tells it from a command.
func GRUBKernelCommandLine(line string) Event {
	return Measure(GRUBStrings, []byte(line), "kernel_cmdline: "+line)
}
