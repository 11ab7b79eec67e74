//go:build cgo && linux

package main

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/bee-os/bee/cmds/standalone/gpuworker/kernels"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// driverLibrary is where NVIDIA's driver API lives.
const driverLibrary = "libcuda.so.1"

// Attributes of devices (CUdevice_attribute).
const (
	attrMultiprocessors = 16
	attrMajor           = 75
	attrMinor           = 76
	attrShared          = 97 // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
)

// cuda is a gpu behind the driver API.
type cuda struct {
	c            *C.struct_bee_cuda
	device       C.cu_device
	about        gpuline.Device
	major, minor int
	shared       int
	functions    map[string]function
	begin, end   C.cu_handle
}

type function struct {
	handle C.cu_handle
	shared int
}

// open finds the GPU at an address of the PCI bus. The thread that calls it is
// the one that must make all later calls.
func open(address string) (_ gpu, err error) {
	runtime.LockOSThread()
	g := &cuda{c: (*C.struct_bee_cuda)(C.calloc(1, C.sizeof_struct_bee_cuda)), functions: make(map[string]function)}
	library, message := C.CString(driverLibrary), (*C.char)(C.calloc(1, 512))
	defer C.free(unsafe.Pointer(library))
	defer C.free(unsafe.Pointer(message))
	if why := C.bee_cuda_open(g.c, library, message, 512); why != nil {
		return nil, errors.New(C.GoString(why))
	}
	if err := g.call("cuInit", C.bee_init(g.c)); err != nil {
		return nil, err
	}
	at := C.CString(address)
	defer C.free(unsafe.Pointer(at))
	if err := g.call("cuDeviceGetByPCIBusId "+address, C.bee_device(g.c, &g.device, at)); err != nil {
		return nil, err
	}
	if err := g.ask(address); err != nil {
		return nil, err
	}
	var context C.cu_handle
	if err := g.call("cuDevicePrimaryCtxRetain", C.bee_retain(g.c, &context, g.device)); err != nil {
		return nil, err
	}
	if err := g.call("cuCtxSetCurrent", C.bee_current(g.c, context)); err != nil {
		return nil, err
	}
	return g, errors.Join(g.call("cuEventCreate", C.bee_event(g.c, &g.begin)), g.call("cuEventCreate", C.bee_event(g.c, &g.end)))
}

// ask learns what the device is.
func (g *cuda) ask(address string) error {
	var version, sms, major, minor, shared C.int
	var total C.size_t
	var uuid [16]C.uchar
	name := (*C.char)(C.calloc(1, 256))
	defer C.free(unsafe.Pointer(name))
	err := errors.Join(
		g.call("cuDriverGetVersion", C.bee_version(g.c, &version)),
		g.call("cuDeviceGetName", C.bee_name(g.c, name, 255, g.device)),
		g.call("cuDeviceGetUuid", C.bee_uuid(g.c, &uuid[0], g.device)),
		g.call("cuDeviceTotalMem", C.bee_total(g.c, &total, g.device)),
		g.call("cuDeviceGetAttribute", C.bee_attribute(g.c, &sms, attrMultiprocessors, g.device)),
		g.call("cuDeviceGetAttribute", C.bee_attribute(g.c, &major, attrMajor, g.device)),
		g.call("cuDeviceGetAttribute", C.bee_attribute(g.c, &minor, attrMinor, g.device)),
		g.call("cuDeviceGetAttribute", C.bee_attribute(g.c, &shared, attrShared, g.device)),
	)
	u := C.GoBytes(unsafe.Pointer(&uuid[0]), 16)
	g.major, g.minor, g.shared = int(major), int(minor), int(shared)
	g.about = gpuline.Device{Address: address, Name: C.GoString(name), UUID: fmt.Sprintf("GPU-%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:]),
		Capability: fmt.Sprintf("%d.%d", major, minor), Driver: int(version), Multiprocessors: int(sms), Memory: uint64(total)}
	// An instance has its profile's name behind the GPU's: "NVIDIA A100-SXM4-40GB MIG 1g.5gb".
	g.about.MIG = strings.Contains(g.about.Name, " MIG ")
	return err
}

// call makes an error of a CUresult.
func (g *cuda) call(name string, e C.cu_result) error {
	if e == 0 {
		return nil
	}
	return &callError{call: name, code: int(e), name: C.GoString(C.bee_error_name(g.c, e)), text: C.GoString(C.bee_error_text(g.c, e))}
}

func (g *cuda) Device() gpuline.Device         { return g.about }
func (g *cuda) Capability() (major, minor int) { return g.major, g.minor }

// Has implements gpu.
func (g *cuda) Has(kernel string) bool {
	_, ok := g.functions[kernel]
	return ok
}

func (g *cuda) Free() (uint64, error) {
	var free, total C.size_t
	err := g.call("cuMemGetInfo", C.bee_info(g.c, &free, &total))
	return uint64(free), err
}

func (g *cuda) Alloc(bytes uint64) (uint64, error) {
	var at C.cu_address
	err := g.call(fmt.Sprintf("cuMemAlloc of %d bytes", bytes), C.bee_alloc(g.c, &at, C.size_t(bytes)))
	return uint64(at), err
}

func (g *cuda) Release(at uint64) error {
	return g.call("cuMemFree", C.bee_free(g.c, C.cu_address(at)))
}

// pinned is memory of the host that the device can reach.
type pinned struct {
	g  *cuda
	at unsafe.Pointer
}

func (p pinned) Release() error { return p.g.call("cuMemFreeHost", C.bee_free_host(p.g.c, p.at)) }

func (g *cuda) HostAlloc(bytes uint64) (host, error) {
	var at unsafe.Pointer
	if err := g.call("cuMemAllocHost", C.bee_alloc_host(g.c, &at, C.size_t(bytes))); err != nil {
		return nil, err
	}
	return pinned{g, at}, nil
}

func (g *cuda) Set(at uint64, word uint32, words uint64) error {
	return g.call("cuMemsetD32", C.bee_set(g.c, C.cu_address(at), C.uint(word), C.size_t(words)))
}

func (g *cuda) Put(at uint64, b []byte) error {
	return g.call("cuMemcpyHtoD", C.bee_to_device(g.c, C.cu_address(at), unsafe.Pointer(&b[0]), C.size_t(len(b))))
}

func (g *cuda) Get(b []byte, at uint64) error {
	return g.call("cuMemcpyDtoH", C.bee_from_device(g.c, unsafe.Pointer(&b[0]), C.cu_address(at), C.size_t(len(b))))
}

func (g *cuda) Copy(to, from, bytes uint64) error {
	return g.call("cuMemcpyDtoD", C.bee_copy(g.c, C.cu_address(to), C.cu_address(from), C.size_t(bytes)))
}

func (g *cuda) ToDevice(at uint64, h host, bytes uint64) error {
	return g.call("cuMemcpyHtoD", C.bee_to_device(g.c, C.cu_address(at), h.(pinned).at, C.size_t(bytes)))
}

func (g *cuda) FromDevice(h host, at, bytes uint64) error {
	return g.call("cuMemcpyDtoH", C.bee_from_device(g.c, h.(pinned).at, C.cu_address(at), C.size_t(bytes)))
}

func (g *cuda) Load(m kernels.Module) error {
	const size = 8 << 10
	ptx, log := C.CString(m.PTX), (*C.char)(C.calloc(1, size))
	defer C.free(unsafe.Pointer(ptx))
	defer C.free(unsafe.Pointer(log))
	var module C.cu_handle
	if err := g.call("cuModuleLoadDataEx of "+m.Name+".ptx", C.bee_module(g.c, &module, ptx, log, size)); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(C.GoString(log)))
	}
	for _, k := range m.Kernels {
		if k.Shared > g.shared {
			continue // its caller asks Has
		}
		name := C.CString(k.Name)
		defer C.free(unsafe.Pointer(name))
		f := function{shared: k.Shared}
		if err := g.call("cuModuleGetFunction "+k.Name, C.bee_function(g.c, &f.handle, module, name, C.uint(k.Shared))); err != nil {
			return err
		}
		g.functions[k.Name] = f
	}
	return nil
}

func (g *cuda) Launch(kernel string, blocks uint64, params ...uint64) error {
	f, ok := g.functions[kernel]
	if !ok {
		return fmt.Errorf("launch %s: it was not loaded", kernel)
	}
	return g.call("cuLaunchKernel "+kernel, C.bee_launch(g.c, f.handle, C.uint(blocks), kernels.Threads, C.uint(f.shared), (*C.uint64_t)(unsafe.Pointer(&params[0])), C.uint(len(params))))
}

func (g *cuda) Sync() error { return g.call("cuCtxSynchronize", C.bee_sync(g.c)) }

func (g *cuda) Time(f func() error) (time.Duration, error) {
	if err := g.call("cuEventRecord", C.bee_record(g.c, g.begin)); err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	if err := g.call("cuEventRecord", C.bee_record(g.c, g.end)); err != nil {
		return 0, err
	}
	var ms C.float
	err := g.call("cuEventElapsedTime", C.bee_elapsed(g.c, &ms, g.begin, g.end))
	return time.Duration(float64(ms) * float64(time.Millisecond)), err
}

func (g *cuda) Close() { C.bee_release(g.c, g.device) }

// cublas is the library.
type cublas struct{ b *C.struct_bee_cublas }

func (g *cuda) Library() (library, error) {
	b := (*C.struct_bee_cublas)(C.calloc(1, C.sizeof_struct_bee_cublas))
	message := (*C.char)(C.calloc(1, 512))
	defer C.free(unsafe.Pointer(message))
	if why := C.bee_cublas_open(b, message, 512); why != nil {
		return nil, errors.New(C.GoString(why))
	}
	return cublas{b}, nil
}

func (l cublas) Product(test string, a, b, c uint64, m, n, k int) error {
	// cudaDataType_t and cublasComputeType_t.
	kind, compute := map[string]C.int{"bf16": 14, "fp16": 2, "tf32": 0}[test], C.int(68)
	if test == "tf32" {
		compute = 77 // CUBLAS_COMPUTE_32F_FAST_TF32
	}
	if e := C.bee_cublas_product(l.b, kind, compute, C.cu_address(a), C.cu_address(b), C.cu_address(c), C.int(m), C.int(n), C.int(k)); e != 0 {
		return fmt.Errorf("cublasGemmEx: status %d", e)
	}
	return nil
}

func (l cublas) Close() { C.bee_cublas_close(l.b) }
