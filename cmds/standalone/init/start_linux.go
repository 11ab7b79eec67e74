package main

// start is where the kernel enters PID 1, if the linker is told so (-E main.start, as
// the builder does): before Go's own entry it starts coldplug ahead, in a mount
// namespace of its own and before all others (niceness -20), and leaves what clone(2)
// said in ahead. One processor has nothing to do until Go's runtime has started PID 1;
// here it loads the drivers of network cards and disks, and what it pays for being the
// first program of the services' file they need not pay any more: under emulation,
// where each instruction that is met for the first time costs a thousandfold, together
// a twentieth of the time to an SSH server. See modload.AheadMain for what it does.
//
// Both have the timer slack of a boot (bringup.BootSlack) from there on, so that Go's
// runtime does not wake them all the time.
//
// PID 1 itself begins on one processor (GOMAXPROCS=1 in place of HOME, which is of no
// use to it): Go's runtime would start threads for the other one, and end them when
// told to in main.
//
// PID 1 waits for its execve(2) alone. It is written in assembly because it comes
// before Go's runtime. A PID 1 linked without the flag works, and starts nothing
// ahead.
//
//lint:ignore U1000 the linker's -E names it
func start()

// ahead is the process id of coldplug ahead, a negative errno, or 0 where start was
// not the entry.
var ahead int64
