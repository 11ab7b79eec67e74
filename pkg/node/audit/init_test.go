package audit

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Limits of what one of our packages may do before main: every command of the
// image starts with the inits of all of them, PID 1's children included.
const (
	maxInitBytes  = 8 << 10
	maxInitAllocs = 150
)

// TestInitCost lets the runtime tell what each package of ours allocates at the
// start of the program (GODEBUG=inittrace=1, package runtime). Allocations are
// the same on every machine, which times are not.
func TestInitCost(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	line := regexp.MustCompile(`init (github\.com/bee-os/bee/\S+) @.* (\d+) bytes, (\d+) allocs`)
	seen := 0
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		seen++
		bytes, err1 := strconv.Atoi(m[2])
		allocs, err2 := strconv.Atoi(m[3])
		if err1 != nil || err2 != nil {
			t.Fatal(m)
		}
		if !strings.Contains(m[1], "_test") && (bytes > maxInitBytes || allocs > maxInitAllocs) {
			t.Errorf("%s allocates %d bytes in %d pieces at every start: make its tables when they are first asked for (sync.OnceValue)", m[1], bytes, allocs)
		}
	}
	if seen < 3 {
		t.Errorf("%d of our packages told:\n%s", seen, out)
	}
}
