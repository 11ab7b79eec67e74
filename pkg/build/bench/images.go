package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// images times what makes images: the initramfs against other builders of one,
// fs-verity digests, and media against the writing of the same bytes.
func (b *bench) images(ctx context.Context) (string, error) {
	dir := filepath.Join(b.dir, "images")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	tables := []string{fmt.Sprintf("Images: medians of %d rounds, by turns, in one run. Load of the machine before it: %s.\n", b.rounds, load())}
	for _, part := range []func(context.Context, string) ([]string, error){b.initramfs, b.verity, b.media} {
		list, err := part(ctx, dir)
		if err != nil {
			return "", err
		}
		tables = append(tables, list...)
	}
	return strings.Join(tables, "\n"), nil
}

// load is the load average of the last minute: times taken on a busy machine say
// little.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown (" + err.Error() + ")"
	}
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
