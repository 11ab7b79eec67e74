// A block of threads on the host, for tests without a GPU. Each thread is a
// context of its own (makecontext(3)); they run one after the other and change
// where the machine would make them wait for each other: at a barrier, and at
// the instructions that a warp executes as one. Matrix fragments lie in
// registers as the PTX ISA draws them (mma.m16n8k16, mma.m16n8k8, ldmatrix).
//
// Copies by cp.async are done when they are issued (eager) or not before they
// are waited for: the first shows a slot that is filled while somebody reads
// it, the second one that is read before it is filled. Threads take their turns
// upwards or downwards.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define KERNEL(threads, least)
#define DEVICE
#define SHARED
#define UNROLL

#define MAX_THREADS 256
#define SHARED_BYTES (192 << 10)

typedef void (*kernel_t)(const u64 *args);

static struct {
	ucontext_t main, context[MAX_THREADS];
	char *stack[MAX_THREADS];
	u32 now, n, block, blocks, done[MAX_THREADS];
	u64 arrived[MAX_THREADS]; // how many barriers or warp instructions a thread reached
	kernel_t kernel;
	const u64 *args;
	// what a warp's lanes lay down for each other, by thread
	u32 a[MAX_THREADS][4], b[MAX_THREADS][2], address[MAX_THREADS];
	// cp.async: copies of a thread that are not yet done
	struct { u32 to, group; const char *from; } copy[MAX_THREADS][256];
	u32 copies[MAX_THREADS], group[MAX_THREADS];
	char shared[SHARED_BYTES] __attribute__((aligned(128)));
} gpu;

static int eager, downwards;

static u32 thread(void) { return gpu.now; }
static u32 threads(void) { return gpu.n; }
static u32 block(void) { return gpu.block; }
static u32 blocks(void) { return gpu.blocks; }
static u64 add(u64 *p, u64 n) { u64 was = *p; *p += n; return was; }
static u64 or_(u64 *p, u64 n) { u64 was = *p; *p |= n; return was; }
static float fma32(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static double fma64(double a, double b, double c) { return __builtin_fma(a, b, c); }

static void pass(void) { swapcontext(&gpu.context[gpu.now], &gpu.main); }

// meet waits until every thread from first to last has reached the same point.
static void meet(u32 first, u32 last) {
	u64 mine = ++gpu.arrived[gpu.now];
	for (;;) {
		u32 all = 1;
		for (u32 t = first; t < last; t++)
			if (gpu.arrived[t] < mine) {
				if (gpu.done[t]) {
					fprintf(stderr, "thread %u waits for thread %u, which has ended\n", gpu.now, t);
					exit(2);
				}
				all = 0;
			}
		if (all)
			return;
		pass();
	}
}
static void barrier(void) { meet(0, gpu.n); }
static void warp_meets(void) { meet(gpu.now / 32 * 32, gpu.now / 32 * 32 + 32); }

static u32 staging(void) { return 0; }
static void in_shared(u32 at) {
	if (at % 16 || at + 16 > SHARED_BYTES) {
		fprintf(stderr, "thread %u: shared address %u is misaligned or outside\n", gpu.now, at);
		exit(2);
	}
}
static void cp_async(u32 to, const char *from) {
	in_shared(to);
	u32 t = gpu.now, i = gpu.copies[t]++;
	gpu.copy[t][i].to = to;
	gpu.copy[t][i].from = from;
	gpu.copy[t][i].group = gpu.group[t];
	if (eager)
		memcpy(gpu.shared + to, from, 16);
	else
		memset(gpu.shared + to, 0xff, 16); // whoever reads it now reads no number
}
static void cp_commit(void) { gpu.group[gpu.now]++; }
static void cp_wait(u32 pending) {
	u32 t = gpu.now, left = 0;
	for (u32 i = 0; i < gpu.copies[t]; i++)
		if (gpu.copy[t][i].group + pending < gpu.group[t]) {
			if (!eager)
				memcpy(gpu.shared + gpu.copy[t][i].to, gpu.copy[t][i].from, 16);
		} else
			gpu.copy[t][left++] = gpu.copy[t][i];
	gpu.copies[t] = left;
}

// ldmatrix .x4: lanes 8i to 8i+7 give the rows of matrix i; lane l receives the
// l%4-th pair of 16-bit words of row l/4 of each.
static void ldmatrix(u32 *r, u32 from) {
	u32 lane = gpu.now % 32, warp = gpu.now - lane;
	in_shared(from);
	gpu.address[gpu.now] = from;
	warp_meets();
	for (u32 i = 0; i < 4; i++)
		memcpy(&r[i], gpu.shared + gpu.address[warp + 8 * i + lane / 4] + 4 * (lane % 4), 4);
	warp_meets();
}

static float of_bf16(u32 h) {
	u32 w = h << 16;
	float f;
	memcpy(&f, &w, 4);
	return f;
}
static float of_f16(u32 h) {
	u32 e = h >> 10 & 31, m = h & 0x3ff;
	float f = e == 31 ? __builtin_nanf("") : e ? __builtin_ldexpf(1024 + m, (int)e - 25) : __builtin_ldexpf(m, -24);
	return h & 0x8000 ? -f : f;
}
static float of_tf32(u32 w) { // the low 13 bits do not count
	float f;
	w &= ~0x1fffu;
	memcpy(&f, &w, 4);
	return f;
}

// element reads number k of a row or column from its 32-bit words: two a word
// for 16-bit numbers.
static float element(u32 kind, u32 word, u32 k) {
	switch (kind) {
	case 1:
		return of_bf16(k & 1 ? word >> 16 : word & 0xffff);
	case 2:
		return of_f16(k & 1 ? word >> 16 : word & 0xffff);
	}
	return of_tf32(word);
}

// mma_any is d += a·b of a 16 by K and a K by 8 matrix; K is 16, for TF32 8.
// With words of 32 bits along k, which is how both look alike: a's words w of
// row g lie in lane 4(g%8)+w%4, register 2(w/4)+g/8; b's words w of column n in
// lane 4n+w%4, register w/4; d's row g, column n in lane 4(g%8)+n/2, register
// 2(g/8)+n%2.
static void mma_any(u32 kind, float *d, const u32 *a, const u32 *b) {
	u32 lane = gpu.now % 32, warp = gpu.now - lane, per = kind == 3 ? 1 : 2;
	memcpy(gpu.a[gpu.now], a, 16);
	memcpy(gpu.b[gpu.now], b, 8);
	warp_meets();
	for (u32 i = 0; i < 4; i++) {
		u32 g = lane / 4 + i / 2 * 8, n = lane % 4 * 2 + i % 2;
		for (u32 w = 0; w < 8; w++)
			for (u32 k = 0; k < per; k++)
				d[i] += element(kind, gpu.a[warp + 4 * (g % 8) + w % 4][2 * (w / 4) + g / 8], k) *
				        element(kind, gpu.b[warp + 4 * n + w % 4][w / 4], k);
	}
	warp_meets();
}
static void mma_bf16(float *d, const u32 *a, const u32 *b) { mma_any(1, d, a, b); }
static void mma_f16(float *d, const u32 *a, const u32 *b) { mma_any(2, d, a, b); }
static void mma_tf32(float *d, const u32 *a, const u32 *b) { mma_any(3, d, a, b); }

static void cp_wait_one(void) { cp_wait(1); }

// wgmma reads shared memory for itself, at any time between its issue and the
// end of waiting for its group: at once if eager, else as late as can be. A
// thread here makes its own elements of d, with a's and b's rows where their
// descriptors say: eight rows of 128 bytes, 16-byte chunks permuted by bits 7 to
// 9 of the address, the next eight rows at the stride. Thread t of a warpgroup
// has rows 16(t/32) + t%32/4 and 8 more, of each eight columns two.
static struct { float *d; u64 a, b; u32 kind, group; } issued[MAX_THREADS][64];
static u32 issues[MAX_THREADS], committed[MAX_THREADS];

static u32 word_at(u64 descriptor, u32 row, u32 word) {
	u32 at = (u32)(descriptor & 0x3fff) << 4, stride = (u32)(descriptor >> 32 & 0x3fff) << 4, w;
	if (descriptor >> 62 != 1 || stride % 1024) {
		fprintf(stderr, "a descriptor is not of 128-byte swizzle\n");
		exit(2);
	}
	at += row / 8 * stride + row % 8 * 128 + word * 4;
	at ^= (at >> 7 & 7) << 4;
	in_shared(at / 16 * 16);
	memcpy(&w, gpu.shared + at, 4);
	return w;
}
static void multiply_now(u32 kind, float *d, u64 a, u64 b) {
	u32 t = gpu.now % 128, lane = t % 32, per = kind == 3 ? 1 : 2;
	for (u32 i = 0; i < 128; i++) {
		u32 row = t / 32 * 16 + lane / 4 + i % 4 / 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
		for (u32 w = 0; w < 8; w++) {
			u32 x = word_at(a, row, w), y = word_at(b, column, w);
			for (u32 k = 0; k < per; k++)
				d[i] += element(kind, x, k) * element(kind, y, k);
		}
	}
}
static void wgmma(u32 kind, float *d, u64 a, u64 b) {
	u32 t = gpu.now, i = issues[t];
	if (eager) {
		multiply_now(kind, d, a, b);
		return;
	}
	issued[t][i].d = d;
	issued[t][i].a = a;
	issued[t][i].b = b;
	issued[t][i].kind = kind;
	issued[t][i].group = committed[t];
	issues[t]++;
}
static void wgmma_bf16(float *d, u64 a, u64 b) { wgmma(1, d, a, b); }
static void wgmma_f16(float *d, u64 a, u64 b) { wgmma(2, d, a, b); }
static void wgmma_tf32(float *d, u64 a, u64 b) { wgmma(3, d, a, b); }
static void wgmma_commit(void) { committed[gpu.now]++; }
static void wgmma_until(u32 pending) {
	u32 t = gpu.now, left = 0;
	for (u32 i = 0; i < issues[t]; i++)
		if (issued[t][i].group + pending < committed[t])
			multiply_now(issued[t][i].kind, issued[t][i].d, issued[t][i].a, issued[t][i].b);
		else
			issued[t][left++] = issued[t][i];
	issues[t] = left;
}
static void wgmma_wait_one(void) { wgmma_until(1); }
static void wgmma_wait(void) { wgmma_until(0); }
static void wgmma_begin(void) {}
static void seen(void) {} // what a thread wrote is seen by all, once it has met them

static void enter_thread(void) {
	gpu.kernel(gpu.args);
	gpu.done[gpu.now] = 1;
	pass();
}

// launch runs a kernel: its blocks one after the other.
static void launch(kernel_t kernel, u32 blocks, u32 n, const u64 *args) {
	gpu.n = n;
	gpu.blocks = blocks;
	gpu.kernel = kernel;
	gpu.args = args;
	for (gpu.block = 0; gpu.block < blocks; gpu.block++) {
		memset(gpu.shared, 0xff, sizeof gpu.shared);
		for (u32 t = 0; t < n; t++) {
			if (!gpu.stack[t])
				gpu.stack[t] = malloc(128 << 10);
			gpu.done[t] = gpu.arrived[t] = gpu.copies[t] = gpu.group[t] = issues[t] = committed[t] = 0;
			getcontext(&gpu.context[t]);
			gpu.context[t].uc_stack.ss_sp = gpu.stack[t];
			gpu.context[t].uc_stack.ss_size = 128 << 10;
			gpu.context[t].uc_link = &gpu.main;
			makecontext(&gpu.context[t], enter_thread, 0);
		}
		for (u32 running = n; running;) {
			running = 0;
			for (u32 i = 0; i < n; i++) {
				gpu.now = downwards ? n - 1 - i : i;
				if (!gpu.done[gpu.now]) {
					swapcontext(&gpu.main, &gpu.context[gpu.now]);
					running += !gpu.done[gpu.now];
				}
			}
		}
	}
}
