package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// open is New without the lock: ids name the packages by digest, layers
// delivers their trees and is called only when the merged tree is not in the
// cache yet.
func open(ctx context.Context, cache string, ids []string, layers func(context.Context) ([]layer, error)) (*Sandbox, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return nil, fmt.Errorf("find cache: %w", err)
	}
	s := &Sandbox{tree: filepath.Join(cache, treeKey(ids))}
	if _, err := os.Stat(s.tree); err != nil {
		list, err := layers(ctx)
		if err != nil {
			return nil, err
		}
		if err := buildTree(ctx, s.tree, list); err != nil {
			return nil, err
		}
	}
	if s.helper, err = buildHelper(ctx, cache); err != nil {
		return nil, err
	}
	return s, s.check(ctx)
}
