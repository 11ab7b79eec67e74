package modload

import (
	"strings"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/kmod"
)

// Policy is what the kernel command line says about modules: bee's own
// parameters, and those that the kernel and modprobe(8) know.
type Policy struct {
	Extra     []string          // loaded although no device asks
	options   map[string]string // by normalized name
	blacklist map[string]bool
}

// NewPolicy reads the command line. module_blacklist= (kernel-parameters.txt),
// modprobe.blacklist= (modprobe(8)) and bee.blacklist= forbid a module;
// name.parameter=value and bee.module= set its parameters.
func NewPolicy(cmdline string, p bootparam.Params) Policy {
	out := Policy{options: make(map[string]string), blacklist: make(map[string]bool)}
	forbid := func(names []string) {
		for _, n := range names {
			if n != "" {
				out.blacklist[kmod.Normalize(n)] = true
			}
		}
	}
	forbid(p.Blacklist)
	for _, word := range bootparam.Split(cmdline) {
		if word == "--" {
			break
		}
		key, value, has := strings.Cut(word, "=")
		if has && (key == "module_blacklist" || key == "modprobe.blacklist") {
			forbid(strings.Split(value, ","))
			continue
		}
		module, param, dotted := strings.Cut(key, ".")
		if !dotted || module == "" || param == "" || module == "bee" || module == "modprobe" {
			continue
		}
		if has {
			param += "=" + quote(value)
		}
		out.add(module, param)
	}
	for _, m := range p.Modules {
		// NVIDIA's driver is loaded by its own service, from its own place:
		// bee.module= gives it options, and coldplug does not look for it.
		if name := kmod.Normalize(m.Name); name != "nvidia" && !strings.HasPrefix(name, "nvidia_") {
			out.Extra = append(out.Extra, name)
		}
		if m.Options != "" {
			out.add(m.Name, m.Options)
		}
	}
	return out
}

func (p Policy) add(module, option string) {
	module = kmod.Normalize(module)
	if have := p.options[module]; have != "" {
		option = have + " " + option
	}
	p.options[module] = option
}

// quote protects blanks as the kernel's parser wants it (lib/cmdline.c).
func quote(value string) string {
	if strings.ContainsAny(value, " \t") {
		return `"` + value + `"`
	}
	return value
}

// Forbidden says whether the module must not be loaded.
func (p Policy) Forbidden(name string) bool { return p.blacklist[kmod.Normalize(name)] }

// Options are the module's parameters as finit_module(2) takes them.
func (p Policy) Options(name string) string { return p.options[kmod.Normalize(name)] }
