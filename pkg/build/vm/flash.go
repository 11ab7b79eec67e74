package vm

// UEFI is firmware in two flash chips: one with its code, one with its
// variables.
type UEFI struct {
	Code string // host path
	Vars string // host path of a copy of the variables; the firmware writes there
	SMM  bool   // only system management mode writes the variables, as firmware with Secure Boot wants it (amd64)
}

// Places of the chips' contents inside the sandbox.
const (
	codePath = "/vm/code"
	varsPath = "/vm/vars"
)

func (u UEFI) args() []string {
	args := []string{
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + codePath,
		"-drive", "if=pflash,unit=1,format=raw,file=" + varsPath,
	}
	if u.SMM {
		args = append(args, "-machine", "smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on")
	}
	return args
}
