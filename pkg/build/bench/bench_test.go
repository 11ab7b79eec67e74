package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestUsedRAM(t *testing.T) {
	const text = "MemTotal: 1000 kB\nMemFree: 500 kB\nMemAvailable: 1 kB\nBuffers: 10 kB\nCached: 100 kB\nShmem: 80 kB\nSReclaimable: 20 kB\n" +
		"Node 0, zone DMA\n  count: 5\n  high: 9\n  count: 10\n"
	got, err := usedRAM(text)
	if want := int64(1000-500-10-100-20+80)<<10 - 15*4096; got != want || err != nil {
		t.Errorf("usedRAM = %d, %v, want %d", got, err, want)
	}
	if _, err := usedRAM("MemTotal: 1 kB\n"); err == nil {
		t.Error("half a meminfo was taken")
	}
}

func TestBootTable(t *testing.T) {
	all := []subject{{name: "peer", initrd: "/no/such"}, {name: "bee", initrd: "/no/such", unpacked: 100 << 20}}
	samples := [][]sample{
		{{pid1: 2 * time.Second, banner: 3 * time.Second}, {pid1: 2 * time.Second, banner: 5 * time.Second}, {pid1: 2 * time.Second, banner: 4 * time.Second}},
		{{pid1: 2 * time.Second, banner: 6 * time.Second, audit: 7 * time.Second, used: 37 << 20}},
	}
	got := bootTable(all, samples)
	for _, want := range []string{"4.00 s  6.00 s (1.50)", "-       1.00 s", "37 MiB (0.20 of 185 allowed)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestPairedRatio(t *testing.T) {
	banners := func(all ...time.Duration) (s []sample) {
		for _, d := range all {
			s = append(s, sample{banner: d})
		}
		return s
	}
	// Ratios 1.0, 1.2 and 0.8: deviation 0.2, over the root of three 0.11547.
	mean, se := pairedRatio(banners(1, 6, 8), banners(1, 5, 10), func(s sample) time.Duration { return s.banner })
	if math.Abs(mean-1) > 1e-9 || math.Abs(se-0.11547005) > 1e-6 {
		t.Errorf("%v ± %v", mean, se)
	}
	if mean, se = pairedRatio(banners(3), banners(2), func(s sample) time.Duration { return s.banner }); mean != 1.5 || !math.IsNaN(se) {
		t.Errorf("of one round: %v ± %v", mean, se)
	}
}

func TestMedian(t *testing.T) {
	for want, v := range map[int64][]int64{0: nil, 1: {1}, 2: {9, 2, 1}, 3: {4, 3}} {
		var s []sample
		for _, x := range v {
			s = append(s, sample{used: x})
		}
		if got := medianOf(s, func(s sample) int64 { return s.used }); got != want {
			t.Errorf("median of %v = %d, want %d", v, got, want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var s []sample
	for _, x := range []int64{50, 10, 40, 20, 30} {
		s = append(s, sample{used: x})
	}
	for percent, want := range map[int]int64{0: 10, 20: 10, 25: 20, 50: 30, 100: 50} {
		if got := percentileOf(s, percent, func(s sample) int64 { return s.used }); got != want {
			t.Errorf("percentile %d is %d, want %d", percent, got, want)
		}
	}
	if got := percentileOf(nil, 20, nil); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}
