package bench

import (
	"fmt"
	"strings"
	"testing"
)

func TestAuditTable(t *testing.T) {
	var said strings.Builder
	said.WriteString("noise\n")
	for n := range auditRounds {
		for i := range audits {
			fmt.Fprintf(&said, "T %d 10.00 %.2f\n", i, 10+float64(i+1)/4+float64(n%3)/100)
		}
	}
	got, err := auditTable(said.String())
	if err != nil || !strings.Contains(got, "audit --json      0.26 s  (0.51 of lshw)") {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := auditTable("T 0 1 2\n"); err == nil {
		t.Error("too few times")
	}
	if _, err := auditTable("T 9 1 2\n"); err == nil {
		t.Error("a command that is none")
	}
}
