package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/sff"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
)

// Commands and sizes of linux/ethtool.h.
const (
	ethtoolDriver   = 0x03
	ethtoolPermAddr = 0x20
	ethtoolModule   = 0x42
	ethtoolEEPROM   = 0x43
	ethtoolLink     = 0x4c

	linkHeader = 48 // struct ethtool_link_settings without its masks
	maskWords  = 4  // of kernel 6.12; another is asked for once more
)

// ethtoolNIC asks an interface's driver.
func ethtoolNIC(ctx context.Context, m Machine, n *hwreport.NIC) {
	ask := func(reply int, command uint32, words ...uint32) ([]byte, error) {
		b, err := m.Ask.Ask(ctx, device.EthtoolCommand(n.Name, reply, command, words...))
		if err == nil && len(b) < reply {
			err = fmt.Errorf("ethtool command %#x: %d bytes where %d were expected", command, len(b), reply)
		}
		return b, err
	}
	if b, err := ask(196, ethtoolDriver); err != nil {
		n.DriverVersion, n.Firmware = hwreport.Unknown[string](err.Error()), hwreport.Unknown[string](err.Error())
	} else {
		n.DriverVersion, n.Firmware = cstring(b[36:68]), cstring(b[68:100])
		if strings.EqualFold(n.Firmware.Or(""), "N/A") {
			n.Firmware = hwreport.Absent[string]()
		}
	}
	switch b, err := ask(40, ethtoolPermAddr, 32); {
	case err == nil && binary.NativeEndian.Uint32(b[4:]) == 6 && strings.Trim(string(b[8:14]), "\x00") != "":
		n.PermanentMAC = hwreport.Value(fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[8], b[9], b[10], b[11], b[12], b[13]))
	case text(m.Root, netDir+"/"+n.Name+"/addr_assign_type").Or("") == "0": // NET_ADDR_PERM
		n.PermanentMAC = n.MAC
	case err != nil:
		n.PermanentMAC = hwreport.Unknown[string](err.Error())
	default:
		n.PermanentMAC = hwreport.Absent[string]()
	}
	linkModes(ask, n)
	n.Transceiver = transceiver(ask, n.Port.Or(""))
}

func cstring(b []byte) hwreport.Field[string] {
	s, _, _ := strings.Cut(string(b), "\x00")
	return some(strings.TrimSpace(s))
}

// ports are the PORT_ numbers of linux/ethtool.h.
var ports = sync.OnceValue(func() map[byte]string {
	return map[byte]string{0: "twisted pair", 1: "AUI", 2: "MII", 3: "fibre", 4: "BNC", 5: "direct attach", 0xef: "none", 0xff: "other"}
})

func linkModes(ask func(reply int, command uint32, words ...uint32) ([]byte, error), n *hwreport.NIC) {
	get := func(words int) ([]byte, error) {
		return ask(linkHeader+3*4*words, ethtoolLink, 0, 0, uint32(uint8(int8(words)))<<24)
	}
	words := maskWords
	b, err := get(words)
	if err == nil {
		if real := int(int8(b[15])); real < 0 && real > -32 { // the kernel has another number of words
			words = -real
			b, err = get(words)
		}
	}
	if err == nil && int(int8(b[15])) != words {
		err = errors.New("the kernel's link modes have another size")
	}
	if err != nil {
		n.Modes, n.PeerModes, n.MaxMbps = noLink[[]string](err), noLink[[]string](err), noLink[int64](err)
		n.Port, n.Autoneg = noLink[string](err), noLink[bool](err)
		return
	}
	n.Port, n.Autoneg = some(ports()[b[9]]), hwreport.Value(b[11] == 1)
	supported, _ := modeNames(b[linkHeader:], words)
	peer, _ := modeNames(b[linkHeader+8*words:], words)
	n.Modes, n.PeerModes, n.MaxMbps = hwreport.Absent[[]string](), hwreport.Absent[[]string](), hwreport.Absent[int64]()
	if supported != nil {
		n.Modes = hwreport.Value(supported)
		if most := fastestMode(supported); most > 0 {
			n.MaxMbps = hwreport.Value(most)
		}
	}
	if peer != nil {
		n.PeerModes = hwreport.Value(peer)
	}
}

// noLink makes a Field of an ethtool error: a driver without link settings is
// one of a virtual interface.
func noLink[T any](err error) hwreport.Field[T] {
	if strings.Contains(err.Error(), "operation not supported") {
		return hwreport.Absent[T]()
	}
	return hwreport.Unknown[T](err.Error())
}

func modeNames(b []byte, words int) (names []string, other int) {
	for bit := range words * 32 {
		if binary.NativeEndian.Uint32(b[bit/32*4:])>>(bit%32)&1 == 0 {
			continue
		}
		if bit < len(linkModeNames) && linkModeNames[bit] != "" {
			names = append(names, linkModeNames[bit])
		} else {
			other++
		}
	}
	return names, other
}

// fastestMode is the highest speed that a mode's name begins with.
func fastestMode(names []string) (most int64) {
	for _, n := range names {
		digits, _, ok := strings.Cut(n, "base")
		if v, err := strconv.ParseInt(digits, 10, 64); ok && err == nil {
			most = max(most, v)
		}
	}
	return most
}

// linkModeNames are the bits of enum ethtool_link_mode_bit_indices (linux/
// ethtool.h); those that are no speed are empty.
var linkModeNames = [...]string{
	"10baseT/Half", "10baseT/Full", "100baseT/Half", "100baseT/Full", "1000baseT/Half", "1000baseT/Full", "", "", "", "", "", "", "10000baseT/Full", "", "", "2500baseX/Full",
	"", "1000baseKX/Full", "10000baseKX4/Full", "10000baseKR/Full", "10000baseR_FEC", "20000baseMLD2/Full", "20000baseKR2/Full", "40000baseKR4/Full", "40000baseCR4/Full",
	"40000baseSR4/Full", "40000baseLR4/Full", "56000baseKR4/Full", "56000baseCR4/Full", "56000baseSR4/Full", "56000baseLR4/Full", "25000baseCR/Full", "25000baseKR/Full",
	"25000baseSR/Full", "50000baseCR2/Full", "50000baseKR2/Full", "100000baseKR4/Full", "100000baseSR4/Full", "100000baseCR4/Full", "100000baseLR4_ER4/Full", "50000baseSR2/Full",
	"1000baseX/Full", "10000baseCR/Full", "10000baseSR/Full", "10000baseLR/Full", "10000baseLRM/Full", "10000baseER/Full", "2500baseT/Full", "5000baseT/Full", "", "", "",
	"50000baseKR/Full", "50000baseSR/Full", "50000baseCR/Full", "50000baseLR_ER_FR/Full", "50000baseDR/Full", "100000baseKR2/Full", "100000baseSR2/Full", "100000baseCR2/Full",
	"100000baseLR2_ER2_FR2/Full", "100000baseDR2/Full", "200000baseKR4/Full", "200000baseSR4/Full", "200000baseLR4_ER4_FR4/Full", "200000baseDR4/Full", "200000baseCR4/Full",
	"100baseT1/Full", "1000baseT1/Full", "400000baseKR8/Full", "400000baseSR8/Full", "400000baseLR8_ER8_FR8/Full", "400000baseDR8/Full", "400000baseCR8/Full", "",
	"100000baseKR/Full", "100000baseSR/Full", "100000baseLR_ER_FR/Full", "100000baseCR/Full", "100000baseDR/Full", "200000baseKR2/Full", "200000baseSR2/Full",
	"200000baseLR2_ER2_FR2/Full", "200000baseDR2/Full", "200000baseCR2/Full", "400000baseKR4/Full", "400000baseSR4/Full", "400000baseLR4_ER4_FR4/Full", "400000baseDR4/Full",
	"400000baseCR4/Full", "100baseFX/Half", "100baseFX/Full", "10baseT1L/Full", "800000baseCR8/Full", "800000baseKR8/Full", "800000baseDR8/Full", "800000baseDR8_2/Full",
	"800000baseSR8/Full", "800000baseVR8/Full", "10baseT1S/Full", "10baseT1S/Half", "10baseT1S_P2MP/Half", "10baseT1BRR/Full",
}

// maxEEPROM bounds what is read of a module, bytes.
const maxEEPROM = 640

func transceiver(ask func(reply int, command uint32, words ...uint32) ([]byte, error), port string) hwreport.Field[hwreport.Transceiver] {
	b, err := ask(44, ethtoolModule)
	if err != nil {
		if strings.Contains(err.Error(), "operation not supported") || strings.Contains(err.Error(), "not permitted on this port") || port == "twisted pair" {
			return hwreport.Absent[hwreport.Transceiver]()
		}
		return hwreport.Unknown[hwreport.Transceiver](err.Error())
	}
	size := min(binary.NativeEndian.Uint32(b[8:]), maxEEPROM)
	b, err = ask(16+int(size), ethtoolEEPROM, 0, 0, size)
	if err != nil {
		return hwreport.Unknown[hwreport.Transceiver](err.Error())
	}
	s, err := sff.Parse(b[16:])
	if errors.Is(err, sff.ErrEmpty) {
		return hwreport.Absent[hwreport.Transceiver]()
	}
	if err != nil {
		return hwreport.Unknown[hwreport.Transceiver](err.Error())
	}
	t := hwreport.Transceiver{Kind: s.Kind, Standard: s.Standard, Vendor: s.Vendor, OUI: s.OUI, Part: s.Part, Revision: s.Revision, Serial: s.Serial, Date: s.Date, Connector: s.Connector,
		Nanometres: hwreport.Absent[float64](), Mbps: absentZero64(uint64(s.Mbps)), Celsius: hwreport.Absent[float64](), Volts: hwreport.Absent[float64](), Lanes: hwreport.Absent[[]hwreport.LaneLevel](),
		Alarms: append([]string{}, s.Alarms...)}
	if s.Nanometres > 0 {
		t.Nanometres = hwreport.Value(s.Nanometres)
	}
	if s.ChecksumWrong {
		t.Alarms = append(t.Alarms, "checksum of its memory")
	}
	if s.Monitored {
		t.Celsius, t.Volts = hwreport.Value(s.Celsius), hwreport.Value(s.Volts)
		lanes := []hwreport.LaneLevel{}
		for i := range s.BiasMA {
			lanes = append(lanes, hwreport.LaneLevel{BiasMA: s.BiasMA[i], TxMW: s.TxMW[i], RxMW: s.RxMW[i]})
		}
		if len(lanes) > 0 {
			t.Lanes = hwreport.Value(lanes)
		}
	}
	return hwreport.Value(t)
}

// silence is after how long nobody is taken to be at the other end: LLDP speaks
// every 30 seconds (IEEE 802.1AB 9.2.5.7).
const silence = 35 * time.Second

// neighbours are the other ends that the network service heard. Before a whole
// interval is over, nobody can say that there is none.
func neighbours(i netstate.Interface, now time.Time) hwreport.Field[[]hwreport.Neighbour] {
	var list []hwreport.Neighbour
	for _, k := range i.Neighbours {
		n := hwreport.Neighbour{ChassisID: k.Chassis, PortID: k.Port, Port: k.PortDescription, SystemName: k.SystemName, System: k.SystemDescription, VLAN: int64(k.VLAN), Addresses: []string{}}
		for _, a := range k.Addresses {
			n.Addresses = append(n.Addresses, a.String())
		}
		list = append(list, n)
	}
	switch heard := now.Sub(i.Listening); {
	case list != nil:
		return hwreport.Value(list)
	case i.Listening.IsZero():
		return hwreport.Unknown[[]hwreport.Neighbour]("nobody listens on this interface")
	case i.Carrier && heard < silence:
		return hwreport.Unknown[[]hwreport.Neighbour](fmt.Sprintf("nothing was heard in %v; neighbours speak every 30s", heard.Round(time.Second)))
	}
	return hwreport.Absent[[]hwreport.Neighbour]()
}

// infiniband reads the adapters' ports (kernel: Documentation/ABI/stable/
// sysfs-class-infiniband).
func infiniband(m Machine) hwreport.Field[[]hwreport.IBPort] {
	const dir = "sys/class/infiniband"
	entries, err := names(m.Root, dir)
	if err != nil {
		return hwreport.Unknown[[]hwreport.IBPort](err.Error())
	}
	var list []hwreport.IBPort
	for _, e := range entries {
		ports, err := names(m.Root, dir+"/"+e+"/ports")
		if err != nil {
			return hwreport.Unknown[[]hwreport.IBPort](err.Error())
		}
		guid := text(m.Root, dir+"/"+e+"/node_guid")
		for _, p := range ports {
			n, err := strconv.ParseInt(p, 10, 64)
			if err != nil {
				continue
			}
			at := dir + "/" + e + "/ports/" + p
			list = append(list, hwreport.IBPort{ID: hwreport.ID("ib", guid.Or(""), e) + "/" + p, Device: e, Port: n, Firmware: text(m.Root, dir+"/"+e+"/fw_ver"), Board: text(m.Root, dir+"/"+e+"/board_id"),
				GUID: guid, State: afterColon(text(m.Root, at+"/state")), Physical: afterColon(text(m.Root, at+"/phys_state")), Rate: text(m.Root, at+"/rate"), LinkLayer: text(m.Root, at+"/link_layer"), LID: text(m.Root, at+"/lid")})
		}
	}
	if list == nil {
		return hwreport.Absent[[]hwreport.IBPort]()
	}
	return hwreport.Value(list)
}

// afterColon reads "4: ACTIVE".
func afterColon(f hwreport.Field[string]) hwreport.Field[string] {
	if v, ok := f.Get(); ok {
		if _, word, cut := strings.Cut(v, ": "); cut {
			return hwreport.Value(word)
		}
	}
	return f
}
