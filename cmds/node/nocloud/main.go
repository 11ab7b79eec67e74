// Nocloud takes SSH keys and the host name from a NoCloud seed: a volume with
// the label cidata or CIDATA, vfat or ISO 9660, that holds the files meta-data
// and user-data (cloud-init's documentation, datasource NoCloud). It reads the
// parameter bee.nocloud, writes /run/bee/nocloud.json and
// /run/bee/ssh/authorized_keys.late, and ends a random SSH password where a key
// came. What else a seed asks for is named in the log and not done; nothing is
// fetched and nothing of a seed is run.
package main

import (
	"os"

	"github.com/bee-os/bee/pkg/node/nocloud"
)

func main() {
	os.Exit(nocloud.Main(os.Stdout))
}
