package device

import (
	"testing"
	"unsafe"
)

// TestLayout holds the structures against what the ioctl numbers encode, which
// the kernel checks.
func TestLayout(t *testing.T) {
	if n := unsafe.Sizeof(request{}); n != sendCommand>>16&0x3fff {
		t.Errorf("struct ipmi_req has %d bytes", n)
	}
	if n := unsafe.Sizeof(response{}); n != receiveTrunc>>16&0x3fff {
		t.Errorf("struct ipmi_recv has %d bytes", n)
	}
	if n := unsafe.Sizeof(nvmeAdmin{}); n != nvmeAdminCmd>>16&0x3fff {
		t.Errorf("struct nvme_passthru_cmd has %d bytes", n)
	}
	if n := unsafe.Sizeof(sgIO{}); n != 88 { // scsi/sg.h on 64 bits
		t.Errorf("struct sg_io_hdr has %d bytes", n)
	}
}
