// Netup is the network service: DHCP, router advertisements or fixed addresses
// on every physical NIC, in the background, for ever. It reads the parameters
// bee.ip, bee.nic, bee.vlan and bee.hostname and writes /run/bee/net.json and
// /run/bee/resolv.conf.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/netup"
)

func main() {
	os.Exit(netup.Main(os.Stdout))
}
