//go:build cgo && linux

package main

import (
	"os"
	"testing"
)

// skip leaves a test out, loudly. Where BEE_NO_SKIP is set, as in the sandbox
// that has every tool, that is a failure.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("BEE_NO_SKIP") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}
