package kernel

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// ConfigError lists the options that the kernel lacks.
type ConfigError struct {
	Kernel  string
	Missing []string // "CONFIG_X=y: the kernel has m. Why it is needed"
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("check the configuration of kernel %s: %d options are not as kernel-config/required*.config ask:\n  %s\n"+
		"pin a kernel that has them (bee.lock), or change required*.config if bee no longer needs them",
		e.Kernel, len(e.Missing), strings.Join(e.Missing, "\n  "))
}

// CheckConfig holds the kernel's configuration against the required options in
// the named files of fsys. Its error is a *ConfigError where the kernel lacks
// some.
func (k *Kernel) CheckConfig(fsys fs.FS, names ...string) error {
	config, err := os.ReadFile(k.Config)
	if err != nil {
		return fmt.Errorf("check kernel configuration: %w", err)
	}
	var all []string
	for _, name := range names {
		required, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("check kernel configuration: %w", err)
		}
		missing, err := compare(string(required), string(config))
		if err != nil {
			return fmt.Errorf("parse %s: %w", name, err)
		}
		all = append(all, missing...)
	}
	if len(all) > 0 {
		return &ConfigError{Kernel: k.Release, Missing: all}
	}
	return nil
}

// compare reads both files in the form of a .config (Documentation/kbuild/
// kconfig.rst). A required value is y, m (module or built in) or n (absent or
// off), or text that must be equal; what stands behind '#' on its line says
// why.
func compare(required, config string) (missing []string, err error) {
	has := make(map[string]string)
	for line := range strings.Lines(config) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && strings.HasPrefix(k, "CONFIG_") {
			has[k] = v
		}
	}
	n := 0
	for line := range strings.Lines(required) {
		n++
		rule, why, _ := strings.Cut(line, "#")
		if rule = strings.TrimSpace(rule); rule == "" {
			continue
		}
		option, want, ok := strings.Cut(rule, "=")
		if !ok || !strings.HasPrefix(option, "CONFIG_") || want == "" {
			return nil, fmt.Errorf("line %d: %q is not CONFIG_X=value", n, rule)
		}
		got := has[option]
		if got == "" {
			got = "n"
		}
		if got == want || want == "m" && got == "y" {
			continue
		}
		missing = append(missing, fmt.Sprintf("%s=%s: the kernel has %s.%s", option, want, got, strings.TrimRight(" "+strings.TrimSpace(why), " ")))
	}
	return missing, nil
}
