// Tail shows the end of files: tail [-N | -n [+]LINES | -c [+]BYTES] [-f]
// [-q | -v] [FILE…]; with -f also what is added to them. It ends with status 1
// where one cannot be read.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/excerpt"
)

func main() {
	os.Exit(excerpt.Tail(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
