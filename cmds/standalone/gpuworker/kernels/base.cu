// Kernels for every GPU since Volta (sm_70): operands, comparison, memory
// patterns, and matrix products on the ordinary arithmetic units.
#include "gpu.h"

// mix scatters the bits of a number (the finaliser of MurmurHash3).
INLINE DEVICE u32 mix(u32 h) {
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

// Kinds of operands.
#define F32 0
#define BF16 1
#define F16 2
#define F64 3
#define TF32 4

// operand is 32-bit word i of an operand. Numbers have either sign, any
// mantissa and one of eight exponents up to that of 1: no bit stands still, so
// that power is drawn, and no sum overflows. Operand in kernels.go makes the same.
INLINE DEVICE u32 operand(u32 kind, u32 seed, u64 i) {
	u32 h = mix((u32)i * 2654435761u ^ seed);
	switch (kind) {
	case BF16:
		return (h & 0x83ff83ff) | 0x3c003c00;
	case F16:
		return (h & 0x9fff9fff) | 0x20002000;
	case TF32: // the tensor cores take no more of the mantissa
		h &= ~0x1fffu;
		break;
	case F64: // little endian: the second word has sign and exponent
		return i & 1 ? (h & 0x807fffff) | 0x3f800000 : h;
	}
	return (h & 0x83ffffff) | 0x3c000000;
}

// fill writes units of 16 bytes.
KERNEL(256, 1) void fill(u64 to, u64 units, u64 kind, u64 seed) {
	u64 step = (u64)blocks() * threads();
	for (u64 u = (u64)block() * threads() + thread(); u < units; u += step) {
		v4 v;
		for (u32 j = 0; j < 4; j++)
			v[j] = operand(kind, seed, 4 * u + j);
		((v4 *)to)[u] = v;
	}
}

// compare counts words that differ from those expected, and numbers that are
// none: infinite or NaN. wide: the numbers have 64 bits.
KERNEL(256, 4) void compare(u64 got, u64 want, u64 units, u64 wide, u64 log) {
	u64 step = (u64)blocks() * threads();
	for (u64 u = (u64)block() * threads() + thread(); u < units; u += step) {
		v4 g = ((const v4 *)got)[u], w = ((const v4 *)want)[u];
		for (u32 j = 0; j < 4; j++) {
			if (g[j] != w[j])
				wrong((u64 *)log, 4 * u + j, g[j], w[j]);
			if (wide ? j & 1 && (g[j] & 0x7ff00000) == 0x7ff00000 : (g[j] & 0x7f800000) == 0x7f800000)
				add((u64 *)log + NANS, 1);
		}
	}
}

// Patterns of the memory test.
#define CONSTANT 0
#define WALKING 1
#define ADDRESS 2
#define RANDOM 3

// pattern is unit u of a pattern: one word everywhere; one bit that moves on
// from word to word; each 64-bit word its own number; noise.
INLINE DEVICE v4 pattern(u32 kind, u32 arg, u64 u) {
	v4 v;
	u32 h;
	switch (kind) {
	case WALKING:
		for (u32 j = 0; j < 4; j++)
			v[j] = 1u << ((4 * (u32)u + j + arg) & 31);
		return v;
	case ADDRESS:
		v[0] = (u32)(2 * u);
		v[1] = v[3] = (u32)(u >> 31);
		v[2] = (u32)(2 * u) + 1;
		return v;
	case RANDOM:
		h = mix((u32)u ^ (u32)(u >> 32) * 0x9e3779b1u ^ arg);
		v[0] = h;
		v[1] = (h << 9 | h >> 23) ^ 0x9e3779b9;
		v[2] = (h << 18 | h >> 14) ^ 0x7f4a7c15;
		v[3] = (h << 27 | h >> 5) ^ 0xf39cc060;
		return v;
	}
	for (u32 j = 0; j < 4; j++)
		v[j] = arg;
	return v;
}

// What memory does with each word.
#define WRITE 0
#define CHECK 1
#define CHECK_WRITE 2

INLINE DEVICE void check(v4 got, u32 kind, u32 arg, u32 mask, u64 u, u64 *log) {
	v4 want = pattern(kind, arg, u) ^ mask, d = got ^ want;
	if (d[0] | d[1] | d[2] | d[3])
		for (u32 j = 0; j < 4; j++)
			if (d[j])
				wrong(log, 4 * u + j, got[j], want[j]);
}

INLINE DEVICE void walk(v4 *at, u64 units, u32 kind, u32 arg, u32 expect, u32 put, u32 what, u64 *log) {
	u64 step = (u64)blocks() * threads();
	u64 u = (u64)block() * threads() + thread();
	for (; u + 3 * step < units; u += 4 * step) {
		v4 v[4];
		if (what != WRITE)
			UNROLL for (u32 j = 0; j < 4; j++)
				v[j] = at[u + j * step];
		UNROLL for (u32 j = 0; j < 4; j++) {
			if (what != WRITE)
				check(v[j], kind, arg, expect, u + j * step, log);
			if (what != CHECK)
				at[u + j * step] = pattern(kind, arg, u + j * step) ^ put;
		}
	}
	for (; u < units; u += step) {
		if (what != WRITE)
			check(at[u], kind, arg, expect, u, log);
		if (what != CHECK)
			at[u] = pattern(kind, arg, u) ^ put;
	}
}

INLINE DEVICE void walk_kind(v4 *at, u64 units, u32 kind, u32 arg, u32 expect, u32 put, u32 what, u64 *log) {
	if (what == WRITE)
		walk(at, units, kind, arg, expect, put, WRITE, log);
	else if (what == CHECK)
		walk(at, units, kind, arg, expect, put, CHECK, log);
	else
		walk(at, units, kind, arg, expect, put, CHECK_WRITE, log);
}

// memory writes a pattern, checks it, or checks it and writes its inverse over
// it (moving inversions). expect and put are masks over the pattern: 0, or ~0
// for its inverse.
KERNEL(256, 3) void memory(u64 at, u64 units, u64 kind, u64 arg, u64 expect, u64 put, u64 what, u64 log) {
	switch (kind) {
	case WALKING:
		walk_kind((v4 *)at, units, WALKING, arg, expect, put, what, (u64 *)log);
		break;
	case ADDRESS:
		walk_kind((v4 *)at, units, ADDRESS, arg, expect, put, what, (u64 *)log);
		break;
	case RANDOM:
		walk_kind((v4 *)at, units, RANDOM, arg, expect, put, what, (u64 *)log);
		break;
	default:
		walk_kind((v4 *)at, units, CONSTANT, arg, expect, put, what, (u64 *)log);
	}
}

#define T float
#define FMA fma32
#define PRODUCT product_f32
#define LEAST 2
#include "fma.inc"

#define T double
#define FMA fma64
#define PRODUCT product_f64
#define LEAST 1
#include "fma.inc"
