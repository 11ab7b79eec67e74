package kmod

import (
	"fmt"
	"strings"
)

// eachLine calls f for every line that is neither empty nor a comment, with
// its number counted from 1.
func eachLine(text string, f func(n int, line string) error) error {
	for n := 1; text != ""; n++ {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line, text = text[:i], text[i+1:]
		} else {
			text = ""
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(n, line); err != nil {
			return err
		}
	}
	return nil
}

// parseDep reads lines such as
//
//	kernel/drivers/net/virtio_net.ko.xz: kernel/net/core/failover.ko.xz
//
// A dependency that has no line of its own is refused: nothing could load it.
func (x *Index) parseDep(text string) error {
	lines := strings.Count(text, "\n") + 1
	x.modules = make([]module, 0, lines)
	x.byName = make(map[string]int, lines)
	err := eachLine(text, func(n int, line string) error {
		p, rest, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("line %d: no colon after the module's path", n)
		}
		name, ok := NameOf(p)
		if !ok {
			return fmt.Errorf("line %d: %q is not a module's file", n, p)
		}
		if _, dup := x.byName[name]; dup {
			return fmt.Errorf("line %d: module %s occurs twice", n, name)
		}
		m := module{name: name, path: p}
		for rest = strings.TrimLeft(rest, " \t"); rest != ""; rest = strings.TrimLeft(rest, " \t") {
			var d string
			if i := strings.IndexAny(rest, " \t"); i >= 0 {
				d, rest = rest[:i], rest[i:]
			} else {
				d, rest = rest, ""
			}
			dep, ok := NameOf(d)
			if !ok {
				return fmt.Errorf("line %d: %q is not a module's file", n, d)
			}
			m.deps = append(m.deps, dep)
		}
		x.byName[name] = len(x.modules)
		x.modules = append(x.modules, m)
		return nil
	})
	if err != nil {
		return err
	}
	for _, m := range x.modules {
		for _, d := range m.deps {
			if _, ok := x.byName[d]; !ok {
				return fmt.Errorf("module %s needs %s, which has no line", m.name, d)
			}
		}
	}
	return nil
}

// parseSoftdep reads lines such as
//
//	softdep ext4 pre: crypto-crc32c
//	softdep i915 pre: a b post: c
//
// Other kinds of line (weakdep) are passed over.
func (x *Index) parseSoftdep(text string) error {
	return eachLine(text, func(n int, line string) error {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != "softdep" {
			return nil
		}
		if len(f) < 2 {
			return fmt.Errorf("line %d: softdep names no module", n)
		}
		if x.soft == nil {
			x.soft = make(map[string]softdep)
		}
		name := Normalize(f[1])
		s := x.soft[name]
		pre, post := parseSoft(f[2:])
		s.pre, s.post = append(s.pre, pre...), append(s.post, post...)
		x.soft[name] = s
		return nil
	})
}

// parseSoft reads the words of a soft dependency: "pre: a b post: c".
func parseSoft(words []string) (pre, post []string) {
	var to *[]string
	for _, w := range words {
		switch {
		case w == "pre:":
			to = &pre
		case w == "post:":
			to = &post
		case to != nil:
			*to = append(*to, w)
		}
	}
	return pre, post
}

// parseBuiltin reads one path a line, such as kernel/fs/fuse/fuse.ko.
func (x *Index) parseBuiltin(text string) error {
	return eachLine(text, func(n int, line string) error {
		name, ok := NameOf(strings.TrimSpace(line))
		if !ok {
			return fmt.Errorf("line %d: %q is not a module's file", n, line)
		}
		if x.builtin == nil {
			x.builtin = make(map[string]bool, strings.Count(text, "\n")+1)
		}
		x.builtin[name] = true
		return nil
	})
}
