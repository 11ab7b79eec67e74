package firmware

import (
	"runtime/debug"
	"testing"
)

// What one version of the packer made is not taken for what another one makes.
func TestPackerOf(t *testing.T) {
	module := func(path, version string) *debug.Module { return &debug.Module{Path: path, Version: version} }
	info := &debug.BuildInfo{Deps: []*debug.Module{module("github.com/klauspost", "v9"), module("github.com/klauspost/compress", "v1.20.3")}}
	if got := packerOf(info); got != "zstd-v1.20.3" {
		t.Error(got)
	}
	if got := packerOf(nil); got != "zstd" {
		t.Error(got)
	}
}
