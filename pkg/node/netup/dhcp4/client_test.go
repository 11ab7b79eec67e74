package dhcp4

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// wire is a socket that nobody answers on.
type wire struct {
	sent   *[]string // which socket sent
	name   string
	closed chan struct{}
}

func (w *wire) Send([]byte, netip.Addr, netip.Addr) error {
	*w.sent = append(*w.sent, w.name)
	return nil
}

func (w *wire) Receive() ([]byte, error) {
	<-w.closed
	return nil, os.ErrClosed
}

func (w *wire) Close() error {
	close(w.closed)
	return nil
}

// TestSocketIsReadyForTheCarrier: the first socket is open before there is a
// carrier, and the first message goes through it. One that would not open is tried
// again with the carrier, and each carrier after a loss has a new one.
func TestSocketIsReadyForTheCarrier(t *testing.T) {
	for name, c := range map[string]struct {
		fails []bool // the openings, in order
		want  []string
	}{
		"it opens":           {[]bool{false, false}, []string{"1", "2"}},
		"not the first time": {[]bool{true, false, false}, []string{"2", "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var sent []string
				opened := 0
				client := NewClient(Client{
					Config: Config{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}},
					Notify: func(Event) {},
					Open: func() (Conn, error) {
						opened++
						if c.fails[opened-1] {
							return nil, errors.New("not now")
						}
						return &wire{&sent, string(rune('0' + opened)), make(chan struct{})}, nil
					},
				})
				go client.Run(ctx)
				synctest.Wait()
				if opened != 1 || len(sent) != 0 {
					t.Errorf("without carrier: %d sockets, sent %v", opened, sent)
				}
				for _, up := range []bool{true, false, true} {
					client.SetCarrier(ctx, up)
					time.Sleep(minGap) // messages keep it
					synctest.Wait()
				}
				if !slices.Equal(sent, c.want) || opened != len(c.fails) {
					t.Errorf("the messages went through the sockets %v of %d, want %v", sent, opened, c.want)
				}
			})
		})
	}
}
