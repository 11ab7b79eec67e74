// Matrix products on the tensor cores of Hopper (sm_90a): wgmma, which reads
// both operands from shared memory while its warps do something else (PTX ISA,
// "Asynchronous Warpgroup Level Matrix Instructions"). Only there: neither older
// nor newer GPUs have the instruction.
#include "gpu.h"

#ifndef HOST_EMULATION

extern "C" __attribute__((device)) SHARED __attribute__((aligned(1024))) char stage[];

INLINE DEVICE u32 staging(void) {
	u32 at;
	asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(at) : "l"((u64)stage));
	return at;
}
INLINE DEVICE void cp_async(u32 to, const char *from) {
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
INLINE DEVICE void cp_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
INLINE DEVICE void cp_wait_one(void) { asm volatile("cp.async.wait_group 1;" ::: "memory"); }

// seen makes what this thread copied into shared memory visible to wgmma.
INLINE DEVICE void seen(void) { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
INLINE DEVICE void wgmma_begin(void) { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
INLINE DEVICE void wgmma_commit(void) { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
INLINE DEVICE void wgmma_wait_one(void) { asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory"); }
INLINE DEVICE void wgmma_wait(void) { asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); }

#define D8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define D32(i) D8(i), D8(i + 8), D8(i + 16), D8(i + 24)
#define D128 D32(0), D32(32), D32(64), D32(96)
#define TEN(t) "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9, "
#define REGISTERS \
	"{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, " TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10) TEN(11) \
	"%120, %121, %122, %123, %124, %125, %126, %127}"

#define WGMMA(NAME, SHAPE, TAIL) \
	INLINE DEVICE void NAME(float *d, u64 a, u64 b) { \
		asm volatile("wgmma.mma_async.sync.aligned." SHAPE " " REGISTERS ", %128, %129, 1, 1, 1" TAIL ";" : D128 : "l"(a), "l"(b)); \
	}
WGMMA(wgmma_bf16, "m64n256k16.f32.bf16.bf16", ", 0, 0")
WGMMA(wgmma_f16, "m64n256k16.f32.f16.f16", ", 0, 0")
WGMMA(wgmma_tf32, "m64n256k8.f32.tf32.tf32", "")

#endif

#define HOPPER_ROWS 128
#define HOPPER_COLUMNS 256
#define HOPPER_DEEP 128
#define HOPPER_STAGES 4

// described is the matrix descriptor of rows of 128 bytes in shared memory whose
// chunks of 16 bytes are permuted by the row's number (128-byte swizzle): where
// it begins, 1024 bytes from eight rows to the next eight.
INLINE DEVICE u64 described(u32 at) { return (u64)(at >> 4 & 0x3fff) | 1ul << 16 | 64ul << 32 | 1ul << 62; }

// The same product as in tensor.cu, of tiles of 128 by 256: each of the two
// warpgroups makes 64 rows. A stage's slot is filled two rounds after it was
// read: then both warpgroups are done with it.
INLINE DEVICE void product_of_wgmma(u64 a_, u64 b_, u64 c_, u64 width, u64 tm, u64 tn, const u32 kind) {
	const u32 size = (HOPPER_ROWS + HOPPER_COLUMNS) * HOPPER_DEEP;
	u32 t = thread(), lane = t % 32, base = staging(), tile_row, tile_column;
	tile(block(), tm, tn, &tile_row, &tile_column);

	u32 r = t / 8, q = t % 8; // this thread copies chunk q of every 32nd row
	u32 to = r * HOPPER_DEEP + ((q ^ (r & 7)) << 4);
	const char *a = (const char *)a_ + ((u64)tile_row * HOPPER_ROWS + r) * width + q * 16;
	const char *b = (const char *)b_ + ((u64)tile_column * HOPPER_COLUMNS + r) * width + q * 16;
	u64 hop = 32 * width;
	u32 rounds = (u32)(width / HOPPER_DEEP), left = rounds, filled = 0;

#define COPY() \
	do { \
		if (left) { \
			u32 fill = base + filled * size + to; \
			UNROLL for (u32 j = 0; j < HOPPER_ROWS / 32; j++) \
				cp_async(fill + j * 32 * HOPPER_DEEP, a + j * hop); \
			UNROLL for (u32 j = 0; j < HOPPER_COLUMNS / 32; j++) \
				cp_async(fill + (HOPPER_ROWS + j * 32) * HOPPER_DEEP, b + j * hop); \
			a += HOPPER_DEEP; \
			b += HOPPER_DEEP; \
			left--; \
		} \
		cp_commit(); \
		filled = (filled + 1) % HOPPER_STAGES; \
	} while (0)

	float acc[128];
	UNROLL for (u32 i = 0; i < 128; i++)
		acc[i] = 0;
	COPY();
	COPY();
	u32 used = 0, mine = t / 128 * 64 * HOPPER_DEEP;
	for (u32 n = 0; n < rounds; n++) {
		cp_wait_one();
		seen();
		barrier();
		u64 da = described(base + used * size + mine), db = described(base + used * size + HOPPER_ROWS * HOPPER_DEEP);
		wgmma_begin();
		UNROLL for (u32 s = 0; s < HOPPER_DEEP / 32; s++) // 32 bytes of k at a time
			if (kind == 1)
				wgmma_bf16(acc, da + 2 * s, db + 2 * s);
			else if (kind == 2)
				wgmma_f16(acc, da + 2 * s, db + 2 * s);
			else
				wgmma_tf32(acc, da + 2 * s, db + 2 * s);
		wgmma_commit();
		wgmma_wait_one(); // for the round before
		COPY();
		used = (used + 1) % HOPPER_STAGES;
	}
	wgmma_wait();

	float *c = (float *)c_ + ((u64)tile_row * HOPPER_ROWS + t / 32 * 16 + lane / 4) * (tn * HOPPER_COLUMNS) + tile_column * HOPPER_COLUMNS + 2 * (lane & 3);
	typedef float v2 __attribute__((vector_size(8)));
	UNROLL for (u32 j = 0; j < 32; j++) {
		v2 above = {acc[4 * j], acc[4 * j + 1]}, below = {acc[4 * j + 2], acc[4 * j + 3]};
		*(v2 *)(c + 8 * j) = above;
		*(v2 *)(c + 8 * (tn * HOPPER_COLUMNS) + 8 * j) = below;
	}
#undef COPY
}

#define HOPPER(NAME, KIND) \
	KERNEL(256, 1) void NAME(u64 a, u64 b, u64 c, u64 width, u64 tm, u64 tn) { product_of_wgmma(a, b, c, width, tm, tn, KIND); }

HOPPER(product_bf16_wgmma, 1)
HOPPER(product_f16_wgmma, 2)
HOPPER(product_tf32_wgmma, 3)
