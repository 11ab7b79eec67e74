// The driver API of CUDA as far as gpuworker calls it: our own declarations, by
// the CUDA Driver API reference, of functions that are looked up when it runs.
#include <stddef.h>
#include <stdint.h>

typedef int cu_result;
typedef int cu_device;
typedef void *cu_handle; // of contexts, modules, functions, events, streams
typedef unsigned long long cu_address;

// X(name of the symbol, parameters)
#define BEE_CUDA(X) \
	X(cuInit, (unsigned int flags)) \
	X(cuDriverGetVersion, (int *version)) \
	X(cuGetErrorName, (cu_result e, const char **name)) \
	X(cuGetErrorString, (cu_result e, const char **text)) \
	X(cuDeviceGetByPCIBusId, (cu_device *d, const char *address)) \
	X(cuDeviceGetAttribute, (int *value, int attribute, cu_device d)) \
	X(cuDeviceGetName, (char *name, int size, cu_device d)) \
	X(cuDeviceGetUuid, (unsigned char *uuid, cu_device d)) \
	X(cuDeviceTotalMem_v2, (size_t *bytes, cu_device d)) \
	X(cuDevicePrimaryCtxRetain, (cu_handle *context, cu_device d)) \
	X(cuDevicePrimaryCtxRelease_v2, (cu_device d)) \
	X(cuCtxSetCurrent, (cu_handle context)) \
	X(cuCtxSynchronize, (void)) \
	X(cuModuleLoadDataEx, (cu_handle *module, const void *image, unsigned int n, int *options, void **values)) \
	X(cuModuleGetFunction, (cu_handle *function, cu_handle module, const char *name)) \
	X(cuFuncSetAttribute, (cu_handle function, int attribute, int value)) \
	X(cuMemGetInfo_v2, (size_t *free, size_t *total)) \
	X(cuMemAlloc_v2, (cu_address *at, size_t bytes)) \
	X(cuMemFree_v2, (cu_address at)) \
	X(cuMemAllocHost_v2, (void **at, size_t bytes)) \
	X(cuMemFreeHost, (void *at)) \
	X(cuMemsetD32_v2, (cu_address at, unsigned int word, size_t n)) \
	X(cuMemcpyHtoD_v2, (cu_address to, const void *from, size_t bytes)) \
	X(cuMemcpyDtoH_v2, (void *to, cu_address from, size_t bytes)) \
	X(cuMemcpyDtoD_v2, (cu_address to, cu_address from, size_t bytes)) \
	X(cuLaunchKernel, (cu_handle function, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz, \
	                   unsigned int shared, cu_handle stream, void **params, void **extra)) \
	X(cuEventCreate, (cu_handle *event, unsigned int flags)) \
	X(cuEventRecord, (cu_handle event, cu_handle stream)) \
	X(cuEventSynchronize, (cu_handle event)) \
	X(cuEventElapsedTime, (float *milliseconds, cu_handle begin, cu_handle end)) \
	X(cuEventDestroy_v2, (cu_handle event))

struct bee_cuda {
#define X(name, params) cu_result (*name) params;
	BEE_CUDA(X)
#undef X
};

// bee_cuda_open loads the library; it returns NULL, or what is wrong, which
// lies in message.
const char *bee_cuda_open(struct bee_cuda *c, const char *library, char *message, size_t size);

// What a call of C through a pointer needs, one each.
cu_result bee_init(struct bee_cuda *c);
cu_result bee_version(struct bee_cuda *c, int *version);
const char *bee_error_name(struct bee_cuda *c, cu_result e);
const char *bee_error_text(struct bee_cuda *c, cu_result e);
cu_result bee_device(struct bee_cuda *c, cu_device *d, const char *address);
cu_result bee_attribute(struct bee_cuda *c, int *value, int attribute, cu_device d);
cu_result bee_name(struct bee_cuda *c, char *name, int size, cu_device d);
cu_result bee_uuid(struct bee_cuda *c, unsigned char *uuid, cu_device d);
cu_result bee_total(struct bee_cuda *c, size_t *bytes, cu_device d);
cu_result bee_retain(struct bee_cuda *c, cu_handle *context, cu_device d);
cu_result bee_release(struct bee_cuda *c, cu_device d);
cu_result bee_current(struct bee_cuda *c, cu_handle context);
cu_result bee_sync(struct bee_cuda *c);
cu_result bee_module(struct bee_cuda *c, cu_handle *module, const char *ptx, char *log, size_t size);
cu_result bee_function(struct bee_cuda *c, cu_handle *function, cu_handle module, const char *name, unsigned int shared);
cu_result bee_info(struct bee_cuda *c, size_t *free, size_t *total);
cu_result bee_alloc(struct bee_cuda *c, cu_address *at, size_t bytes);
cu_result bee_free(struct bee_cuda *c, cu_address at);
cu_result bee_alloc_host(struct bee_cuda *c, void **at, size_t bytes);
cu_result bee_free_host(struct bee_cuda *c, void *at);
cu_result bee_set(struct bee_cuda *c, cu_address at, unsigned int word, size_t n);
cu_result bee_to_device(struct bee_cuda *c, cu_address to, const void *from, size_t bytes);
cu_result bee_from_device(struct bee_cuda *c, void *to, cu_address from, size_t bytes);
cu_result bee_copy(struct bee_cuda *c, cu_address to, cu_address from, size_t bytes);
cu_result bee_launch(struct bee_cuda *c, cu_handle function, unsigned int blocks, unsigned int threads, unsigned int shared, const uint64_t *params, unsigned int n);
cu_result bee_event(struct bee_cuda *c, cu_handle *event);
cu_result bee_record(struct bee_cuda *c, cu_handle event);
cu_result bee_elapsed(struct bee_cuda *c, float *milliseconds, cu_handle begin, cu_handle end);

// cuBLAS (cublas_v2.h), for comparison.
struct bee_cublas {
	cu_handle handle;
	int (*destroy)(cu_handle);
	int (*gemm)(cu_handle, int, int, int, int, int, const void *, const void *, int, int, const void *, int, int, const void *, void *, int, int, int, int);
};
const char *bee_cublas_open(struct bee_cublas *b, char *message, size_t size);
int bee_cublas_product(struct bee_cublas *b, int type, int compute, cu_address x, cu_address y, cu_address z, int m, int n, int k);
void bee_cublas_close(struct bee_cublas *b);
