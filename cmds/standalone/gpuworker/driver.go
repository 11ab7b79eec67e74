package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/bee-os/bee/cmds/standalone/gpuworker/kernels"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// gpu is one device with our kernels on it. Addresses are the device's.
type gpu interface {
	Device() gpuline.Device
	Capability() (major, minor int)
	Has(kernel string) bool // was it loaded? not where its blocks need more shared memory than the device has
	Free() (uint64, error)
	Alloc(bytes uint64) (uint64, error)
	Release(at uint64) error
	HostAlloc(bytes uint64) (host, error) // pinned
	Set(at uint64, word uint32, words uint64) error
	Put(at uint64, b []byte) error
	Get(b []byte, at uint64) error
	Copy(to, from, bytes uint64) error // within the device
	ToDevice(at uint64, h host, bytes uint64) error
	FromDevice(h host, at, bytes uint64) error
	Load(m kernels.Module) error // compile a module for this GPU
	Launch(kernel string, blocks uint64, params ...uint64) error
	Sync() error
	Time(f func() error) (time.Duration, error) // by the device's clock
	Library() (library, error)                  // cuBLAS, for comparison
	Close()
}

// host is memory of the host that does not move.
type host interface{ Release() error }

// library is a matrix product that NVIDIA made: c = a·bᵀ, as the kernels of
// tensor.cu.
type library interface {
	Product(test string, a, b, c uint64, m, n, k int) error
	Close()
}

// callError is a call of the driver API that failed.
type callError struct {
	call, name, text string
	code             int
}

func (e *callError) Error() string {
	return fmt.Sprintf("%s: error %d (%s): %s", e.call, e.code, e.name, e.text)
}

// load says that a GPU broke under what it was given to do, by the CUresult:
// what a kernel of ours cannot cause on a sound GPU.
func (e *callError) load() bool {
	return slices.Contains([]int{
		214, // ECC_UNCORRECTABLE
		220, // NVLINK_UNCORRECTABLE
		226, // CONTAINED, an error that the GPU confined
		700, // ILLEGAL_ADDRESS
		702, // LAUNCH_TIMEOUT
		710, // ASSERT
		714, // HARDWARE_STACK_ERROR
		715, // ILLEGAL_INSTRUCTION
		716, // MISALIGNED_ADDRESS
		717, // INVALID_ADDRESS_SPACE
		718, // INVALID_PC
		719, // LAUNCH_FAILED
		721, // TENSOR_MEMORY_LEAK
	}, e.code)
}

// Code of a CUresult that is handled.
const outOfMemory = 2

// words are the 64-bit words of little-endian bytes.
func words(b []byte) []uint64 {
	w := make([]uint64, len(b)/8)
	for i := range w {
		for j := range 8 {
			w[i] |= uint64(b[8*i+j]) << (8 * j)
		}
	}
	return w
}

// log is a log of errors in the device's memory (gpu.h).
type log struct {
	gpu gpu
	at  uint64
}

func newLog(g gpu) (log, error) {
	at, err := g.Alloc(kernels.LogBytes)
	if err != nil {
		return log{}, err
	}
	l := log{g, at}
	return l, l.clear()
}

func (l log) clear() error { return l.gpu.Set(l.at, 0, kernels.LogBytes/4) }

// read waits for the device and adds what the log holds to a result. Offsets
// begin at start bytes.
func (l log) read(r *gpuline.Result, start uint64) error {
	b := make([]byte, kernels.LogBytes)
	if err := l.gpu.Get(b, l.at); err != nil {
		return err
	}
	w := words(b)
	r.Errors += int64(w[kernels.LogErrors])
	r.NaNs += int64(w[kernels.LogNaNs])
	r.Bits |= w[kernels.LogBits]
	for i := range min(w[kernels.LogCount], kernels.LogKept) {
		if len(r.First) == kernels.LogKept {
			break
		}
		what := w[kernels.LogFirst+2*i+1]
		r.First = append(r.First, gpuline.Wrong{Offset: start + 4*w[kernels.LogFirst+2*i], Got: uint32(what >> 32), Want: uint32(what)})
	}
	return nil
}
