package hwreport

import (
	"fmt"
	"sync"
)

// What to do about an XID, in the words of NVIDIA's XID documents.
const (
	XIDRestart  = "the application's fault most likely: restart it; look at it with compute-sanitizer if it comes back"
	XIDReset    = "reset the GPU (nvidia-smi --gpu-reset) or reboot; contact the vendor if it comes back"
	XIDLater    = "restart the application; reset the GPU when nothing runs on it"
	XIDPower    = "check power, cables, seat and cooling of the GPU, then power-cycle the machine; replace the GPU if it comes back"
	XIDLinks    = "look at the GPU or switch at the other end and at the bridges, reset the GPUs; contact the vendor if it comes back"
	XIDTest     = "run NVIDIA's field diagnostic; replace the GPU if it fails"
	XIDUpdate   = "update driver and firmware; contact the vendor if it comes back"
	XIDNothing  = "nothing; watch whether it comes back"
	XIDSays     = "do what the message says"
	XIDWhoKnows = "look the number up in NVIDIA's XID catalog"
)

// XIDKind is what NVIDIA says of one XID.
type XIDKind struct {
	Number   int64
	Meaning  string
	Severity Severity
	Action   string
}

// XIDOf returns what a number means, and whether it is known. Of an unknown one
// it says so, with severity Warning.
func XIDOf(number int64) (XIDKind, bool) {
	if k, ok := xids()[number]; ok {
		return k, true
	}
	return XIDKind{number, fmt.Sprintf("XID %d, which this program does not know", number), Warning, XIDWhoKnows}, false
}

// xids is the triage table. Meanings and actions follow NVIDIA's "Analyzing Xid
// Errors with the Xid Catalog" and, for numbers that only GPUs before Ampere
// write, "XID Errors" (both deploy/xid-errors). The severity is ours: Failure
// where the GPU, its memory or its links are broken until something is done,
// Info where nothing is to be done, Warning for all between.
var xids = sync.OnceValue(func() map[int64]XIDKind {
	list := []XIDKind{
		{8, "the GPU stopped processing", Warning, XIDRestart},
		{11, "invalid or corrupted push buffer stream", Warning, XIDRestart},
		{13, "graphics engine exception: an out-of-bounds access or illegal instruction of a program", Warning, XIDRestart},
		{14, "a fake error that a program injected", Info, XIDNothing},
		{16, "the display did not come to its blanking in time", Warning, XIDReset},
		{24, "GPU semaphore timeout", Warning, XIDReset},
		{25, "invalid or illegal push buffer stream", Warning, XIDRestart},
		{31, "GPU memory page fault: an access to an address that is not mapped", Warning, XIDRestart},
		{32, "invalid or corrupted push buffer stream: mostly poor quality of the PCIe link", Warning, XIDPower},
		{37, "driver firmware error", Warning, XIDNothing},
		{38, "driver firmware error: its watchdog", Warning, XIDUpdate},
		{39, "copy engine 0 exception", Warning, XIDRestart},
		{40, "copy engine 1 exception", Warning, XIDRestart},
		{41, "copy engine 2 exception", Warning, XIDRestart},
		{42, "video processor exception", Warning, XIDRestart},
		{43, "the GPU ended a program for a fault of its own; the GPU is healthy", Warning, XIDRestart},
		{44, "graphics engine fault during a context switch", Warning, XIDUpdate},
		{45, "preemptive cleanup: a program was ended, or an earlier error ended it", Info, XIDNothing},
		{46, "the GPU stopped processing", Failure, XIDReset},
		{48, "double-bit ECC error: one that could not be corrected", Failure, XIDReset},
		{54, "auxiliary power is not connected to the GPU's board", Failure, XIDPower},
		{56, "display engine error", Warning, XIDReset},
		{57, "the link to the GPU's memory could not be trained", Failure, XIDTest},
		{58, "the GPU's memory is unstable", Failure, XIDTest},
		{59, "internal micro-controller error", Warning, XIDUpdate},
		{60, "security or video processor exception", Warning, XIDRestart},
		{61, "internal micro-controller breakpoint", Warning, XIDReset},
		{62, "internal micro-controller halt", Failure, XIDReset},
		{63, "a row of memory was remapped or a page retired: in force after a reset", Warning, XIDLater},
		{64, "a row remapping or page retirement failed", Failure, XIDReset},
		{65, "video encoder 1 exception", Warning, XIDRestart},
		{66, "illegal access by the driver", Warning, XIDUpdate},
		{67, "illegal access by the driver", Warning, XIDUpdate},
		{68, "video decoder 0 exception", Warning, XIDRestart},
		{69, "graphics engine class error", Warning, XIDRestart},
		{70, "copy engine 3 error", Warning, XIDRestart},
		{71, "copy engine 4 error", Warning, XIDRestart},
		{72, "copy engine 5 error", Warning, XIDRestart},
		{73, "video encoder 2 error", Warning, XIDRestart},
		{74, "NVLink error: the connection to another GPU or to a switch", Failure, XIDLinks},
		{75, "copy engine 6 error", Warning, XIDRestart},
		{76, "copy engine 7 error", Warning, XIDRestart},
		{77, "copy engine 8 error", Warning, XIDRestart},
		{78, "vGPU start error", Warning, XIDUpdate},
		{79, "the GPU has fallen off the bus: the driver cannot reach it any more", Failure, XIDPower},
		{80, "corrupted data was sent to the GPU", Warning, XIDRestart},
		{81, "VGA subsystem error", Warning, XIDReset},
		{82, "JPEG engine 0 error", Warning, XIDRestart},
		{83, "video decoder 1 error", Warning, XIDRestart},
		{84, "video decoder 2 error", Warning, XIDRestart},
		{85, "copy engine 9 error", Warning, XIDRestart},
		{86, "optical flow engine exception", Warning, XIDRestart},
		{88, "video decoder 3 error", Warning, XIDRestart},
		{89, "video decoder 4 error", Warning, XIDRestart},
		{92, "high rate of single-bit (corrected) ECC errors", Warning, XIDTest},
		{93, "the InfoROM may not be written so often", Info, XIDNothing},
		{94, "contained memory error: an uncorrectable one that hit one program", Warning, XIDLater},
		{95, "uncontained memory error: an uncorrectable one that hit several programs", Failure, XIDReset},
		{96, "video decoder 5 error", Warning, XIDRestart},
		{97, "video decoder 6 error", Warning, XIDRestart},
		{98, "video decoder 7 error", Warning, XIDRestart},
		{99, "JPEG engine 1 error", Warning, XIDRestart},
		{100, "JPEG engine 2 error", Warning, XIDRestart},
		{101, "JPEG engine 3 error", Warning, XIDRestart},
		{102, "JPEG engine 4 error", Warning, XIDRestart},
		{103, "JPEG engine 5 error", Warning, XIDRestart},
		{104, "JPEG engine 6 error", Warning, XIDRestart},
		{105, "JPEG engine 7 error", Warning, XIDRestart},
		{106, "a test message of the management bus", Info, XIDNothing},
		{107, "a test message of the management bus", Info, XIDNothing},
		{109, "context switch timeout: a program did not leave the GPU in time", Warning, XIDReset},
		{110, "security fault: rare unless hardware fails", Failure, XIDPower},
		{119, "the GPU system processor (GSP) did not answer in time", Failure, XIDReset},
		{120, "error in the GPU system processor (GSP)", Failure, XIDReset},
		{121, "corrected errors of the C2C link to the processor", Info, XIDNothing},
		{122, "the board's flash could not be read", Warning, XIDUpdate},
		{123, "the board's flash could not be written", Warning, XIDUpdate},
		{124, "the board's flash could not be erased", Warning, XIDUpdate},
		{125, "InfoROM file system error", Warning, XIDTest},
		{126, "copy engine 10 error", Warning, XIDRestart},
		{127, "copy engine 11 error", Warning, XIDRestart},
		{128, "copy engine 12 error", Warning, XIDRestart},
		{129, "copy engine 13 error", Warning, XIDRestart},
		{130, "copy engine 14 error", Warning, XIDRestart},
		{131, "copy engine 15 error", Warning, XIDRestart},
		{132, "copy engine 16 error", Warning, XIDRestart},
		{133, "copy engine 17 error", Warning, XIDRestart},
		{134, "copy engine 18 error", Warning, XIDRestart},
		{135, "copy engine 19 error", Warning, XIDRestart},
		{136, "link training failed", Failure, XIDLinks},
		{137, "NVLink privilege error: an illegal access to another GPU's memory", Warning, XIDRestart},
		{139, "optical flow engine 1 error", Warning, XIDRestart},
		{140, "uncorrectable ECC errors that the driver could not set aside", Failure, XIDReset},
		{141, "CUDA fast path error", Warning, XIDUpdate},
		{142, "video encoder 3 error", Warning, XIDUpdate},
		{143, "the GPU could not be initialised", Failure, XIDReset},
		{144, "NVLink error (SAW)", Failure, XIDLinks},
		{145, "NVLink error (RLW)", Failure, XIDLinks},
		{146, "NVLink error (TLW)", Failure, XIDLinks},
		{147, "NVLink error (TREX)", Failure, XIDLinks},
		{148, "NVLink error (NVLPW_CTRL)", Failure, XIDLinks},
		{149, "NVLink error of the link itself (NETIR)", Failure, XIDLinks},
		{150, "NVLink error (MSE)", Failure, XIDLinks},
		{151, "key rotation error of confidential computing", Warning, XIDReset},
		{154, "the driver says what it takes to recover the GPU: see its message", Warning, XIDSays},
		{155, "NVLink went down, perhaps on purpose", Warning, XIDReset},
		{156, "a part of the GPU was retired: in force after a reset", Warning, XIDLater},
		{157, "a part of the GPU could not be retired: no spare is left", Failure, XIDTest},
		{158, "fatal timeout of the GPU", Failure, XIDReset},
		{159, "bus error between processor and GPU (CHI)", Warning, XIDUpdate},
		{160, "a channel of memory was retired", Warning, XIDUpdate},
		{161, "a channel of memory could not be retired", Failure, XIDUpdate},
		{162, "power smoothing is back", Info, XIDNothing},
		{163, "power smoothing was switched off", Warning, XIDPower},
		{164, "power smoothing circuit near the end of its life", Warning, XIDTest},
		{165, "power smoothing circuit at the end of its life", Warning, XIDTest},
		{166, "NVLink: traffic before encryption was set up", Warning, XIDReset},
		{167, "fatal timeout of PCIe", Failure, XIDPower},
		{168, "errors in protected memory: it has become smaller", Failure, XIDReset},
		{169, "internal micro-controller halt (SEC2)", Failure, XIDReset},
		{170, "NVLink: interrupt of confidential computing", Warning, XIDReset},
		{171, "uncorrectable error of the GPU's memory (details of 48)", Failure, XIDReset},
		{172, "uncorrectable error of the GPU's SRAM (details of 48)", Failure, XIDTest},
	}
	m := make(map[int64]XIDKind, len(list))
	for _, k := range list {
		m[k.Number] = k
	}
	return m
})
