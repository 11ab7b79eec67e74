//go:build cgo && linux

#include "shim.h"

#include <dlfcn.h>
#include <stdio.h>

#define MAX_PARAMS 8

// Numbers of cuda.h.
#define CU_JIT_ERROR_LOG_BUFFER 5
#define CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES 6
#define CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES 8

const char *bee_cuda_open(struct bee_cuda *c, const char *library, char *message, size_t size) {
	void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(message, size, "load %s: %s", library, dlerror());
		return message;
	}
#define X(name, params) \
	if (!(c->name = (cu_result(*) params)dlsym(lib, #name))) { \
		snprintf(message, size, "load %s: it has no %s", library, #name); \
		return message; \
	}
	BEE_CUDA(X)
#undef X
	return NULL;
}

cu_result bee_init(struct bee_cuda *c) { return c->cuInit(0); }
cu_result bee_version(struct bee_cuda *c, int *version) { return c->cuDriverGetVersion(version); }
const char *bee_error_name(struct bee_cuda *c, cu_result e) {
	const char *s = NULL;
	return c->cuGetErrorName(e, &s) || !s ? "unknown" : s;
}
const char *bee_error_text(struct bee_cuda *c, cu_result e) {
	const char *s = NULL;
	return c->cuGetErrorString(e, &s) || !s ? "unknown" : s;
}
cu_result bee_device(struct bee_cuda *c, cu_device *d, const char *address) { return c->cuDeviceGetByPCIBusId(d, address); }
cu_result bee_attribute(struct bee_cuda *c, int *value, int attribute, cu_device d) { return c->cuDeviceGetAttribute(value, attribute, d); }
cu_result bee_name(struct bee_cuda *c, char *name, int size, cu_device d) { return c->cuDeviceGetName(name, size, d); }
cu_result bee_uuid(struct bee_cuda *c, unsigned char *uuid, cu_device d) { return c->cuDeviceGetUuid(uuid, d); }
cu_result bee_total(struct bee_cuda *c, size_t *bytes, cu_device d) { return c->cuDeviceTotalMem_v2(bytes, d); }
cu_result bee_retain(struct bee_cuda *c, cu_handle *context, cu_device d) { return c->cuDevicePrimaryCtxRetain(context, d); }
cu_result bee_release(struct bee_cuda *c, cu_device d) { return c->cuDevicePrimaryCtxRelease_v2(d); }
cu_result bee_current(struct bee_cuda *c, cu_handle context) { return c->cuCtxSetCurrent(context); }
cu_result bee_sync(struct bee_cuda *c) { return c->cuCtxSynchronize(); }

cu_result bee_module(struct bee_cuda *c, cu_handle *module, const char *ptx, char *log, size_t size) {
	int options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
	void *values[] = {log, (void *)(uintptr_t)(size - 1)};
	log[0] = log[size - 1] = 0;
	return c->cuModuleLoadDataEx(module, ptx, 2, options, values);
}

cu_result bee_function(struct bee_cuda *c, cu_handle *function, cu_handle module, const char *name, unsigned int shared) {
	cu_result e = c->cuModuleGetFunction(function, module, name);
	if (!e && shared)
		e = c->cuFuncSetAttribute(*function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared);
	return e;
}

cu_result bee_info(struct bee_cuda *c, size_t *free, size_t *total) { return c->cuMemGetInfo_v2(free, total); }
cu_result bee_alloc(struct bee_cuda *c, cu_address *at, size_t bytes) { return c->cuMemAlloc_v2(at, bytes); }
cu_result bee_free(struct bee_cuda *c, cu_address at) { return c->cuMemFree_v2(at); }
cu_result bee_alloc_host(struct bee_cuda *c, void **at, size_t bytes) { return c->cuMemAllocHost_v2(at, bytes); }
cu_result bee_free_host(struct bee_cuda *c, void *at) { return c->cuMemFreeHost(at); }
cu_result bee_set(struct bee_cuda *c, cu_address at, unsigned int word, size_t n) { return c->cuMemsetD32_v2(at, word, n); }
cu_result bee_to_device(struct bee_cuda *c, cu_address to, const void *from, size_t bytes) { return c->cuMemcpyHtoD_v2(to, from, bytes); }
cu_result bee_from_device(struct bee_cuda *c, void *to, cu_address from, size_t bytes) { return c->cuMemcpyDtoH_v2(to, from, bytes); }
cu_result bee_copy(struct bee_cuda *c, cu_address to, cu_address from, size_t bytes) { return c->cuMemcpyDtoD_v2(to, from, bytes); }

cu_result bee_launch(struct bee_cuda *c, cu_handle function, unsigned int blocks, unsigned int threads, unsigned int shared, const uint64_t *params, unsigned int n) {
	void *at[MAX_PARAMS];
	for (unsigned int i = 0; i < n && i < MAX_PARAMS; i++)
		at[i] = (void *)&params[i];
	return c->cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, NULL, at, NULL);
}

cu_result bee_event(struct bee_cuda *c, cu_handle *event) { return c->cuEventCreate(event, 0); }
cu_result bee_record(struct bee_cuda *c, cu_handle event) { return c->cuEventRecord(event, NULL); }
cu_result bee_elapsed(struct bee_cuda *c, float *milliseconds, cu_handle begin, cu_handle end) {
	cu_result e = c->cuEventSynchronize(end);
	return e ? e : c->cuEventElapsedTime(milliseconds, begin, end);
}

const char *bee_cublas_open(struct bee_cublas *b, char *message, size_t size) {
	static const char *names[] = {"libcublas.so.12", "libcublas.so.13", "libcublas.so.11"};
	void *lib = NULL;
	for (size_t i = 0; i < sizeof names / sizeof *names && !lib; i++)
		lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(message, size, "load libcublas.so.12, .13 or .11: %s", dlerror());
		return message;
	}
	int (*create)(cu_handle *) = (int (*)(cu_handle *))dlsym(lib, "cublasCreate_v2");
	*(void **)&b->destroy = dlsym(lib, "cublasDestroy_v2");
	*(void **)&b->gemm = dlsym(lib, "cublasGemmEx");
	if (!create || !b->destroy || !b->gemm) {
		snprintf(message, size, "load libcublas: it lacks cublasCreate_v2, cublasDestroy_v2 or cublasGemmEx");
		return message;
	}
	int e = create(&b->handle);
	if (e) {
		snprintf(message, size, "cublasCreate: status %d", e);
		return message;
	}
	return NULL;
}

// bee_cublas_product makes z = x·yᵀ of row-major matrices, which cuBLAS, whose
// matrices are column-major, sees as zᵀ = y·xᵀ.
int bee_cublas_product(struct bee_cublas *b, int type, int compute, cu_address x, cu_address y, cu_address z, int m, int n, int k) {
	const float one = 1, zero = 0;
	return b->gemm(b->handle, 1, 0, n, m, k, &one, (void *)(uintptr_t)y, type, k, (void *)(uintptr_t)x, type, k, &zero, (void *)(uintptr_t)z, 0 /* CUDA_R_32F */, n, compute, -1 /* CUBLAS_GEMM_DEFAULT */);
}

void bee_cublas_close(struct bee_cublas *b) { b->destroy(b->handle); }
