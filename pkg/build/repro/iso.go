package repro

import (
	"fmt"

	"github.com/bee-os/bee/pkg/build/disk/iso9660"
)

func isISO(v view) bool { return iso9660.Is(v, v.size) }

// explainISO finds the smallest extent with the byte. What lies before the
// volume, or in a partition behind it, is for the partition table to explain.
func explainISO(x *explaining, a, b view, at int64) []string {
	var best *iso9660.Extent
	for _, e := range iso9660.Walk(a, a.size) {
		if at >= e.Start && at < e.End && (best == nil || e.End-e.Start < best.End-best.Start) {
			best = &e
		}
	}
	if best == nil {
		return nil
	}
	name := "ISO 9660: " + best.What
	switch {
	case best.Folder != nil:
		return []string{name, iso9660.Entry(best.Folder, int(at-best.Start)), plain(a, b, at)}
	case !best.Content:
		return []string{name, fmt.Sprintf("byte %d of it", at-best.Start), plain(a, b, at)}
	}
	size := best.End - best.Start
	inner := x.inside(a.part(best.Start, size), b.part(best.Start, size))
	return append([]string{name}, inner...)
}
