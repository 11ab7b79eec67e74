//go:build cgo && linux

package main

import (
	"fmt"
	"strings"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/bee-os/bee/pkg/hwreport"
)

// library is NVML, opened or not.
type library struct{ nvml.Interface }

// refused is what NVML would not do, with its code for programs.
type refused struct {
	code, text string
}

func (r *refused) Error() string { return r.text }

// codes are the answers that a reader has to tell apart, and what they mean for
// people.
func meaning(r nvml.Return) (code, text string) {
	switch r {
	case nvml.ERROR_NOT_SUPPORTED:
		return "ERROR_NOT_SUPPORTED", "not supported"
	case nvml.ERROR_GPU_IS_LOST:
		return hwreport.NVMLLost, "the GPU is lost: it fell off the bus or is otherwise out of reach"
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return hwreport.NVMLNoDriver, "the NVIDIA driver is not loaded"
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return hwreport.NVMLMismatch, "the NVIDIA driver in the kernel and libnvidia-ml are of different releases"
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return hwreport.NVMLNoLibrary, "libnvidia-ml.so.1 is not there or does not load"
	case nvml.ERROR_NO_PERMISSION:
		return "ERROR_NO_PERMISSION", "no permission"
	case nvml.ERROR_CORRUPTED_INFOROM:
		return "ERROR_CORRUPTED_INFOROM", "the InfoROM is corrupted"
	case nvml.ERROR_RESET_REQUIRED:
		return "ERROR_RESET_REQUIRED", "the GPU needs a reset"
	case nvml.ERROR_INSUFFICIENT_POWER:
		return "ERROR_INSUFFICIENT_POWER", "a power cable of the GPU is not plugged in"
	case nvml.ERROR_IRQ_ISSUE:
		return "ERROR_IRQ_ISSUE", "the kernel delivers no interrupts of the GPU"
	case nvml.ERROR_TIMEOUT:
		return "ERROR_TIMEOUT", "NVML timed out"
	case nvml.ERROR_FUNCTION_NOT_FOUND:
		return "ERROR_FUNCTION_NOT_FOUND", "the driver's NVML has no such function"
	case nvml.ERROR_NO_DATA:
		return "ERROR_NO_DATA", "the GPU has no such data"
	}
	text = r.Error() // "Unknown Error" of the library, "ERROR_UNKNOWN" without one
	return fmt.Sprintf("ERROR_%d", int32(r)), strings.TrimSpace(text)
}

func refusal(doing string, r nvml.Return) *refused {
	code, text := meaning(r)
	return &refused{code, fmt.Sprintf("%s: %s (%s)", doing, text, code)}
}

// open starts NVML.
func (l library) open() error {
	if r := l.Init(); r != nvml.SUCCESS {
		return refusal("start NVML", r)
	}
	return nil
}

// has says whether the opened library has a function. go-nvml is made for one
// release of NVML and calls what it knows; a function that the driver's library
// lacks would end the process (lazy binding, ld.so(8)).
func (l library) has(function string) bool {
	return l.Extensions().LookupSymbol(function) == nil
}

// handle is one GPU, or why NVML gives none.
type handle struct {
	index  int
	device nvml.Device
	err    *refused
}

// handles asks for every GPU. One that cannot be opened is among them.
func (l library) handles() ([]handle, error) {
	n, r := l.DeviceGetCount()
	if r != nvml.SUCCESS {
		return nil, refusal("count GPUs", r)
	}
	list := make([]handle, 0, n)
	for i := range n {
		h := handle{index: i}
		d, r := l.DeviceGetHandleByIndex(i)
		if r != nvml.SUCCESS {
			h.err = refusal(fmt.Sprintf("open GPU %d", i), r)
		} else {
			h.device = d
		}
		list = append(list, h)
	}
	return list, nil
}

// asker puts questions to one GPU. Once it is lost nothing more is asked: each
// question could wait for what never comes.
type asker struct {
	library
	nvml.Device
	lost *refused
}

// failed notes what NVML refused with and returns the reason for a field.
func (a *asker) failed(function string, r nvml.Return) string {
	code, text := meaning(r)
	if r == nvml.ERROR_GPU_IS_LOST && a.lost == nil {
		a.lost = &refused{code, fmt.Sprintf("%s: %s (%s)", function, text, code)}
	}
	return text
}

// may says whether a function can be asked, else why not.
func (a *asker) may(function string) (why string, ok bool) {
	if a.lost != nil {
		return a.lost.text, false
	}
	if !a.has(function) {
		return "the driver's NVML has no " + function, false
	}
	return "", true
}

// value asks one thing; an answer that is none leaves the field unknown.
func value[T, F any](a *asker, function string, ask func() (T, nvml.Return), as func(T) hwreport.Field[F]) hwreport.Field[F] {
	why, ok := a.may(function)
	if !ok {
		return hwreport.Unknown[F](why)
	}
	v, r := ask()
	if r != nvml.SUCCESS {
		return hwreport.Unknown[F](a.failed(function, r))
	}
	return as(v)
}

// number asks for a number.
func number[T int | int32 | uint32 | uint64 | nvml.Pstates](a *asker, function string, ask func() (T, nvml.Return)) hwreport.Field[int64] {
	return value(a, function, ask, whole[T])
}

// whole is a number of NVML's. All bits set is its "not available".
func whole[T int | int32 | uint32 | uint64 | nvml.Pstates](v T) hwreport.Field[int64] {
	if int64(v) < 0 || uint64(v) == 1<<32-1 {
		return hwreport.Unknown[int64]("not available")
	}
	return hwreport.Value(int64(v))
}

// text asks for a string; an empty one is absent.
func text(a *asker, function string, ask func() (string, nvml.Return)) hwreport.Field[string] {
	return value(a, function, ask, words)
}

func words(s string) hwreport.Field[string] {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if s == "" {
		return hwreport.Absent[string]()
	}
	return hwreport.Value(s)
}

// enabled asks for a state.
func enabled(a *asker, function string, ask func() (nvml.EnableState, nvml.Return)) hwreport.Field[bool] {
	return value(a, function, ask, func(s nvml.EnableState) hwreport.Field[bool] { return hwreport.Value(s == nvml.FEATURE_ENABLED) })
}

// named asks for one of NVML's numbered words.
func named[T ~int32 | ~uint32](a *asker, function string, ask func() (T, nvml.Return), names map[T]string) hwreport.Field[string] {
	return value(a, function, ask, func(v T) hwreport.Field[string] {
		if s, ok := names[v]; ok {
			return hwreport.Value(s)
		}
		return hwreport.Value(fmt.Sprintf("number %d", v))
	})
}

// pair is two answers of one question.
type pair[T any] struct{ one, two T }

// two asks what has two answers.
func two[T, F any](a *asker, function string, ask func() (T, T, nvml.Return), as func(T) hwreport.Field[F]) (one, other hwreport.Field[F]) {
	var got pair[T]
	f := value(a, function, func() (bool, nvml.Return) {
		var r nvml.Return
		got.one, got.two, r = ask()
		return true, r
	}, hwreport.Value[bool])
	if f.State() != hwreport.IsValue {
		return hwreport.Unknown[F](f.Reason()), hwreport.Unknown[F](f.Reason())
	}
	return as(got.one), as(got.two)
}
