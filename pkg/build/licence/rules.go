package licence

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"sync"
)

// sources are what decides which licence is found.
//
//go:embed *.go
var sources embed.FS

// Rules is a digest of this package's sources and of the library that knows the
// texts of licences: whoever keeps an answer keeps it for these.
var Rules = sync.OnceValue(func() string {
	h := sha256.New()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/google/licensecheck" {
				fmt.Fprintln(h, d.Path, d.Version, d.Sum)
			}
		}
	}
	names, err := fs.Glob(sources, "*.go")
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		var text []byte
		if text, err = fs.ReadFile(sources, name); err != nil {
			break
		}
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(text))
	}
	if err != nil {
		panic(fmt.Sprintf("read the sources that are in this program: %v", err)) // they are compiled in
	}
	return hex.EncodeToString(h.Sum(nil))
})
