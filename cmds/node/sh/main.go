// Sh is the node's shell: POSIX commands and most of bash's, interactive with
// line editing, or a script's.
//
//	sh [-aefilnux] [-o OPTION] [-c COMMAND [NAME [ARG…]] | -s [ARG…] | FILE [ARG…]]
//
// A login shell (-l, or a name that begins with '-') reads /etc/profile and
// ~/.profile. It honours HOME, PATH, PS1, PS2, TERM.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/shell"
)

func main() {
	os.Exit(shell.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
