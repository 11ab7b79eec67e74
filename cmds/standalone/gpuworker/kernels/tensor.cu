// Matrix products on the tensor cores of Ampere and later (sm_80): mma.sync,
// fed by ldmatrix from shared memory that cp.async fills stages ahead (PTX ISA,
// "Warp Level Matrix Instructions", "Data Movement and Conversion").
#include "gpu.h"

#ifndef HOST_EMULATION

extern "C" __attribute__((device)) SHARED __attribute__((aligned(128))) char stage[];

// staging is where the dynamic shared memory begins, in its own address space.
INLINE DEVICE u32 staging(void) {
	u32 at;
	asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(at) : "l"((u64)stage));
	return at;
}
INLINE DEVICE void cp_async(u32 to, const char *from) {
	asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}
INLINE DEVICE void cp_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
INLINE DEVICE void cp_wait(u32 pending) {
	if (pending == 2)
		asm volatile("cp.async.wait_group 2;" ::: "memory");
	else if (pending == 1)
		asm volatile("cp.async.wait_group 1;" ::: "memory");
	else
		asm volatile("cp.async.wait_group 0;" ::: "memory");
}
INLINE DEVICE void ldmatrix(u32 *r, u32 from) {
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
	             : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(from) : "memory");
}

#define MMA(NAME, SHAPE) \
	INLINE DEVICE void NAME(float *d, const u32 *a, const u32 *b) { \
		asm volatile("mma.sync.aligned." SHAPE " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
		             : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) \
		             : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); \
	}
MMA(mma_bf16, "m16n8k16.row.col.f32.bf16.bf16.f32")
MMA(mma_f16, "m16n8k16.row.col.f32.f16.f16.f32")
MMA(mma_tf32, "m16n8k8.row.col.f32.tf32.tf32.f32")

#endif

#define BF16 1
#define F16 2
#define TF32 4

INLINE DEVICE void mma(u32 kind, float *d, const u32 *a, const u32 *b) {
	if (kind == BF16)
		mma_bf16(d, a, b);
	else if (kind == F16)
		mma_f16(d, a, b);
	else
		mma_tf32(d, a, b);
}

// A block of 256 threads makes a tile of ROWS by COLUMNS, each of its 8 warps
// 64 by 64 of it.
#define ROWS 128
#define COLUMNS 256

// product makes c = a·bᵀ: a is 128·tm rows of width bytes, b is 256·tn rows of
// width bytes, c is of 32-bit floats. deep is how many bytes of a row one stage
// holds: 64, or 128; width is a multiple of it. A fragment of 16 bytes in k has
// the same place in a register whatever the numbers' size, so that one code
// serves 16-bit numbers and TF32.
//
// In a stage the 16-byte chunks of a row are permuted by the row's number, so
// that the eight rows which one ldmatrix phase reads lie in different banks.
INLINE DEVICE void product(u64 a_, u64 b_, u64 c_, u64 width, u64 tm, u64 tn, const u32 kind, const u32 deep, const u32 stages) {
	const u32 chunks = deep / 16, steps = deep / 32; // a row of a stage; k steps of a stage
	const u32 rows = 256 / chunks;                   // that the block copies at once
	const u32 size = (ROWS + COLUMNS) * deep;
	u32 t = thread(), lane = t % 32, warp = t / 32, base = staging();
	u32 tile_row, tile_column;
	tile(block(), tm, tn, &tile_row, &tile_column);

	// What this thread copies: chunk t%chunks of every rows-th row.
	u32 r = t / chunks, q = t % chunks;
	u32 to = r * deep + ((q ^ (deep == 64 ? r >> 1 & 3 : r & 7)) << 4);
	const char *a = (const char *)a_ + ((u64)tile_row * ROWS + r) * width + q * 16;
	const char *b = (const char *)b_ + ((u64)tile_column * COLUMNS + r) * width + q * 16;
	u64 hop = rows * width;
	u32 left = (u32)(width / deep), fill = base, filled = 0; // stages still to copy; slot to fill and its number

#define COPY() \
	do { \
		if (left) { \
			UNROLL for (u32 j = 0; j < ROWS / rows; j++) \
				cp_async(fill + to + j * rows * deep, a + j * hop); \
			UNROLL for (u32 j = 0; j < COLUMNS / rows; j++) \
				cp_async(fill + ROWS * deep + to + j * rows * deep, b + j * hop); \
			a += deep; \
			b += deep; \
			left--; \
		} \
		cp_commit(); \
		filled++; \
		fill += size; \
		if (filled == stages) { \
			filled = 0; \
			fill = base; \
		} \
	} while (0)

	// Where this lane's row of a fragment lies in a stage, and how its chunks
	// are permuted.
	u32 permute = deep == 64 ? lane >> 1 & 3 : lane & 7;
	u32 at_a = ((warp / 4) * 64 + (lane & 15)) * deep, half_a = lane >> 4;
	u32 at_b = (ROWS + (warp % 4) * 64 + (lane & 7) + (lane >> 4) * 8) * deep, half_b = lane >> 3 & 1;

#define LOAD(into, from, step) \
	do { \
		u32 ca = ((2 * (step) + half_a) ^ permute) << 4, cb = ((2 * (step) + half_b) ^ permute) << 4; \
		UNROLL for (u32 j = 0; j < 4; j++) \
			ldmatrix(fa[into][j], (from) + at_a + j * 16 * deep + ca); \
		UNROLL for (u32 j = 0; j < 4; j++) \
			ldmatrix(fb[into][j], (from) + at_b + j * 16 * deep + cb); \
	} while (0)

	float acc[4][8][4];
	u32 fa[2][4][4], fb[2][4][4];
	UNROLL for (u32 i = 0; i < 4; i++)
		UNROLL for (u32 j = 0; j < 8; j++)
			UNROLL for (u32 l = 0; l < 4; l++)
				acc[i][j][l] = 0;

	UNROLL for (u32 s = 0; s + 1 < stages; s++)
		COPY();
	cp_wait(stages - 2);
	barrier();
	u32 use = base, used = 0;
	LOAD(0, use, 0);
	for (u32 n = (u32)(width / deep); n; n--) {
		UNROLL for (u32 s = 0; s < steps; s++) {
			if (s + 1 == steps) {
				// The next stage has come, and nobody reads this one any more.
				cp_wait(stages - 2);
				barrier();
				used++;
				use += size;
				if (used == stages) {
					used = 0;
					use = base;
				}
				if (n > 1)
					LOAD((s + 1) & 1, use, 0);
			} else
				LOAD((s + 1) & 1, use, s + 1);
			if (s == 0)
				COPY(); // into the slot before this one
			UNROLL for (u32 i = 0; i < 4; i++)
				UNROLL for (u32 j = 0; j < 8; j++)
					mma(kind, acc[i][j], fa[s & 1][i], fb[s & 1][j / 2] + 2 * (j & 1));
		}
	}

	float *c = (float *)c_ + ((u64)tile_row * ROWS + (warp / 4) * 64 + lane / 4) * (tn * COLUMNS) + tile_column * COLUMNS + (warp % 4) * 64 + 2 * (lane & 3);
	typedef float v2 __attribute__((vector_size(8)));
	UNROLL for (u32 i = 0; i < 4; i++)
		UNROLL for (u32 j = 0; j < 8; j++) {
			v2 above = {acc[i][j][0], acc[i][j][1]}, below = {acc[i][j][2], acc[i][j][3]};
			*(v2 *)(c + (u64)(16 * i) * (tn * COLUMNS) + 8 * j) = above;
			*(v2 *)(c + (u64)(16 * i + 8) * (tn * COLUMNS) + 8 * j) = below;
		}
#undef COPY
#undef LOAD
}

#define PRODUCT(NAME, KIND, DEEP, STAGES) \
	KERNEL(256, 1) void NAME(u64 a, u64 b, u64 c, u64 width, u64 tm, u64 tn) { product(a, b, c, width, tm, tn, KIND, DEEP, STAGES); }

// Four stages of 24 KiB fit every GPU since Ampere, three of 48 KiB its servers.
PRODUCT(product_bf16_64, BF16, 64, 4)
PRODUCT(product_bf16_128, BF16, 128, 3)
PRODUCT(product_f16_64, F16, 64, 4)
PRODUCT(product_f16_128, F16, 128, 3)
PRODUCT(product_tf32_64, TF32, 64, 4)
PRODUCT(product_tf32_128, TF32, 128, 3)
