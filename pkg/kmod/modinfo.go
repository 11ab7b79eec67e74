package kmod

import "strings"

// Modinfo is what a module says of itself in its ELF section .modinfo (man 8
// modinfo), the fields that bee needs.
type Modinfo struct {
	Name     string
	Alias    []string // device patterns as in modules.alias
	Depends  []string // direct hard dependencies
	SoftPre  []string // wanted before it, where they exist
	SoftPost []string // wanted after it, where they exist
	Firmware []string // relative to /lib/firmware, may hold wildcards
	License  string
	Vermagic string // kernel release and build options
}

// ParseModinfo reads the NUL-separated key=value fields of a section .modinfo.
// What has no '=' is passed over, as the kernel does.
func ParseModinfo(b []byte) Modinfo {
	var m Modinfo
	for _, field := range strings.Split(string(b), "\x00") {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			continue
		}
		switch key {
		case "name":
			m.Name = Normalize(value)
		case "alias":
			m.Alias = append(m.Alias, value)
		case "depends":
			for _, d := range strings.Split(value, ",") {
				if d != "" {
					m.Depends = append(m.Depends, Normalize(d))
				}
			}
		case "softdep":
			pre, post := parseSoft(strings.Fields(value))
			m.SoftPre, m.SoftPost = append(m.SoftPre, pre...), append(m.SoftPost, post...)
		case "firmware":
			m.Firmware = append(m.Firmware, value)
		case "license":
			m.License = value
		case "vermagic":
			m.Vermagic = value
		}
	}
	return m
}
