package burn

// Where a reading becomes a finding. Rates of equal parts are held against
// their median; a share of 0.05 is 5 % below it.
const (
	// GPUs of one model in one machine differ by 1 to 3 % by their silicon and
	// their place in the air stream. Copies over PCIe are left out:
	// in a machine with two sockets some GPUs are behind the other processor,
	// and several share the uplink of a switch while all copy at once, so that
	// sound ones differ by 15 to 40 %.
	gpuSlowWarning = 0.05
	gpuSlowFailure = 0.15

	// Cores differ more: by their turbo bins, by their neighbours, and by which
	// of them serve interrupts. Cores of another size are no equals.
	coreSlowWarning = 0.20
	coreSlowFailure = 0.50

	// A memory test that reaches less of the driver's own copy has to do with
	// something else than memory.
	gpuMemoryWarning = 0.5

	// A region of a disk, against the median of the disk: rotating disks are
	// half as fast on their inner tracks.
	diskRegionWarning = 0.20 // of the median

	// A sensor without a limit of its own.
	hotCelsius = 100
)

// busy is the utilisation, percent, from which on a sample of a GPU counts as
// one under load.
const busy = 50
