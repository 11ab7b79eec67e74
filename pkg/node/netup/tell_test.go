package netup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/bootparam"
	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
	"github.com/bee-os/bee/pkg/node/netup/lldp"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
	"github.com/bee-os/bee/pkg/node/netup/rtnl"
)

// quietKernel has no interface but those that its events tell of.
type quietKernel struct {
	Kernel
	events chan []rtnl.Event
}

func (k quietKernel) Next() ([]rtnl.Event, error) {
	e, ok := <-k.events
	if !ok {
		return nil, errors.New("closed")
	}
	return e, nil
}
func (k quietKernel) Links() ([]rtnl.Link, error)   { return nil, nil }
func (k quietKernel) Addrs() ([]rtnl.Addr, error)   { return nil, nil }
func (k quietKernel) Routes() ([]rtnl.Route, error) { return nil, nil }

type deaf struct{}

func (deaf) Ready()                 {}
func (deaf) Status(string)          {}
func (deaf) Condition(string, bool) {}

// TestABurstIsToldOnce sends a change every 20 ms. The state is written once they
// have gone on for tellLatest, and the last of them when it has been quiet for
// tellQuiet.
func TestABurstIsToldOnce(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"sys/class/net/ib0/device", "etc", "run/bee"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mtu := func() int {
		text, err := os.ReadFile(filepath.Join(root, netstate.Path))
		if errors.Is(err, fs.ErrNotExist) {
			return 0
		}
		var st netstate.State
		if err != nil || json.Unmarshal(text, &st) != nil || len(st.Interfaces) != 1 {
			t.Fatalf("%v: %s", err, text)
		}
		return st.Interfaces[0].MTU
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := quietKernel{events: make(chan []rtnl.Event)}
		done := make(chan error)
		go func() {
			done <- Run(ctx, Config{Root: root, Kernel: k, Supervisor: deaf{}, Out: t.Output(),
				SetHostname: func(string) error { return nil }, Boottime: func() (time.Duration, error) { return 0, nil }})
		}()
		// No Ethernet: nothing is done to it but to look.
		change := func(mtu int) {
			k.events <- []rtnl.Event{rtnl.LinkChanged{Link: rtnl.Link{Index: 2, Name: "ib0", MTU: mtu}}}
			time.Sleep(20 * time.Millisecond)
		}
		for i := range 24 { // until 480 ms
			change(1500 + i)
		}
		if got := mtu(); got != 0 {
			t.Errorf("told after 480 ms of changes: MTU %d", got)
		}
		change(1524)
		time.Sleep(10 * time.Millisecond)
		if got := mtu(); got != 1524 {
			t.Errorf("after 510 ms of changes, MTU %d is told, want 1524", got)
		}
		// From now on a burst is told sooner.
		for i := range 12 { // until 240 ms
			change(1550 + i)
		}
		if got := mtu(); got != 1524 {
			t.Errorf("told after 240 ms of more changes: MTU %d", got)
		}
		change(1512)
		if got := mtu(); got != 1512 {
			t.Errorf("after 260 ms of more changes, MTU %d is told, want 1512", got)
		}
		change(1600)
		time.Sleep(20 * time.Millisecond)
		if got := mtu(); got != 1512 {
			t.Errorf("40 ms after a change, MTU %d is told", got)
		}
		time.Sleep(20 * time.Millisecond)
		if got := mtu(); got != 1600 {
			t.Errorf("60 ms after the last change, MTU %d is told, want 1600", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(k.events) // its reader ends
	})
}

// TestTheFirstTellingWaitsForCards: in a boot cards appear after the service, and
// who writes files just then answers them late.
func TestTheFirstTellingWaitsForCards(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc", "run/bee"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := quietKernel{events: make(chan []rtnl.Event)}
		done := make(chan error)
		go func() {
			done <- Run(ctx, Config{Root: root, Kernel: k, Supervisor: deaf{}, Out: t.Output(),
				SetHostname: func(string) error { return nil }, Boottime: func() (time.Duration, error) { return 0, nil }})
		}()
		written := func() bool {
			_, err := os.Stat(filepath.Join(root, netstate.Path))
			return err == nil
		}
		time.Sleep(tellFirst - time.Millisecond)
		if written() {
			t.Errorf("told before %v", tellFirst)
		}
		time.Sleep(2 * time.Millisecond)
		if !written() {
			t.Errorf("not told after %v", tellFirst)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(k.events)
	})
}

// slowKernel has loopback and perhaps a card, each down, and needs its time.
type slowKernel struct {
	quietKernel
	card  bool
	takes time.Duration // to bring the card up
	told  func(format string, args ...any)
}

func (k slowKernel) Links() ([]rtnl.Link, error) {
	k.told("links")
	list := []rtnl.Link{{Index: 1, Name: "lo", Loopback: true}}
	if k.card {
		list = append(list, rtnl.Link{Index: 2, Name: "eth0", Ethernet: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}})
	}
	return list, nil
}

func (k slowKernel) Addrs() ([]rtnl.Addr, error) {
	time.Sleep(time.Millisecond)
	k.told("addresses")
	return nil, nil
}

func (k slowKernel) Routes() ([]rtnl.Route, error) {
	time.Sleep(time.Millisecond)
	k.told("routes")
	return nil, nil
}

func (k slowKernel) SetUp(index int) error {
	k.told("up %d", index)
	if index == 2 {
		time.Sleep(k.takes)
	}
	k.told("is up %d", index)
	l := rtnl.Link{Index: 1, Name: "lo", Loopback: true}
	if index == 2 {
		l = rtnl.Link{Index: 2, Name: "eth0", Ethernet: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Carrier: true}
	}
	l.Up = true
	k.events <- []rtnl.Event{rtnl.LinkChanged{Link: l}}
	return nil
}

func (k slowKernel) ReplaceAddr(a rtnl.Addr) error {
	k.told("address %s", a.Prefix)
	return nil
}

// TestCardsComeUpFirst: before the kernel is asked for addresses and routes, and
// before loopback, which waits for an address but not for ever.
func TestCardsComeUpFirst(t *testing.T) {
	for name, c := range map[string]struct {
		card  bool
		takes time.Duration
		param string
		want  []string
	}{
		"address": {true, 100 * time.Millisecond, "bee.ip=192.0.2.7/24",
			[]string{"0s links", "0s up 2", "1ms routes", "2ms addresses", "100ms is up 2", "100ms address 192.0.2.7/24", "100ms up 1", "100ms is up 1"}},
		"no server":    {true, 100 * time.Millisecond, "", []string{"0s links", "0s up 2", "1ms routes", "2ms addresses", "100ms is up 2", "500ms up 1", "500ms is up 1"}},
		"hanging card": {true, 10 * time.Second, "", []string{"0s links", "0s up 2", "1ms routes", "2ms addresses", "500ms up 1", "500ms is up 1"}},
		"no card":      {false, 0, "", []string{"0s links", "1ms routes", "2ms addresses", "500ms up 1", "500ms is up 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, dir := range []string{"sys/class/net/eth0/device", "etc", "run/bee"} {
				if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var mu sync.Mutex
				var list []string
				began := time.Now()
				k := slowKernel{quietKernel{events: make(chan []rtnl.Event, 8)}, c.card, c.takes, func(format string, args ...any) {
					mu.Lock()
					defer mu.Unlock()
					list = append(list, time.Since(began).String()+" "+fmt.Sprintf(format, args...))
				}}
				got := func() []string {
					mu.Lock()
					defer mu.Unlock()
					return slices.Clone(list)
				}
				done := make(chan error)
				params, warnings := bootparam.Parse(c.param)
				if len(warnings) > 0 {
					t.Fatal(warnings)
				}
				go func() {
					done <- Run(ctx, Config{Params: params, Root: root, Kernel: k, Supervisor: deaf{}, Out: t.Output(),
						OpenDHCP4:   func(string, int) (dhcp4.Conn, error) { return nil, errors.New("no sockets here") },
						SetHostname: func(string) error { return nil }, Boottime: func() (time.Duration, error) { return 0, nil }})
				}()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if d := cmp.Diff(c.want, got()); d != "" {
					t.Error(d)
				}
				// Whoever takes loopback down gets it back.
				k.events <- []rtnl.Event{rtnl.LinkChanged{Link: rtnl.Link{Index: 1, Name: "lo", Loopback: true}}}
				time.Sleep(loopbackWait)
				synctest.Wait()
				again := "5.5s"
				if c.param != "" { // there is an address
					again = "5s"
				}
				if d := cmp.Diff(append(c.want, again+" up 1", again+" is up 1"), got()); d != "" {
					t.Error(d)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Second) // the card that hangs
				synctest.Wait()
				close(k.events)
			})
		})
	}
}

// upKernel has cards that come up at once.
type upKernel struct{ quietKernel }

func (upKernel) SetUp(int) error { return nil }

// TestNeighboursAreListenedToLater: the address goes first.
func TestNeighboursAreListenedToLater(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"sys/class/net/eth0/device", "etc", "run/bee"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		k := upKernel{quietKernel{events: make(chan []rtnl.Event)}}
		done := make(chan error)
		began := time.Now()
		var listens time.Duration
		go func() {
			done <- Run(ctx, Config{Root: root, Kernel: k, Supervisor: deaf{}, Out: t.Output(), ListenAfter: time.Second,
				OpenDHCP4:   func(string, int) (dhcp4.Conn, error) { return nil, errors.New("no sockets here") },
				SetHostname: func(string) error { return nil }, Boottime: func() (time.Duration, error) { return 0, nil },
				Neighbours: func(ctx context.Context, _ int, _ func(lldp.Neighbour)) error {
					listens = time.Since(began)
					<-ctx.Done()
					return nil
				}})
		}()
		k.events <- []rtnl.Event{rtnl.LinkChanged{Link: rtnl.Link{Index: 2, Name: "eth0", Ethernet: true, MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		if listens != time.Second {
			t.Errorf("listens %v after the card came, want 1 s", listens)
		}
		text, err := os.ReadFile(filepath.Join(root, netstate.Path))
		var st netstate.State
		if err != nil || json.Unmarshal(text, &st) != nil || len(st.Interfaces) != 1 || st.Interfaces[0].Listening.Sub(began) != time.Second {
			t.Errorf("since when is not told: %v: %s", err, text)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		close(k.events)
	})
}
