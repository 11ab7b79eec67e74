// Sshd lets operators in over SSH: keys for root and bee, a password for bee
// where the policy has one, shells, commands, SFTP, port forwarding.
//
//	sshd [ADDRESS:PORT]
//
// The default is port 22 on every IPv4 and IPv6 address. It needs what
// sshsetup wrote to /run/bee/ssh, and /bin/sh and /bin/sftp-server. It listens
// and greets first, which may be before sshsetup is done, and waits for that; then
// it makes the host key (/run/bee/ssh/host_key), if this boot has none yet, and
// /run/bee/ssh-fingerprint, which it tells the log and the consoles.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/sshserver"
)

func main() {
	os.Exit(sshserver.ServerMain(os.Args[1:], os.Stderr))
}
