package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
)

const netDir = "sys/class/net"

// network reads the interfaces that have hardware behind them (kernel:
// Documentation/ABI/testing/sysfs-class-net) and what the network service says
// of them.
func network(ctx context.Context, m Machine, out *hwreport.Network) ([]hwreport.Finding, error) {
	entries, err := names(m.Root, netDir)
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	state, stateErr := netstate.Read(m.Root)
	out.Hostname = text(m.Root, "proc/sys/kernel/hostname")
	out.InfiniBand = infiniband(m)
	var ids hwreport.IDs
	var physical []string
	for _, name := range entries {
		if exists(m, netDir+"/"+name+"/device") { // not lo, bridges, tunnels
			physical = append(physical, name)
		}
	}
	nics := make([]hwreport.NIC, len(physical))
	each(len(physical), 16, func(i int) {
		nics[i] = nic(m, physical[i])
		ethtoolNIC(ctx, m, &nics[i])
		psid(ctx, m, &nics[i])
		describe(&nics[i], state, stateErr, m.Now())
	}, func(i int, why string) {
		nics[i].Name = physical[i]
		hwreport.Fill(&nics[i], why)
	})
	slices.SortFunc(nics, func(a, b hwreport.NIC) int { return strings.Compare(a.Slot+a.Name, b.Slot+b.Name) })
	for i := range nics {
		nics[i].ID = ids.Unique(hwreport.ID("nic", nics[i].PermanentMAC.Or(nics[i].MAC.Or("")), nics[i].Slot))
	}
	if len(nics) == 0 {
		out.Interfaces = hwreport.Absent[[]hwreport.NIC]()
		return nil, nil
	}
	out.Interfaces = hwreport.Value(nics)
	return nicFindings(nics), nil
}

func nic(m Machine, name string) hwreport.NIC {
	dir := netDir + "/" + name
	n := hwreport.NIC{
		Name: name, Slot: slot(place(m.Root, dir), "net"), MAC: text(m.Root, dir+"/address"),
		Driver: target(m.Root, dir+"/device/driver"), Mbps: hwreport.Absent[int64](), Duplex: hwreport.Absent[string](),
		MTU: number(m.Root, dir+"/mtu"), NUMA: numaNode(m, dir+"/device/numa_node"),
		VFs: number(m.Root, dir+"/device/sriov_numvfs"), MaxVFs: number(m.Root, dir+"/device/sriov_totalvfs"),
	}
	n.Carrier = boolean(m.Root, dir+"/carrier")
	if n.Carrier.State() == hwreport.IsUnknown && text(m.Root, dir+"/operstate").Or("") == "down" {
		n.Carrier = hwreport.Value(false) // an interface that is down has none
	}
	if n.Carrier.Or(false) {
		if speed, ok := number(m.Root, dir+"/speed").Get(); ok && speed > 0 {
			n.Mbps = hwreport.Value(speed)
		}
		if d := text(m.Root, dir+"/duplex"); d.Or("unknown") != "unknown" {
			n.Duplex = d
		}
	}
	return n
}

// describe adds what the network service knows.
func describe(n *hwreport.NIC, state netstate.State, err error, now time.Time) {
	if err != nil {
		n.State, n.Addresses, n.Neighbours = why[string](err), why[[]string](err), hwreport.Unknown[[]hwreport.Neighbour]("no network service listens")
		if errors.Is(err, fs.ErrNotExist) {
			n.State, n.Addresses = hwreport.Unknown[string]("the network service has told nothing yet"), hwreport.Unknown[[]string]("the network service has told nothing yet")
		}
		return
	}
	n.State, n.Addresses, n.Neighbours = hwreport.Absent[string](), hwreport.Absent[[]string](), hwreport.Absent[[]hwreport.Neighbour]()
	for _, i := range state.Interfaces {
		if i.Name != n.Name {
			continue
		}
		n.State = some(string(i.State))
		n.Neighbours = neighbours(i, now)
		var list []string
		for _, a := range i.Addresses {
			list = append(list, a.String())
		}
		if list != nil {
			n.Addresses = hwreport.Value(list)
		}
	}
}

func nicFindings(nics []hwreport.NIC) []hwreport.Finding {
	var found []hwreport.Finding
	carrier := false
	macs := make(map[string]string)
	for _, n := range nics {
		carrier = carrier || n.Carrier.Or(false)
		if mac, ok := n.PermanentMAC.Get(); ok {
			if other, twice := macs[mac]; twice {
				found = append(found, hwreport.NewFinding(hwreport.Warning, "network.duplicate-mac", n.ID, n.Name+" and "+other+" have the same address",
					hwreport.Evidence{Source: netDir + "/" + n.Name + "/address", Value: mac}))
			}
			macs[mac] = n.Name
		}
		if now, most := n.Mbps.Or(0), n.MaxMbps.Or(0); now > 0 && now < most {
			found = append(found, hwreport.NewFinding(hwreport.Info, "network.slow-link", n.ID, fmt.Sprintf("%s runs at %d Mbit/s, can %d", n.Name, now, most),
				hwreport.Evidence{Source: netDir + "/" + n.Name + "/speed", Value: fmt.Sprint(now)}))
		}
		if n.Duplex.Or("") == "half" {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "network.half-duplex", n.ID, n.Name+" runs at half duplex",
				hwreport.Evidence{Source: netDir + "/" + n.Name + "/duplex", Value: "half"}))
		}
		if t, ok := n.Transceiver.Get(); ok && len(t.Alarms) > 0 {
			found = append(found, hwreport.NewFinding(hwreport.Warning, "network.transceiver-alarm", n.ID, n.Name+": the transceiver alarms: "+strings.Join(t.Alarms, ", "),
				hwreport.Evidence{Source: t.Standard, Value: strings.Join(t.Alarms, ", ")}))
		}
		if n.Carrier.Or(false) && n.Addresses.State() != hwreport.IsUnknown && !routable(n.Addresses.Or(nil)) {
			found = append(found, hwreport.NewFinding(hwreport.Info, "network.no-address", n.ID, n.Name+" has carrier and no address beyond link-local yet",
				hwreport.Evidence{Source: netstate.Path, Value: n.State.String()}))
		}
	}
	if !carrier {
		found = append(found, hwreport.NewFinding(hwreport.Warning, "network.no-carrier", "", "no network interface has carrier: is a cable plugged in?",
			hwreport.Evidence{Source: netDir, Value: fmt.Sprintf("%d interfaces", len(nics))}))
	}
	return found
}

func routable(addrs []string) bool {
	return slices.ContainsFunc(addrs, func(a string) bool { return !strings.HasPrefix(a, "fe80:") && !strings.HasPrefix(a, "169.254.") })
}
