// Sftp-server speaks SFTP on its standard streams. sshd starts it as the
// session's user for OpenSSH's sftp and scp.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/sshserver"
)

func main() {
	os.Exit(sshserver.SFTPMain(os.Stdin, os.Stdout, os.Stderr))
}
