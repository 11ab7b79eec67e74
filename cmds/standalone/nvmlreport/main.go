// Nvmlreport tells what NVML, the library of NVIDIA's driver, knows of the GPUs.
// Beside gpuworker it is the only program of bee that is linked with libc and opens a
// library: it lies in the compat root (pkg/node/compat) and is started through
// the loader there, as a process of its own, with a deadline, so that what
// crashes or hangs in NVML takes nothing else along.
//
//	nvmlreport               one hwreport.NVML as JSON on standard output
//	nvmlreport --watch=1s    one line of hwreport.GPUSamples each period, until
//	                         standard input ends, and one then; or until a
//	                         SIGTERM or SIGINT comes
//
// The exit status is 0 when the JSON was written, and so it is when NVML does
// not start: the JSON then says why (no driver, another release than the
// driver's, no library). It is 1 when the JSON could not be written, when
// --watch has nothing to watch, or when the program was built without cgo; 2
// when the command line is wrong.
//
// It needs libnvidia-ml.so.1 where the loader finds it, /dev/nvidiactl and
// /dev/nvidia0 and so on, which the service nvidia makes. It changes nothing.
package main

import "os"

func main() {
	os.Exit(start(os.Args[1:]))
}
