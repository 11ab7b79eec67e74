package hwreport

// Code is a kind of finding.
type Code struct {
	Name    string // section.what
	Meaning string // one line
}

// Codes lists every kind of finding that bee makes.
var Codes = []Code{
	{"board.smbios-unreadable", "the firmware's tables could not be read; identity comes from what the kernel kept"},
	{"board.smbios-broken", "a structure of the firmware's tables is malformed; the others were read"},
	{"board.placeholder-serial", "a serial number, asset tag or UUID that the maker never filled in"},
	{"cpu.microcode-differs", "the processors run different microcode revisions"},
	{"cpu.cores-disabled", "a processor has fewer cores enabled than it has"},
	{"cpu.offline", "processors that are present are offline"},
	{"cpu.vulnerable", "a known vulnerability has no mitigation"},
	{"cpu.sockets-differ", "firmware and kernel disagree about the number of processors"},
	{"memory.absurd-size", "a module states a size that cannot be"},
	{"memory.sum-differs", "the modules' sizes, the firmware's address map and what the kernel manages do not add up"},
	{"memory.downclocked", "a module runs below its rated speed"},
	{"memory.mixed-parts", "modules with different part numbers"},
	{"memory.empty-slots", "slots without a module"},
	{"memory.placeholder-serial", "a module whose serial number was never filled in"},
	{"memory.corrected-errors", "errors that ECC corrected since boot"},
	{"memory.uncorrected-errors", "errors that ECC could not correct since boot"},
	{"memory.ecc-unwatched", "the memory has ECC, but no driver counts its errors"},
	{"storage.nvme-warning", "an NVMe controller raises a critical warning"},
	{"storage.nvme-state", "an NVMe controller is not live"},
	{"storage.worn", "a disk has used up its rated endurance or its spare blocks"},
	{"storage.media-errors", "a disk counts unrecovered media errors"},
	{"storage.no-capacity", "a disk reports a size of zero"},
	{"storage.duplicate-id", "two disks have the same identity"},
	{"pcie.width-lost", "a link has fewer lanes than both its ends can"},
	{"pcie.speed-lost", "a link is slower than both its ends can"},
	{"pcie.names-missing", "the names of PCI devices could not be read"},
	{"psu.not-powered", "a power supply is installed and not plugged in or has failed"},
	{"psu.bmc-silent", "a management controller is there and does not answer"},
	{"network.no-carrier", "no network interface has carrier"},
	{"network.no-address", "an interface has carrier and no address beyond link-local"},
	{"network.duplicate-mac", "two interfaces have the same permanent address"},
	{"drivers.module-failed", "a kernel module could not be loaded"},
	{"drivers.no-driver", "a device has no driver in this image"},
	{"drivers.unsettled", "drivers were still being loaded when the audit looked"},
	{"boot.parameter-ignored", "a kernel parameter of bee is unknown or malformed"},
	{"boot.kernel-tainted", "the kernel warned, oopsed or had a machine check"},
}
