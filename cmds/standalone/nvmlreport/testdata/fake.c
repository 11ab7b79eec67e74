/* A libnvidia-ml of an old release: it has a dozen functions, and does what
 * FAKE_NVML names. Types as in nvml.h of NVIDIA's NVML API. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is(const char *what)
{
	const char *s = getenv("FAKE_NVML");
	return s && !strcmp(s, what);
}

int nvmlInit_v2(void)
{
	if (is("segfault"))
		*(volatile int *)0 = 1;
	if (is("abort"))
		abort();
	if (is("hang"))
		for (;;)
			pause();
	return is("mismatch") ? 18 : 0; /* NVML_ERROR_LIB_RM_VERSION_MISMATCH */
}

int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int r) { return r == 999 ? "Unknown Error" : "?"; }
int nvmlSystemGetNVMLVersion(char *s, unsigned n) { strncpy(s, "11.450.1", n); return 0; }
int nvmlSystemGetDriverVersion(char *s, unsigned n) { strncpy(s, "450.1", n); return 0; }
int nvmlDeviceGetCount_v2(unsigned *n) { *n = 2; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned i, void **d)
{
	*d = (void *)(size_t)(i + 1);
	return i ? 15 : 0; /* NVML_ERROR_GPU_IS_LOST */
}

struct pci {
	char legacy[16];
	unsigned domain, bus, device, id, subsystem;
	char address[32];
};

int nvmlDeviceGetPciInfo_v3(void *d, struct pci *p)
{
	memset(p, 0, sizeof *p);
	p->bus = 0x3b;
	return 0;
}

int nvmlDeviceGetPciInfo(void *d, struct pci *p) { return nvmlDeviceGetPciInfo_v3(d, p); }
int nvmlDeviceGetName(void *d, char *s, unsigned n) { strncpy(s, "Fake", n); return 0; }
int nvmlDeviceGetTemperature(void *d, int sensor, unsigned *t) { return 999; }
