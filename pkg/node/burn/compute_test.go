package burn

import (
	"testing"
	"time"
)

func TestComputations(t *testing.T) {
	s := newScratch()
	for _, c := range append(computations(), computations()...) { // twice: nothing may be left behind
		begin := time.Now()
		if got := c.run(s); got != c.want {
			t.Errorf("{%q, 0x%016x}", c.name, got)
		}
		t.Logf("%s: %v", c.name, time.Since(begin))
	}
}
