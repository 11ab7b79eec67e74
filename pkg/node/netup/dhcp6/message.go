package dhcp6

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// asked is the option request option (RFC 8415 section 21.7).
var asked = []dhcpv6.OptionCode{
	dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList,
	dhcpv6.OptionNTPServer, dhcpv6.OptionSNTPServerList, dhcpv6.OptionSolMaxRT, dhcpv6.OptionInformationRefreshTime,
}

// message is what the client says, before it is bytes.
type message struct {
	kind    dhcpv6.MessageType
	xid     dhcpv6.TransactionID
	elapsed time.Duration
	server  []byte // DUID; nil: any server
	ia      bool   // with our IA_NA
	hint    []Address
	rapid   bool
}

func (c *Config) encode(m message) []byte {
	p := &dhcpv6.Message{MessageType: m.kind, TransactionID: m.xid}
	p.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: c.DUID})
	if m.server != nil {
		p.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: m.server})
	}
	p.AddOption(dhcpv6.OptElapsedTime(min(m.elapsed, 0xffff*10*time.Millisecond)))
	if m.rapid {
		p.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	}
	if m.ia {
		ia := &dhcpv6.OptIANA{IaId: c.IAID}
		for _, a := range m.hint {
			ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: a.Addr.AsSlice()})
		}
		p.AddOption(ia)
	}
	if m.kind != dhcpv6.MessageTypeConfirm {
		p.AddOption(dhcpv6.OptRequestedOption(asked...))
	}
	return p.ToBytes()
}
