//go:build !cgo || !linux

package main

import "errors"

// open cannot work: libcuda.so.1 is a library of C.
func open(string) (gpu, error) {
	return nil, errors.New("this gpuworker was built without cgo and cannot load libcuda.so.1")
}
