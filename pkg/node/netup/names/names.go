// Package names decides which names from the network are believed: what passes
// is safe to set as a host name and to write to resolv.conf(5).
package names

import (
	"net/netip"
	"slices"
	"strings"
)

// maxDomain is the longest domain name in characters (RFC 1035 section 2.3.4).
const maxDomain = 253

// MaxSearch is how many search domains are kept.
const MaxSearch = 16

// HostLabel is the first label of a host name in lower case if it is one by
// RFC 1123 that can stand as a machine's name, else "". "localhost", addresses
// and bare numbers are none.
func HostLabel(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	label, _, _ := strings.Cut(strings.ToLower(name), ".")
	if !isLabel(label) || label == "localhost" || strings.Trim(label, "0123456789") == "" {
		return ""
	}
	return label
}

// AppendSearch appends those of the names that are domain names and not yet in
// the list, in lower case and without the final dot.
func AppendSearch(list []string, names ...string) []string {
	for _, name := range names {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		if isDomain(name) && len(list) < MaxSearch && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

func isDomain(name string) bool {
	if len(name) == 0 || len(name) > maxDomain {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !isLabel(strings.ReplaceAll(label, "_", "a")) { // Active Directory has _msdcs
			return false
		}
	}
	return true
}

func isLabel(label string) bool {
	if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for _, c := range []byte(label) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
