package vm

// machine is what UEFI adds to -machine: with Secure Boot its variables are
// written in system management mode, where an operating system cannot.
func (u UEFI) machine() string {
	if u.Secure {
		return ",smm=on"
	}
	return ""
}

// args puts the code and the variables into the machine's two flash chips.
func (u UEFI) args() []string {
	if u.Code == "" {
		return nil
	}
	args := []string{"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + codePath}
	if u.Secure {
		args = append(args, "-global", "driver=cfi.pflash01,property=secure,value=on")
	}
	if u.Vars != "" {
		args = append(args, "-drive", "if=pflash,unit=1,format=raw,file="+varsPath)
	}
	return args
}
