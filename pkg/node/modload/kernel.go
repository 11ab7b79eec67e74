package modload

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// errNotThere is ENOENT in the loader's sense, or the module's: the file was opened.
var errNotThere = errors.New("something that it wants is not there")

// errNoDevice is what reading an attribute of a device that went gives.
var errNoDevice error = unix.ENODEV

// ErrNothingToDrive is what an Inserter's error wraps where the module is sound
// and left again because it has nothing to do on this machine: an alias such as
// that of a processor family says "perhaps", and the module decides. That is no
// failure.
var ErrNothingToDrive = errors.New("it finds nothing here to drive")

// compressedFile is MODULE_INIT_COMPRESSED_FILE (finit_module(2)).
const compressedFile = 4

// Niceness of the service, and of threads that insert what nobody waits for: the
// kernel unpacks and links a module on the caller's time.
const (
	lowNice   = 10
	laterNice = 19
)

// Kernel inserts modules by finit_module(2). It needs CAP_SYS_MODULE.
type Kernel struct{ Root string }

// Insert implements Inserter.
func (k Kernel) Insert(file, options string, u Urgency) error {
	f, err := os.Open(k.Root + "/" + file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = compressedFile
	}
	if u != Now {
		nice := lowNice
		if u == Later {
			nice = laterNice
		}
		// Never unlocked: the thread ends with the goroutine and takes its
		// niceness with it.
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
				done <- err
				return
			}
			done <- unix.FinitModule(int(f.Fd()), options, flags)
		}()
		err = <-done
	} else {
		err = unix.FinitModule(int(f.Fd()), options, flags)
	}
	switch err {
	case nil, unix.EEXIST: // EEXIST: loaded already
		return nil
	case unix.ENODEV, unix.ENXIO, unix.EOPNOTSUPP, unix.EBUSY:
		// EBUSY: another driver has what it would drive, as ghes_edac has the
		// memory controllers of most servers.
		return fmt.Errorf("%w: %w", ErrNothingToDrive, err)
	case unix.ENOENT:
		return fmt.Errorf("%w: dmesg names the symbol that the kernel and its modules lack; where it names none, the module asked for something else, such as an algorithm", errNotThere)
	case unix.EBADMSG, unix.ENOEXEC, unix.EINVAL, unix.EIO:
		return fmt.Errorf("%w: the file is damaged or of another kernel; build the image anew", err)
	case unix.EKEYREJECTED, unix.EPERM:
		return fmt.Errorf("%w: the kernel refuses it; is lockdown on, and the module not signed?", err)
	}
	return err
}
