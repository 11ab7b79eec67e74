package netup

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/node/netup/lldp"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
)

// lldpEvent is a frame from the other end of an interface's cable.
type lldpEvent struct {
	index int
	lldp.Neighbour
}

// lldpBegun says that somebody listens on an interface from now on.
type lldpBegun struct{ index int }

// lldpFailed says that nobody listens on an interface any more.
type lldpFailed struct {
	index int
	err   error
}

// maxNeighbours bounds what is kept of one interface: a hub may have many.
const maxNeighbours = 16

// listen begins to listen for the other end of an interface's cable, soon.
func (s *service) listen(n *nic) {
	if s.Neighbours == nil {
		return
	}
	n.listening = time.Time{}
	index := n.Index
	ctx := n.ctx
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.ListenAfter):
		}
		s.queue.post(lldpBegun{index})
		err := s.Neighbours(ctx, index, func(h lldp.Neighbour) { s.queue.post(lldpEvent{index, h}) })
		if err != nil && ctx.Err() == nil {
			s.queue.post(lldpFailed{index, err})
		}
	}()
}

// unplugged forgets the other end.
func (n *nic) unplugged() { n.neighbours = nil }

// neighbourHeard keeps what the other end says, for as long as it says.
func (s *service) neighbourHeard(e lldpEvent) {
	n := s.nics[e.index]
	if n == nil {
		return
	}
	now := time.Now().Round(0)
	kept := slices.DeleteFunc(slices.Clone(n.neighbours), func(k netstate.Neighbour) bool {
		return k.Chassis == e.Chassis && k.Port == e.Port || k.Until.Before(now)
	})
	if e.TTL > 0 && len(kept) < maxNeighbours {
		kept = append(kept, netstate.Neighbour{Chassis: e.Chassis, Port: e.Port, PortDescription: e.PortDescription, SystemName: e.SystemName, SystemDescription: e.SystemID, VLAN: e.VLAN, Addresses: e.Addresses, Until: now.Add(e.TTL)})
	}
	slices.SortFunc(kept, func(a, b netstate.Neighbour) int { return strings.Compare(a.Chassis+a.Port, b.Chassis+b.Port) })
	if len(n.neighbours) == 0 && len(kept) > 0 {
		s.logf("%s: at the other end: %s, port %s", n.Name, first(kept[0].SystemName, kept[0].Chassis), kept[0].Port)
	}
	n.neighbours = kept
	s.dirty = true
}

func (s *service) listenBegun(e lldpBegun) {
	if n := s.nics[e.index]; n != nil {
		n.listening = time.Now().Round(0)
		s.dirty = true
	}
}

func (s *service) listenFailed(e lldpFailed) {
	if n := s.nics[e.index]; n != nil {
		n.listening = time.Time{}
		s.logf("%s: %v", n.Name, e.err)
		s.dirty = true
	}
}

func first(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// neighbourhood is what is published: those whose time is not over.
func (n *nic) neighbourhood(now time.Time) []netstate.Neighbour {
	var list []netstate.Neighbour
	for _, k := range n.neighbours {
		if k.Until.After(now) {
			list = append(list, k)
		}
	}
	return list
}

// Listener hears the other ends of cables: lldp.Listen, or a test's.
type Listener func(ctx context.Context, index int, heard func(lldp.Neighbour)) error
