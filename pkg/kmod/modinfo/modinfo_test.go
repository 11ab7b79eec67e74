package modinfo

import (
	"bytes"
	"encoding/binary"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/kmod"
)

// moduleELF makes a 64-bit little-endian object with one section .modinfo.
func moduleELF(modinfo string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	type section struct {
		Name, Type             uint32
		Flags, Addr, Off, Size uint64
		Link, Info             uint32
		Align, Entsize         uint64
	}
	header := struct {
		Ident                      [16]byte
		Type, Machine              uint16
		Version                    uint32
		Entry, Phoff, Shoff        uint64
		Flags                      uint32
		Ehsize, Phentsize, Phnum   uint16
		Shentsize, Shnum, Shstrndx uint16
	}{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1},
		Type:  1, Machine: 62, Version: 1,
		Shoff:  uint64(64 + len(modinfo) + len(names)),
		Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2,
	}
	var b bytes.Buffer
	for _, v := range []any{
		header, []byte(modinfo), []byte(names),
		section{},
		section{Name: 1, Type: 1, Off: 64, Size: uint64(len(modinfo)), Align: 1},
		section{Name: 10, Type: 3, Off: uint64(64 + len(modinfo)), Size: uint64(len(names)), Align: 1},
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err) // a bytes.Buffer and fixed-size values: cannot happen
		}
	}
	return b.Bytes()
}

func TestRead(t *testing.T) {
	ko := moduleELF(strings.Join([]string{
		"license=GPL", "firmware=a/b.bin", "firmware=c*.fw", "alias=pci:v1*", "alias=fs-x",
		"depends=a-b,c", "softdep=pre: p q post: r", "softdep=pre: s", "name=x_y",
		"vermagic=6.12 SMP", "no equals sign", "", "depends=",
	}, "\x00") + "\x00")
	want := kmod.Modinfo{
		Name: "x_y", License: "GPL", Vermagic: "6.12 SMP",
		Alias: []string{"pci:v1*", "fs-x"}, Depends: []string{"a_b", "c"},
		SoftPre: []string{"p", "q", "s"}, SoftPost: []string{"r"},
		Firmware: []string{"a/b.bin", "c*.fw"},
	}
	for name, r := range map[string]io.Reader{
		"at":     bytes.NewReader(ko),
		"stream": io.MultiReader(bytes.NewReader(ko)),
	} {
		got, err := Read(r)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	for name, b := range map[string][]byte{
		"empty":       nil,
		"no ELF":      []byte("\xfd7zXZ"),
		"cut off":     ko[:len(ko)-70],
		"no .modinfo": bytes.Replace(ko, []byte(".modinfo"), []byte(".notinfo"), 1),
	} {
		if _, err := Read(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(moduleELF("alias=x\x00depends=a,b\x00softdep=pre: a\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		Read(bytes.NewReader(b))
	})
}
