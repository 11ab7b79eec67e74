// What the kernels need of the machine they run on. Compiled for a GPU the
// names below are single PTX instructions; compiled with HOST_EMULATION they
// come from emulate.h, which runs a block of threads on the host.
//
// The kernels take nothing but 64-bit parameters: the caller needs no layout.
#pragma once

typedef unsigned int u32;
typedef unsigned long u64;
typedef u32 v4 __attribute__((vector_size(16)));

#define INLINE static inline __attribute__((always_inline))

#ifdef HOST_EMULATION
#include "emulate.h"
#else

// KERNEL begins a kernel for blocks of so many threads, of which least should fit
// a multiprocessor at a time.
#define KERNEL(threads, least) extern "C" __attribute__((global)) __attribute__((launch_bounds(threads, least)))
#define DEVICE __attribute__((device))
#define SHARED __attribute__((shared))
#define UNROLL _Pragma("unroll")

INLINE DEVICE u32 thread(void) { return __nvvm_read_ptx_sreg_tid_x(); }
INLINE DEVICE u32 threads(void) { return __nvvm_read_ptx_sreg_ntid_x(); }
INLINE DEVICE u32 block(void) { return __nvvm_read_ptx_sreg_ctaid_x(); }
INLINE DEVICE u32 blocks(void) { return __nvvm_read_ptx_sreg_nctaid_x(); }
INLINE DEVICE void barrier(void) { __nvvm_bar_sync(0); }
INLINE DEVICE float fma32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
INLINE DEVICE double fma64(double a, double b, double c) { return __builtin_fma(a, b, c); }

// add and or_ are atomic and return what was there.
INLINE DEVICE u64 add(u64 *p, u64 n) { return __atomic_fetch_add(p, n, __ATOMIC_RELAXED); }
INLINE DEVICE u64 or_(u64 *p, u64 n) { return __atomic_fetch_or(p, n, __ATOMIC_RELAXED); }

#endif

// A log of errors in the GPU's memory: how many, how many results were no
// number, how many are kept below, which bits were ever wrong; then KEPT pairs:
// where (offset in 32-bit words) and what (read word above, expected below).
#define ERRORS 0
#define NANS 1
#define COUNT 2
#define BITS 3
#define FIRST 4
#define KEPT 16

INLINE DEVICE void wrong(u64 *log, u64 where, u32 got, u32 want) {
	add(log + ERRORS, 1);
	or_(log + BITS, got ^ want);
	u64 n = add(log + COUNT, 1);
	if (n < KEPT) {
		log[FIRST + 2 * n] = where;
		log[FIRST + 2 * n + 1] = (u64)got << 32 | want;
	}
}

// tile says which tile of a matrix of tm by tn a block computes: eight rows of
// tiles at a time, so that what blocks beside each other read is in the cache.
INLINE DEVICE void tile(u32 id, u32 tm, u32 tn, u32 *row, u32 *column) {
	u32 group = id / (8 * tn), in = id % (8 * tn);
	u32 rows = tm - 8 * group < 8 ? tm - 8 * group : 8;
	*row = 8 * group + in % rows;
	*column = in / rows;
}
