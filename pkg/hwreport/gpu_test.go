package hwreport

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// eightGPUs is what nvmlreport says of a healthy server, as its own test made it.
func eightGPUs(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("../../cmds/standalone/nvmlreport/testdata/eight.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeNVML(t *testing.T) {
	good := eightGPUs(t)
	n, err := DecodeNVML(good)
	if err != nil || len(n.Devices.Or(nil)) != 8 {
		t.Fatalf("%v %+v", err, n)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "blank": []byte(" \n"), "cut off": good[:len(good)/2], "two": append(good[:len(good):len(good)], good...), "text": []byte("Segmentation fault"),
		"huge": []byte(`{"error":"` + strings.Repeat("x", NVMLMaxSize) + `"}`), "no field": []byte(`{"driver_version":"550"}`),
	} {
		if _, err := DecodeNVML(b); err == nil || !strings.Contains(err.Error(), "nvmlreport") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestXIDs(t *testing.T) {
	if k, ok := XIDOf(79); !ok || k.Severity != Failure || !strings.Contains(k.Meaning, "fallen off the bus") || k.Action != XIDPower {
		t.Errorf("%+v %v", k, ok)
	}
	if k, ok := XIDOf(31337); ok || k.Severity != Warning || !strings.Contains(k.Meaning, "31337") {
		t.Errorf("%+v %v", k, ok)
	}
	for n, k := range xids() {
		if k.Number != n || k.Meaning == "" || k.Action == "" || k.Severity == "" {
			t.Errorf("%d: %+v", n, k)
		}
	}
	for _, n := range []int64{13, 31, 32, 38, 43, 44, 45, 48, 54, 56, 57, 61, 62, 63, 64, 65, 68, 69, 74, 79, 92, 94, 95, 109, 110, 119, 120, 121, 122, 123, 137, 140, 143} {
		if _, ok := XIDOf(n); !ok {
			t.Errorf("%d is not in the table", n)
		}
	}
}

func TestThrottleWords(t *testing.T) {
	if got := strings.Join(ThrottleWords(0x1|0x40|1<<63), ", "); got != "idle, hardware-thermal, bit 63" {
		t.Error(got)
	}
	if got := ThrottleWords(0); got == nil || len(got) != 0 {
		t.Error(got)
	}
}

func FuzzDecodeNVML(f *testing.F) {
	f.Add(eightGPUs(f))
	f.Add([]byte(`{"devices":{"value":[{"index":1,"nvlinks":{"value":[{}]},"mig":{"value":{"enabled":true}}}]}}`))
	f.Add([]byte(`{"code":"ERROR_LIB_RM_VERSION_MISMATCH","error":"x"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeNVML(b)
		if err != nil {
			return
		}
		if _, err := json.Marshal(n); err != nil {
			t.Error(err)
		}
	})
}
