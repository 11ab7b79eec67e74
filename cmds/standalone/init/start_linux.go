package main

// start is where the kernel enters PID 1, if the linker is told so (-E
// main.start, as the builder does): before Go's own entry it runs true(1), which
// is in one file with the services, and leaves what clone(2) said in warmed. The
// first program of that file pays for what is cold; under emulation, where each
// instruction that is met for the first time costs a thousandfold, a tenth of the
// time to an SSH server. One processor has nothing to do until Go's runtime has
// started PID 1; here it has. It is written in assembly because it comes before
// that runtime. A PID 1 linked without the flag works, and warms nothing up.
//
//lint:ignore U1000 the linker's -E names it
func start()

// warmed is the process id of true(1), a negative errno, or 0 where start was not
// the entry.
var warmed int64
