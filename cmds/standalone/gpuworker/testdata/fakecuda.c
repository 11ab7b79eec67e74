// A libcuda.so.1 for tests: one GPU that is the host. Kernels that go through
// memory run in the emulation of kernels/testdata, matrix products as three
// plain loops. What goes wrong is said by FAKECUDA, words with blanks between:
//
//	init=CODE address=CODE jit=CODE        the call fails
//	launch=CODE@N                          everything fails from launch N on
//	hang@N segv@N                          launch N never ends, or kills
//	wrong@N                                product N comes out wrong in one bit
//	nan=ELEMENT                            this element of every product is no number
//	stuck=BYTE                             bit 4 of the word there is always set
//	rotten                                 bit 5 of all words of the first 4096 bytes there is always set
//	distrust                               products of 16-bit numbers by the kernels _64 are wrong
//	blind                                  comparisons and checks see nothing
//	mig capability=MAJOR                   what the GPU is
#define HOST_EMULATION
#include "../kernels/base.cu"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default"))) int
#define MEMORY (6u << 20)

static char *memory_of_gpu;
static size_t used_at, used[64], sizes[64], slots;
static int broken, launches, product_count;
static const char *image;

// fault is what FAKECUDA says of a word: its number before the @ or 1, in at the
// one behind it; 0 where it says nothing.
static long fault(const char *word, long *at) {
	const char *s = getenv("FAKECUDA"), *p = s ? strstr(s, word) : NULL;
	long n = 1;
	char *end;
	if (!p)
		return 0;
	p += strlen(word);
	end = (char *)p;
	if (*p == '=')
		n = strtol(p + 1, &end, 0);
	if (at)
		*at = *end == '@' ? strtol(end + 1, NULL, 0) : 0;
	return n;
}

API cuInit(unsigned flags) { return fault("init", NULL); }
API cuDriverGetVersion(int *v) { return *v = 12040, 0; }
API cuGetErrorName(int e, const char **name) { return *name = e == 719 ? "CUDA_ERROR_LAUNCH_FAILED" : e == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_OTHER", 0; }
API cuGetErrorString(int e, const char **text) { return *text = e == 719 ? "unspecified launch failure" : "no text", 0; }
API cuDeviceGetByPCIBusId(int *d, const char *address) { return *d = 0, fault("address", NULL); }
API cuDeviceGetAttribute(int *value, int attribute, int d) {
	*value = attribute == 16 ? 1 : attribute == 75 ? (fault("capability", NULL) ?: 9) : attribute == 76 ? 0 : attribute == 97 ? 232448 : -1;
	return *value < 0;
}
API cuDeviceGetName(char *name, int size, int d) { return snprintf(name, size, fault("mig", NULL) ? "Fake GPU MIG 1g.10gb" : "Fake GPU"), 0; }
#ifndef WITHOUT_UUID
API cuDeviceGetUuid(unsigned char *uuid, int d) { return memset(uuid, 0xab, 16), 0; }
#endif
API cuDeviceTotalMem_v2(size_t *bytes, int d) { return *bytes = MEMORY, 0; }
API cuDevicePrimaryCtxRetain(void **c, int d) { return memory_of_gpu = aligned_alloc(4096, MEMORY), *c = memory_of_gpu, 0; }
API cuDevicePrimaryCtxRelease_v2(int d) { return 0; }
API cuCtxSetCurrent(void *c) { return 0; }
API cuCtxSynchronize(void) { return broken; }

API cuModuleLoadDataEx(void **module, const void *text, unsigned n, int *options, void **values) {
	int e = fault("jit", NULL);
	if (e)
		strcpy(values[0], "ptxas application ptx input, line 9; error : unknown\n");
	*module = strdup(text);
	return e;
}
API cuModuleGetFunction(void **f, void *module, const char *name) {
	char entry[100];
	snprintf(entry, sizeof entry, ".visible .entry %s(", name);
	return *f = strdup(name), strstr(module, entry) ? 0 : 500;
}
API cuFuncSetAttribute(void *f, int attribute, int value) { return attribute == 8 && value <= 232448 ? 0 : 1; }

API cuMemGetInfo_v2(size_t *free, size_t *total) {
	*total = MEMORY;
	*free = MEMORY;
	for (size_t i = 0; i < slots; i++)
		*free -= sizes[i];
	return broken;
}
API cuMemAlloc_v2(unsigned long long *at, size_t bytes) {
	size_t free, total;
	cuMemGetInfo_v2(&free, &total);
	if (bytes > free || slots == 64)
		return 2;
	if (free == MEMORY)
		slots = 0;
	used[slots] = (size_t)aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	sizes[slots] = bytes;
	*at = used[slots++];
	return broken;
}
API cuMemFree_v2(unsigned long long at) {
	for (size_t i = 0; i < slots; i++)
		if (used[i] == at) {
			sizes[i] = 0;
			used[i] = 0;
			free((void *)at);
			return 0;
		}
	return 1;
}
API cuMemAllocHost_v2(void **at, size_t bytes) { return *at = malloc(bytes), 0; }
API cuMemFreeHost(void *at) { return free(at), 0; }
API cuMemsetD32_v2(unsigned long long at, unsigned word, size_t n) {
	for (size_t i = 0; i < n; i++)
		((unsigned *)at)[i] = word;
	return broken;
}
API cuMemcpyHtoD_v2(unsigned long long to, const void *from, size_t bytes) { return memcpy((void *)to, from, bytes), broken; }
API cuMemcpyDtoH_v2(void *to, unsigned long long from, size_t bytes) { return memcpy(to, (void *)from, bytes), broken; }
API cuMemcpyDtoD_v2(unsigned long long to, unsigned long long from, size_t bytes) { return memcpy((void *)to, (void *)from, bytes), broken; }

static float half_number(const char *name, unsigned h) {
	return strstr(name, "bf16") ? of_bf16(h) : of_f16(h);
}

// multiply is any of the products. It computes one a process for each test: the
// operands are always the same.
static void multiply(const char *name, const u64 *a) {
	static char done[64];
	static float *kept;
	u64 tensor = strstr(name, "f32_") || strstr(name, "16_"), wide = !!strstr(name, "f64"), half = !!strstr(name, "16_");
	u64 m = a[4] * 128, n = a[5] * (tensor ? 256 : 128), size = half ? 2 : wide ? 8 : 4, k = tensor ? a[3] / size : a[3], out = wide ? 8 : 4;
	char shape[64];
	snprintf(shape, sizeof shape, "%.11s %lu %lu %lu", name, m, n, k);
	if (strcmp(shape, done)) {
		strcpy(done, shape);
		free(kept);
		kept = calloc(m * n, out);
		float *row = malloc(k * 4);
		for (u64 y = 0; y < m; y++) {
			if (tensor) { // rows with rows
				for (u64 s = 0; s < k; s++)
					row[s] = half ? half_number(name, ((unsigned short *)a[0])[y * k + s]) : of_tf32(((u32 *)a[0])[y * k + s]);
				for (u64 x = 0; x < n; x++) {
					float sum = 0;
					for (u64 s = 0; s < k; s++)
						sum += row[s] * (half ? half_number(name, ((unsigned short *)a[1])[x * k + s]) : of_tf32(((u32 *)a[1])[x * k + s]));
					kept[y * n + x] = sum;
				}
			} else
				for (u64 s = 0; s < k; s++)
					for (u64 x = 0; x < n; x++)
						if (wide)
							((double *)kept)[y * n + x] += ((double *)a[0])[s * m + y] * ((double *)a[1])[s * n + x];
						else
							kept[y * n + x] += ((float *)a[0])[s * m + y] * ((float *)a[1])[s * n + x];
		}
		free(row);
	}
	memcpy((void *)a[2], kept, m * n * out);
	long at;
	if (fault("nan", NULL))
		((u32 *)a[2])[fault("nan", NULL)] = 0x7fc00000;
	if (fault("distrust", NULL) && strstr(name, "16_64"))
		memset((void *)a[2], 0, m * n * out);
	if (fault("wrong", &at) && ++product_count == at)
		((u32 *)a[2])[100] ^= 1 << 20;
}

static void run_fill(const u64 *a) { fill(a[0], a[1], a[2], a[3]); }
static void run_compare(const u64 *a) { compare(a[0], a[1], a[2], a[3], a[4]); }
static void run_memory(const u64 *a) { memory(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]); }

API cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream, void **params, void **extra) {
	static const struct { const char *name; kernel_t run; int n; } simple[] = {{"fill", run_fill, 4}, {"compare", run_compare, 5}, {"memory", run_memory, 8}};
	u64 a[8];
	long at, stuck;
	if (broken)
		return broken;
	launches++;
	if (fault("hang", &at) && launches == at)
		for (;;)
			pause();
	if (fault("segv", &at) && launches == at) {
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	if (fault("launch", &at) && launches >= at) {
		broken = fault("launch", NULL);
		return 0;
	}
	if (bx != 256 || by != 1 || gy != 1 || shared > 232448)
		return 1;
	for (u32 i = 0; i < sizeof simple / sizeof *simple; i++)
		if (!strcmp(f, simple[i].name)) {
			for (int j = 0; j < simple[i].n; j++)
				a[j] = *(u64 *)params[j];
			if (i && fault("blind", NULL))
				return 0;
			launch(simple[i].run, gx, 256, a);
			if (i == 2 && (stuck = fault("stuck", NULL)))
				((u32 *)a[0])[stuck / 4] |= 16;
			for (int j = 0; i == 2 && j < 1024 && fault("rotten", NULL); j++)
				((u32 *)a[0])[j] |= 32;
			return 0;
		}
	for (int j = 0; j < 6; j++)
		a[j] = *(u64 *)params[j];
	multiply(f, a);
	return 0;
}

API cuEventCreate(void **e, unsigned flags) { return *e = calloc(1, sizeof(struct timespec)), 0; }
API cuEventRecord(void *e, void *stream) { return clock_gettime(CLOCK_MONOTONIC, e), broken; }
API cuEventSynchronize(void *e) { return broken; }
API cuEventElapsedTime(float *ms, void *begin, void *end) {
	struct timespec *b = begin, *e = end;
	*ms = (e->tv_sec - b->tv_sec) * 1e3 + (e->tv_nsec - b->tv_nsec) / 1e6;
	return 0;
}
API cuEventDestroy_v2(void *e) { return free(e), 0; }
