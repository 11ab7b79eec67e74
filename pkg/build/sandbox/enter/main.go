package enter

import (
	"fmt"
	"io"
	"strings"
)

// Main runs the step that env describes and returns its exit status: the
// program's own, 128 plus the signal that ended it, or FailedStatus with the
// reason written to stderr.
func Main(env []string, stderr io.Writer) int {
	status, err := run(env)
	if err != nil {
		fmt.Fprintf(stderr, "%s%v\n", Prefix, err)
		return FailedStatus
	}
	return status
}

func run(env []string) (int, error) {
	var text string
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, SpecEnv+"="); ok {
			text = v
		}
	}
	if text == "" {
		return 0, fmt.Errorf("read %s: it is not set; pkg/build/sandbox starts this program, not people", SpecEnv)
	}
	spec, err := parseSpec(text)
	if err != nil {
		return 0, err
	}
	if err := enterRoot(spec); err != nil {
		return 0, err
	}
	if err := dropPrivileges(spec.NetCap); err != nil {
		return 0, err
	}
	if spec.Check {
		return 0, nil
	}
	return supervise(spec)
}
