package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// Files of the SSH setup, below the root.
const (
	fingerprintPath = "run/bee/ssh-fingerprint"
	passwordPath    = "run/bee/ssh/console-password"
)

// Facts is what the screen tells.
type Facts struct {
	Hostname    string
	Image       string // "bee 0.1.0 server, kernel 6.12.1"
	Addresses   []string
	Best        netip.Addr // the address to come to; invalid: none
	Fingerprint string
	Password    string // of this boot, for the console alone
	Services    []control.Status
	Report      *hwreport.Report // nil: not yet
	Problems    []string         // what could not be learnt
}

// Gather reads the facts below root. A file that is not there yet is no
// problem.
func Gather(root fs.FS, services []control.Status, err error) Facts {
	f := Facts{Services: services, Hostname: "bee", Image: "bee"}
	problem := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Problems = append(f.Problems, err.Error())
		}
	}
	problem(err)
	if b, err := bom.ReadHead(root); err != nil {
		problem(err)
	} else {
		f.Image = fmt.Sprintf("bee %s %s, kernel %s", b.Version, b.Variant, b.Kernel)
	}
	st, err := netstate.Read(root)
	problem(err)
	if st.Hostname != "" {
		f.Hostname = st.Hostname
	}
	for _, i := range st.Interfaces {
		var list []string
		for _, a := range i.Addresses {
			list = append(list, a.String())
			if better(a.Addr(), f.Best) {
				f.Best = a.Addr()
			}
		}
		word := strings.Join(list, " ")
		if len(list) == 0 || i.State != "bound" && i.State != "static" {
			word = strings.TrimSpace(word + " (" + i.State + ")")
		}
		f.Addresses = append(f.Addresses, i.Name+" "+word)
	}
	f.Fingerprint = line(root, fingerprintPath, problem)
	f.Password = line(root, passwordPath, problem)
	text, err := fs.ReadFile(root, hwreport.Path)
	problem(err)
	if err == nil {
		f.Report, err = hwreport.Decode(text)
		problem(err)
	}
	return f
}

func line(root fs.FS, name string, problem func(error)) string {
	b, err := fs.ReadFile(root, name)
	problem(err)
	return strings.TrimSpace(string(b))
}

// better says that an address is easier to come to: IPv4, then IPv6, then
// link-local.
func better(a, than netip.Addr) bool {
	rank := func(x netip.Addr) int {
		switch {
		case !x.IsValid() || x.IsLoopback():
			return 0
		case x.IsLinkLocalUnicast():
			return 1
		case x.Is6():
			return 2
		}
		return 3
	}
	return rank(a) > rank(than)
}
