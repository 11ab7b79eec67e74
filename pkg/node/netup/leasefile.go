package netup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"github.com/bee-os/bee/pkg/node/netup/dhcp4"
)

// leaseDir holds one file an interface, for a service that was killed: root
// alone reads it, and it goes with the boot.
const leaseDir = "run/bee/leases"

// savedLease is a lease with its time on the clock that nobody sets.
type savedLease struct {
	Lease dhcp4.Lease   `json:"lease"`
	Since time.Duration `json:"since_boot"` // CLOCK_BOOTTIME when it was acquired, nanoseconds
}

// leaseKey names the file of an interface: by hardware address, and by name
// too where several share one.
func leaseKey(mac, vlan string) string {
	key := strings.ReplaceAll(mac, ":", "-")
	if vlan != "" {
		key += "@" + filepath.Base(vlan)
	}
	return key
}

func leasePath(root, key string) string { return filepath.Join(root, leaseDir, key+".json") }

// saveLease keeps a lease for the next life of the service.
func saveLease(root, key string, l dhcp4.Lease, now time.Time, boottime time.Duration) error {
	b, err := json.Marshal(savedLease{Lease: l, Since: boottime - now.Sub(l.Acquired)})
	if err != nil {
		return fmt.Errorf("encode lease: %w", err)
	}
	if err := writeFile(leasePath(root, key), b, 0o600); err != nil {
		return fmt.Errorf("keep lease: %w", err)
	}
	return nil
}

// loadLease reads what saveLease wrote; nil: there is none.
func loadLease(root, key string, now time.Time, boottime time.Duration) (*dhcp4.Lease, error) {
	b, err := os.ReadFile(leasePath(root, key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read lease: %w", err)
	}
	return parseLease(b, now, boottime)
}

func parseLease(b []byte, now time.Time, boottime time.Duration) (*dhcp4.Lease, error) {
	var s savedLease
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("parse lease: %w", err)
	}
	l := &s.Lease
	if s.Since > boottime || !l.Address.IsValid() || !l.Address.Addr().Is4() || !l.Server.Is4() ||
		l.Duration < 0 || l.T1 < 0 || l.T1 > l.T2 || l.T2 > l.Duration {
		return nil, errors.New("parse lease: it contradicts itself")
	}
	l.Acquired = now.Add(s.Since - boottime)
	return l, nil
}

func dropLease(root, key string) error {
	if err := os.Remove(leasePath(root, key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget lease: %w", err)
	}
	return nil
}

// writeFile replaces a file in one step, and makes its directory if need be.
func writeFile(name string, b []byte, perm fs.FileMode) error {
	dir := filepath.Dir(name)
	err := renameio.WriteFile(name, b, perm, renameio.WithTempDir(dir), renameio.WithStaticPermissions(perm))
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mode := fs.FileMode(0o755)
	if perm&0o077 == 0 {
		mode = 0o700
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	return renameio.WriteFile(name, b, perm, renameio.WithTempDir(dir), renameio.WithStaticPermissions(perm))
}
