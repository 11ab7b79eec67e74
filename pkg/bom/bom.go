// Package bom is the bill of materials of an image: what is in it, of which
// version, and where it came from. The builder writes it beside the image and
// into it; the node, its console and motd read it. It is pure.
package bom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Path is where a node finds its own, relative to the root.
const Path = "etc/bee/bom.json"

// Schema is the version of the file's form. A reader refuses a newer one.
const Schema = 1

// Version is bee's own.
const Version = "0.1.0"

// BOM is the whole bill. Lists are sorted, so that the same inputs give the
// same bytes.
type BOM struct {
	Schema    int       `json:"schema"`
	Name      string    `json:"name"` // "bee"
	Version   string    `json:"version"`
	Variant   string    `json:"variant"` // the manifest: thin, server
	Arch      string    `json:"arch"`    // as Go calls it
	Kernel    string    `json:"kernel"`  // release, as uname -r says
	BuildDate time.Time `json:"build_date"`
	Go        string    `json:"go"` // toolchain

	RAM    RAM     `json:"ram"`
	NVIDIA *NVIDIA `json:"nvidia,omitempty"` // nil: the image carries no driver

	// The lists, which are nearly all of the file, come last: see DecodeHead.
	Inputs   []Input   `json:"inputs"`  // from bee.lock
	GoMods   []GoMod   `json:"go_mods"` // linked into the programs
	Commands []string  `json:"commands"`
	Modules  []Module  `json:"modules"`
	Firmware []Blob    `json:"firmware"`
	Missing  []Missing `json:"missing_firmware"` // declared by a module, not in the image
	Vendor   []Blob    `json:"vendor_tools,omitempty"`
	Compat   []Blob    `json:"compat,omitempty"`
	Files    []Blob    `json:"added_files,omitempty"` // that somebody added besides the manifest
}

// CompatDir is the root of the glibc world in an image, relative to the root:
// bin and lib. DriverDir is where NVIDIA's modules lie; they are loaded from
// there by absolute path and by nothing else.
const (
	CompatDir = "usr/lib/bee/compat"
	DriverDir = "usr/local/lib/nvidia"
)

// NVIDIA is the GPU driver of an image.
type NVIDIA struct {
	Version string   `json:"version"`          // NVIDIA's release: 550.163.01
	Flavor  string   `json:"flavor"`           // proprietary, open
	Modules []Blob   `json:"modules"`          // below DriverDir, in the order in which they are loaded
	Depends []string `json:"depends"`          // modules of the kernel's own that must be loaded before
	Signer  string   `json:"signer,omitempty"` // subject of the certificate; empty: not signed
}

// VendorDir is where programs of hardware's makers lie in an image, relative to
// the root; VendorTools is which: those that the audit knows to ask.
const VendorDir = "usr/libexec/vendor"

// VendorTools are the names of the programs.
var VendorTools = []string{"mstflint", "sas2ircu", "sas3ircu", "storcli64"}

// RAM is what the image takes once it is unpacked, bytes.
type RAM struct {
	Unpacked int64 `json:"unpacked"` // files, each rounded up to pages
	Budget   int64 `json:"budget"`   // what the manifest allows
}

// Input is one pinned package that the image was made of.
type Input struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	SHA256  string `json:"sha256"`
}

// GoMod is one Go module with the checksum of go.sum.
type GoMod struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Sum     string `json:"sum,omitempty"`
}

// Module is one kernel module.
type Module struct {
	Name string `json:"name"`
	Path string `json:"path"` // below /lib/modules/<kernel>
}

// Blob is one file that is not ours.
type Blob struct {
	Path   string `json:"path"` // below /lib/firmware; of a maker's program below VendorDir; of the compat root below CompatDir; of an added file below the root
	Size   int64  `json:"size"` // bytes, as it lies in the image
	SHA256 string `json:"sha256"`
}

// Missing is a firmware file that a module of the image declares and the image
// has not.
type Missing struct {
	File   string `json:"file"`
	Module string `json:"module"`
	Why    string `json:"why"`
}

// Encode gives the file's bytes.
func (b BOM) Encode() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(b); err != nil {
		return nil, fmt.Errorf("encode bom: %w", err)
	}
	return out.Bytes(), nil
}

// Decode reads a bill. Unknown fields are passed over, an unknown schema is an
// error.
func Decode(text []byte) (BOM, error) {
	var b BOM
	if err := json.Unmarshal(text, &b); err != nil {
		return BOM{}, fmt.Errorf("decode bom: %w", err)
	}
	if err := b.known(); err != nil {
		return BOM{}, err
	}
	return b, nil
}

func (b BOM) known() error {
	if b.Schema < 1 || b.Schema > Schema {
		return fmt.Errorf("decode bom: schema %d; this program knows 1 to %d", b.Schema, Schema)
	}
	if b.Name != "bee" {
		return errors.New("decode bom: this is not bee's")
	}
	return nil
}

// lists is the field that the lists begin with.
const lists = "inputs"

// DecodeHead is Decode without the lists, which it does not look at: what a node
// asks for while it boots stands before them.
func DecodeHead(text []byte) (b BOM, err error) {
	head := map[string]any{
		"schema": &b.Schema, "name": &b.Name, "version": &b.Version, "variant": &b.Variant, "arch": &b.Arch,
		"kernel": &b.Kernel, "build_date": &b.BuildDate, "go": &b.Go, "ram": &b.RAM, "nvidia": &b.NVIDIA,
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return BOM{}, errors.Join(errors.New("decode bom: this is no object"), err)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return BOM{}, fmt.Errorf("decode bom: %w", err)
		}
		name, ok := key.(string)
		if !ok || name == lists {
			break
		}
		to, ok := head[name]
		if !ok {
			to = new(json.RawMessage)
		}
		if err := d.Decode(to); err != nil {
			return BOM{}, fmt.Errorf("decode bom: %s: %w", name, err)
		}
	}
	if err := b.known(); err != nil {
		return BOM{}, err
	}
	return b, nil
}

// ReadHead reads the bill of the node whose root is given, as DecodeHead does.
func ReadHead(root fs.FS) (BOM, error) {
	text, err := fs.ReadFile(root, Path)
	if err != nil {
		return BOM{}, fmt.Errorf("read bom: %w", err)
	}
	return DecodeHead(text)
}
