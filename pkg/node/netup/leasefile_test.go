package netup

import (
	"net/netip"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
)

func TestLeaseOutlivesTheService(t *testing.T) {
	root, now := t.TempDir(), time.Now()
	key := leaseKey("52:54:00:00:00:01", "")
	l := dhcp4.Lease{Address: netip.MustParsePrefix("192.0.2.7/24"), Server: netip.MustParseAddr("192.0.2.1"), Duration: time.Hour, T1: 30 * time.Minute, T2: 50 * time.Minute, Acquired: now}
	if err := saveLease(root, key, l, now, 100*time.Second); err != nil {
		t.Fatal(err)
	}
	// The clock was set an hour back meanwhile; ten seconds passed.
	got, err := loadLease(root, key, now.Add(-time.Hour), 110*time.Second)
	if err != nil || got.Address != l.Address {
		t.Fatalf("%+v, %v", got, err)
	}
	if d := now.Add(-time.Hour).Sub(got.Acquired); d != 10*time.Second {
		t.Errorf("acquired %v ago, want 10s", d)
	}
	if err := dropLease(root, key); err != nil {
		t.Fatal(err)
	}
	if got, err := loadLease(root, key, now, time.Minute); got != nil && err == nil {
		t.Errorf("a dropped lease came back: %+v", got)
	}
}

func FuzzParseLease(f *testing.F) {
	f.Add([]byte(`{"since":1,"lease":{"address":"192.0.2.7/24","server":"192.0.2.1","duration":3600000000000}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLease(b, time.Unix(1e9, 0), time.Hour)
		if err == nil && (!l.Address.IsValid() || l.Duration < 0) {
			t.Fatalf("%+v", l)
		}
	})
}
