package disk

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// File is a file of a file system to be written.
type File struct {
	Path string // with slashes, as fs.ValidPath has it; a folder, which needs to be named only when it is empty, ends in a slash
	Size int64  // bytes
	// Open gives the content, which must have Size bytes. It is called once a
	// write, and not for folders and empty files.
	Open func() (io.ReadCloser, error)
	// Align wants the content at a multiple of so many bytes from the beginning of
	// the file system: a power of two. Without it the format decides.
	Align int64
}

// Bytes is a file with the given content.
func Bytes(path string, content []byte) File {
	return File{Path: path, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// FromHost is a file with the content of a file on the host.
func FromHost(path, host string) (File, error) {
	st, err := os.Stat(host)
	if err != nil {
		return File{}, fmt.Errorf("add %s to a file system: %w", path, err)
	}
	if !st.Mode().IsRegular() {
		return File{}, fmt.Errorf("add %s to a file system: %s is not a regular file", path, host)
	}
	return File{Path: path, Size: st.Size(), Open: func() (io.ReadCloser, error) { return os.Open(host) }}, nil
}

// Extent is where a file's content lies, in bytes from the beginning of its file
// system.
type Extent struct{ Offset, Size int64 }

// End is the first byte behind it.
func (e Extent) End() int64 { return e.Offset + e.Size }
