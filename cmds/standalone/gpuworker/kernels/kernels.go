// Package kernels holds what gpuworker runs on a GPU: sources in the C that
// clang compiles for NVIDIA's GPUs without their toolkit, and the PTX made of
// them, which the driver compiles for the GPU that it finds. The same sources
// compile for the host, where the tests try them.
//
// The PTX is remade, in this folder, by Compile's command line; a test holds
// what is committed against the sources.
package kernels

import (
	_ "embed"
	"math"
	"strings"
)

// Modules, as PTX.
var (
	//go:embed base.ptx
	base string
	//go:embed tensor.ptx
	tensor string
	//go:embed hopper.ptx
	hopper string
)

// Module is one file of PTX.
type Module struct {
	Name    string // of the source and the PTX, without their endings
	PTX     string
	Arch    string // what clang compiles for; the driver takes any later one, unless it ends in a
	Version string // of the PTX ISA; driver 550 knows up to 8.4
	Major   int    // compute capability that it takes at least; where Arch ends in a, this one and minor 0 alone
	Kernels []Kernel
}

// Kernel is one entry point of a module. All parameters have 64 bits.
type Kernel struct {
	Name   string
	Params int
	Shared int // bytes of dynamic shared memory
}

// Threads is how many a block of any kernel has.
const Threads = 256

// Modules lists them.
func Modules() []Module {
	// (rows + columns) · bytes a row · stages; see tensor.cu.
	const four, three, hopperFour = (128 + 256) * 64 * 4, (128 + 256) * 128 * 3, (128 + 256) * 128 * 4
	return []Module{
		{"base", base, "sm_70", "6.3", 7, []Kernel{
			{"fill", 4, 0}, {"compare", 5, 0}, {"memory", 8, 0}, {"product_f32", 6, 0}, {"product_f64", 6, 0},
		}},
		{"tensor", tensor, "sm_80", "7.0", 8, []Kernel{
			{"product_bf16_64", 6, four}, {"product_bf16_128", 6, three},
			{"product_f16_64", 6, four}, {"product_f16_128", 6, three},
			{"product_tf32_64", 6, four}, {"product_tf32_128", 6, three},
		}},
		{"hopper", hopper, "sm_90a", "8.0", 9, []Kernel{
			{"product_bf16_wgmma", 6, hopperFour}, {"product_f16_wgmma", 6, hopperFour}, {"product_tf32_wgmma", 6, hopperFour},
		}},
	}
}

// Compiler is the clang whose PTX is committed. Another one's differs in
// wording.
const Compiler = "clang-19"

// Compile is the command line, behind the compiler's name, that makes a
// module's PTX from its source in the same folder.
func Compile(m Module) []string {
	feature := "+ptx" + m.Version[:1] + m.Version[2:]
	return []string{"-x", "cuda", "--cuda-device-only", "--cuda-gpu-arch=" + m.Arch, "-nocudainc", "-nocudalib", "-nostdinc",
		"-Xclang", "-target-feature", "-Xclang", feature, "-O3", "-S", "-Wall", "-Werror", "-o", m.Name + ".ptx", m.Name + ".cu"}
}

// Kinds of operands that the kernel fill makes.
const (
	F32 = iota
	BF16
	F16
	F64
	TF32
)

// Operand is 32-bit word i of what the kernel fill writes (base.cu), so that
// the host can check a product without reading operands back.
func Operand(kind, seed uint32, i uint64) uint32 {
	h := mix(uint32(i)*2654435761 ^ seed)
	switch kind {
	case BF16:
		return h&0x83ff83ff | 0x3c003c00
	case F16:
		return h&0x9fff9fff | 0x20002000
	case F64:
		if i&1 == 0 {
			return h
		}
		return h&0x807fffff | 0x3f800000
	case TF32:
		h &^= 1<<13 - 1
	}
	return h&0x83ffffff | 0x3c000000
}

// Number is number i of an operand.
func Number(kind, seed uint32, i uint64) float64 {
	switch kind {
	case BF16:
		return float64(math.Float32frombits(half(kind, seed, i) << 16))
	case F16: // never infinite, never subnormal
		h := half(kind, seed, i)
		return float64(math.Float32frombits(h&0x8000<<16 | (h>>10&31+112)<<23 | h&0x3ff<<13))
	case F64:
		return math.Float64frombits(uint64(Operand(kind, seed, 2*i+1))<<32 | uint64(Operand(kind, seed, 2*i)))
	}
	return float64(math.Float32frombits(Operand(kind, seed, i)))
}

// half is the 16-bit number i of an operand.
func half(kind, seed uint32, i uint64) uint32 {
	return Operand(kind, seed, i/2) >> (16 * (i & 1)) & 0xffff
}

// Fits says whether a GPU of that compute capability can run a module.
func (m Module) Fits(major, minor int) bool {
	if strings.HasSuffix(m.Arch, "a") {
		return major == m.Major && minor == 0
	}
	return major >= m.Major
}

// mix is the finaliser of MurmurHash3.
func mix(h uint32) uint32 {
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}

// Patterns of the kernel memory.
const (
	Constant = iota
	Walking
	Address
	Random
)

// What the kernel memory does.
const (
	Write = iota
	Check
	CheckWrite
)

// Where things lie in a log of errors, in 64-bit words (gpu.h).
const (
	LogErrors = iota
	LogNaNs
	LogCount
	LogBits
	LogFirst
	LogKept  = 16
	LogBytes = (LogFirst + 2*LogKept) * 8
)
