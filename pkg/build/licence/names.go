package licence

import (
	"regexp"
	"strings"
)

// names are short names that mean one licence for sure: those that Debian's
// specification defines (section "Short name"), and ids of SPDX under which
// packages file the same text. Lower case. MIT is not among them, it names
// several: the text decides.
var names = map[string]string{
	"agpl-3.0":           "AGPL-3.0-only",
	"apache-1.1":         "Apache-1.1",
	"apache-2":           "Apache-2.0",
	"apache-2.0":         "Apache-2.0",
	"artistic-1.0":       "Artistic-1.0",
	"artistic-2":         "Artistic-2.0",
	"artistic-2.0":       "Artistic-2.0",
	"boost-1.0":          "BSL-1.0",
	"bsl-1.0":            "BSL-1.0",
	"bsd-2-clause":       "BSD-2-Clause",
	"bsd-3-clause":       "BSD-3-Clause",
	"bsd-4-clause":       "BSD-4-Clause",
	"0bsd":               "0BSD",
	"cc0":                "CC0-1.0",
	"cc0-1.0":            "CC0-1.0",
	"cc-by-3.0":          "CC-BY-3.0",
	"cc-by-4.0":          "CC-BY-4.0",
	"cc-by-sa-3.0":       "CC-BY-SA-3.0",
	"cc-by-sa-4.0":       "CC-BY-SA-4.0",
	"cddl-1.0":           "CDDL-1.0",
	"expat":              "MIT",
	"isc":                "ISC",
	"mit-0":              "MIT-0",
	"mpl-1.1":            "MPL-1.1",
	"mpl-2.0":            "MPL-2.0",
	"openldap-2.8":       "OLDAP-2.8",
	"psf-2":              "PSF-2.0",
	"unlicense":          "Unlicense",
	"zlib":               "Zlib",
	"gfdl-niv-1.2":       "GFDL-1.2-no-invariants-only",
	"gfdl-niv-1.2+":      "GFDL-1.2-no-invariants-or-later",
	"gfdl-niv-1.3":       "GFDL-1.3-no-invariants-only",
	"gfdl-niv-1.3+":      "GFDL-1.3-no-invariants-or-later",
	"bsd-2-clause-views": "BSD-2-Clause-Views",
	"bsd-1-clause":       "BSD-1-Clause",
}

// gnu matches GPL-2, GPL-2+, LGPL-2.1-or-later and the like.
var gnu = regexp.MustCompile(`^(a?gpl|lgpl)-v?([123](?:\.[01])?)(\+|-or-later|-only)?$`)

// gnuIDs are the versions that exist.
var gnuIDs = map[string]string{
	"gpl-1": "GPL-1.0", "gpl-1.0": "GPL-1.0", "gpl-2": "GPL-2.0", "gpl-2.0": "GPL-2.0", "gpl-3": "GPL-3.0", "gpl-3.0": "GPL-3.0",
	"lgpl-2": "LGPL-2.0", "lgpl-2.0": "LGPL-2.0", "lgpl-2.1": "LGPL-2.1", "lgpl-3": "LGPL-3.0", "lgpl-3.0": "LGPL-3.0",
	"agpl-3": "AGPL-3.0", "agpl-3.0": "AGPL-3.0",
}

// exceptions are the additions to a licence of which SPDX lists the very one
// (annex D.4), by what packages call them between "with" and
// "exception".
var exceptions = map[string]string{
	"linux-syscall-note": "Linux-syscall-note",
	"gcc-exception-3.1":  "GCC-exception-3.1",
	"autoconf":           "Autoconf-exception-generic",
	"classpath":          "Classpath-exception-2.0",
	"llvm":               "LLVM-exception",
	"libtool":            "Libtool-exception",
	"bison":              "Bison-exception-2.2",
	"font":               "Font-exception-2.0",
	"gcc-runtime":        "GCC-exception-3.1",
}

// byName is the SPDX id that a short name stands for.
func byName(name string) (string, bool) {
	lower := strings.ToLower(strings.TrimSpace(name))
	base, exception, with := strings.Cut(lower, " with ")
	if with {
		id, ok := byName(base)
		exception = strings.TrimSuffix(strings.ReplaceAll(strings.TrimSpace(exception), " ", "-"), "-exception")
		e, listed := exceptions[exception]
		if !ok || !listed {
			return "", false
		}
		return id + " WITH " + e, true
	}
	if id, ok := names[lower]; ok {
		return id, true
	}
	m := gnu.FindStringSubmatch(lower)
	if m == nil {
		return "", false
	}
	id, ok := gnuIDs[m[1]+"-"+m[2]]
	if !ok {
		return "", false
	}
	if m[3] == "+" || m[3] == "-or-later" {
		return id + "-or-later", true
	}
	return id + "-only", true
}
