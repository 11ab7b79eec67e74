// The kernels on the host. The first argument says what is tried; what came out
// is printed for the Go test to judge.
//
//	product NAME K TM TN EAGER DOWNWARDS   largest error against a plain product, relative to the sum of |a·b|
//	compare                                the log after injected errors
//	memory KIND ARG UNITS WORD BIT         the log after a bit flipped behind a pattern, for each way of walking
//	operand KIND SEED UNITS                the words that fill makes
#define HOST_EMULATION
#include "../base.cu"
#include "../tensor.cu"
#include "../hopper.cu"

#define K2(name) static void run_##name(const u64 *a) { name(a[0], a[1], a[2], a[3], a[4], a[5]); }
K2(product_f32) K2(product_f64)
K2(product_bf16_64) K2(product_bf16_128) K2(product_f16_64) K2(product_f16_128) K2(product_tf32_64) K2(product_tf32_128)
K2(product_bf16_wgmma) K2(product_f16_wgmma) K2(product_tf32_wgmma)
static void run_fill(const u64 *a) { fill(a[0], a[1], a[2], a[3]); }
static void run_compare(const u64 *a) { compare(a[0], a[1], a[2], a[3], a[4]); }
static void run_memory(const u64 *a) { memory(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]); }

static const struct { const char *name; kernel_t run; u32 kind, size, tensor; } products[] = {
	{"product_f32", run_product_f32, F32, 4, 0},
	{"product_f64", run_product_f64, F64, 8, 0},
	{"product_bf16_64", run_product_bf16_64, BF16, 2, 1},
	{"product_bf16_128", run_product_bf16_128, BF16, 2, 1},
	{"product_f16_64", run_product_f16_64, F16, 2, 1},
	{"product_f16_128", run_product_f16_128, F16, 2, 1},
	{"product_tf32_64", run_product_tf32_64, TF32, 4, 2},
	{"product_tf32_128", run_product_tf32_128, TF32, 4, 2},
	{"product_bf16_wgmma", run_product_bf16_wgmma, BF16, 2, 1},
	{"product_f16_wgmma", run_product_f16_wgmma, F16, 2, 1},
	{"product_tf32_wgmma", run_product_tf32_wgmma, TF32, 4, 2},
};

static void *room(u64 bytes) {
	void *p = aligned_alloc(256, (bytes + 255) / 256 * 256);
	memset(p, 0xff, bytes);
	return p;
}

static double number(const void *p, u32 p_kind, u64 i, u32 tensor) {
	switch (p_kind) {
	case BF16:
		return of_bf16(((const unsigned short *)p)[i]);
	case F16:
		return of_f16(((const unsigned short *)p)[i]);
	case F64:
		return ((const double *)p)[i];
	}
	return tensor ? of_tf32(((const u32 *)p)[i]) : ((const float *)p)[i];
}

static int product_test(char **arg) {
	u64 k = atol(arg[1]), tm = atol(arg[2]), tn = atol(arg[3]);
	eager = atoi(arg[4]);
	downwards = atoi(arg[5]);
	for (u32 i = 0; i < sizeof products / sizeof *products; i++) {
		if (strcmp(products[i].name, arg[0]))
			continue;
		u32 kind = products[i].kind, size = products[i].size, tensor = products[i].tensor;
		u64 m = tm * 128, n = tn * (tensor ? 256 : 128), out = tensor ? 4 : size;
		void *a = room(m * k * size), *b = room(n * k * size), *c = room(m * n * out);
		launch(run_fill, 2, 256, (u64[]){(u64)a, m * k * size / 16, kind, 1});
		launch(run_fill, 2, 256, (u64[]){(u64)b, n * k * size / 16, kind, 2});
		launch(products[i].run, tm * tn, 256, (u64[]){(u64)a, (u64)b, (u64)c, tensor ? k * size : k, tm, tn});
		double worst = 0;
		for (u64 y = 0; y < m; y++)
			for (u64 x = 0; x < n; x++) {
				double sum = 0, all = 0, got = out == 8 ? ((double *)c)[y * n + x] : ((float *)c)[y * n + x];
				for (u64 s = 0; s < k; s++) {
					double p = number(a, kind, tensor ? y * k + s : s * m + y, tensor) * number(b, kind, tensor ? x * k + s : s * n + x, tensor);
					sum += p;
					all += p < 0 ? -p : p;
				}
				double e = (got - sum) / all;
				e = e < 0 ? -e : e;
				if (!(e <= worst))
					worst = e;
			}
		printf("%g\n", worst);
		return 0;
	}
	return 1;
}

static void show(const u64 *log) {
	printf("%lu %lu %lx", log[ERRORS], log[NANS], log[BITS]);
	for (u64 i = 0; i < log[COUNT] && i < KEPT; i++)
		printf(" %lu:%lx", log[FIRST + 2 * i], log[FIRST + 2 * i + 1]);
	printf("\n");
}

static int compare_test(void) {
	u32 units = 1000, *got = room(units * 16), *want = room(units * 16);
	u64 log[FIRST + 2 * KEPT] = {0};
	for (u32 wide = 0; wide < 2; wide++) {
		launch(run_fill, 2, 256, (u64[]){(u64)got, units, wide ? F64 : F32, 7});
		memcpy(want, got, units * 16);
		memset(log, 0, sizeof log);
		launch(run_compare, 3, 256, (u64[]){(u64)got, (u64)want, units, wide, (u64)log});
		show(log);
		got[1234] ^= 1 << 5;
		got[3999] = wide ? 0x7ff80000 : 0x7fc00000;
		launch(run_compare, 3, 256, (u64[]){(u64)got, (u64)want, units, wide, (u64)log});
		show(log);
	}
	memset(got, 0, units * 16); // more errors than are kept
	memset(log, 0, sizeof log);
	launch(run_compare, 3, 256, (u64[]){(u64)got, (u64)want, units, 0, (u64)log});
	printf("%lu %lu\n", log[ERRORS], log[COUNT]);
	return 0;
}

static int memory_test(char **arg) {
	u64 kind = atol(arg[0]), value = strtoul(arg[1], 0, 0), units = atol(arg[2]), word = atol(arg[3]), bit = atol(arg[4]);
	u32 *at = room(units * 16);
	u64 log[FIRST + 2 * KEPT];
	for (u32 what = CHECK; what <= CHECK_WRITE; what++)
		for (u32 inverse = 0; inverse < 2; inverse++) {
			u64 mask = inverse ? 0xffffffff : 0;
			memset(log, 0, sizeof log);
			launch(run_memory, 2, 256, (u64[]){(u64)at, units, kind, value, 0, mask, WRITE, (u64)log});
			launch(run_memory, 2, 256, (u64[]){(u64)at, units, kind, value, mask, ~mask & 0xffffffff, what, (u64)log});
			if (what == CHECK_WRITE) // what was written is the inverse
				launch(run_memory, 2, 256, (u64[]){(u64)at, units, kind, value, ~mask & 0xffffffff, mask, CHECK_WRITE, (u64)log});
			show(log); // no error
			at[word] ^= 1u << bit;
			launch(run_memory, 2, 256, (u64[]){(u64)at, units, kind, value, mask, ~mask & 0xffffffff, what, (u64)log});
			show(log); // one
			if (what == CHECK_WRITE) {
				memset(log, 0, sizeof log);
				launch(run_memory, 2, 256, (u64[]){(u64)at, units, kind, value, ~mask & 0xffffffff, mask, CHECK, (u64)log});
				show(log); // written over
			}
		}
	return 0;
}

static int operand_test(char **arg) {
	u64 units = atol(arg[2]);
	u32 *at = room(units * 16);
	launch(run_fill, 1, 256, (u64[]){(u64)at, units, atol(arg[0]), atol(arg[1])});
	for (u64 i = 0; i < 4 * units; i++)
		printf("%x\n", at[i]);
	return 0;
}

int main(int n, char **arg) {
	if (n == 8 && !strcmp(arg[1], "product"))
		return product_test(arg + 2);
	if (n == 2 && !strcmp(arg[1], "compare"))
		return compare_test();
	if (n == 7 && !strcmp(arg[1], "memory"))
		return memory_test(arg + 2);
	if (n == 5 && !strcmp(arg[1], "operand"))
		return operand_test(arg + 2);
	return 64;
}
