// Sshsetup makes, once a boot and before sshd lets anybody in, the list of
// authorised keys and the password policy.
//
// It reads /etc/bee/authorized_keys and the kernel parameters bee.ssh_key and
// bee.password_hash, and writes /run/bee/ssh/ (0700). The random password that it
// makes where there is neither key nor hash goes to /dev/console and, for the
// console's screen, to /run/bee/ssh/console-password (0600, in RAM); never to a
// log.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/sshserver"
)

func main() {
	os.Exit(sshserver.SetupMain(os.Stderr))
}
