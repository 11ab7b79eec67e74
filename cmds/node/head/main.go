// Head shows the beginning of files: head [-N | -n LINES | -c BYTES] [-q | -v]
// [FILE…]. It ends with status 1 where one cannot be read.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/excerpt"
)

func main() {
	os.Exit(excerpt.Head(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
