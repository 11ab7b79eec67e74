package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/tree"
	"github.com/bee-os/bee/pkg/node/qrcode"
)

// diff tells what changed from one report to another.
func (o *options) diff() (int, error) {
	a, err := readReport(o.args[0])
	if err != nil {
		return 0, err
	}
	b, err := readReport(o.args[1])
	if err != nil {
		return 0, err
	}
	changes := hwreport.Diff(a, b)
	if err := o.changes(changes); err != nil {
		return 0, err
	}
	return changeStatus(changes, 1), nil
}

// changeStatus is 0 without a change, changed with one, 3 where something
// could not be compared and nothing changed for sure.
func changeStatus(list []hwreport.Change, changed int) int {
	status := 0
	for _, c := range list {
		if c.Kind != hwreport.NotComparable {
			return changed
		}
		status = 3
	}
	return status
}

func (o *options) changes(list []hwreport.Change) error {
	if o.json {
		if list == nil {
			list = []hwreport.Change{}
		}
		return writeJSON(o.stdout, list)
	}
	for _, c := range list {
		if _, err := fmt.Fprintln(o.stdout, c); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// check holds the machine against a golden report or a profile.
func (o *options) check() (int, error) {
	if o.golden != "" {
		want, err := readReport(o.golden)
		if err != nil {
			return 0, err
		}
		have, err := o.look(nil)
		if err != nil {
			return 0, err
		}
		list := hwreport.Diff(want, have)
		kept := list[:0]
		for _, c := range list {
			if c.Kind != hwreport.FindingGone && c.Kind != hwreport.FindingNew {
				kept = append(kept, c)
			}
		}
		if err := o.changes(kept); err != nil {
			return 0, err
		}
		return changeStatus(kept, 2), nil
	}
	b, err := os.ReadFile(o.profile)
	if err != nil {
		return 0, err
	}
	p, err := hwreport.DecodeProfile(b)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", o.profile, err)
	}
	r, err := o.look(nil)
	if err != nil {
		return 0, err
	}
	unmet, unknown := p.Check(r)
	if o.json {
		err = writeJSON(o.stdout, map[string][]string{"unmet": append([]string{}, unmet...), "unknown": append([]string{}, unknown...)})
	} else {
		var list []string
		for _, s := range unmet {
			list = append(list, "FAIL    "+s)
		}
		for _, s := range unknown {
			list = append(list, "UNKNOWN "+s)
		}
		if list == nil {
			list = []string{"ok      the machine is as the profile " + p.Name + " says"}
		}
		err = lines(o.stdout, list)
	}
	switch {
	case err != nil:
		return 0, err
	case unmet != nil:
		return 2, nil
	case unknown != nil:
		return 3, nil
	}
	return 0, nil
}

// watchOn looks again and again and tells what changed, until SIGINT or
// SIGTERM.
func (o *options) watchOn() (int, error) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(stop)
	before, err := o.look(nil)
	if err != nil {
		return 0, err
	}
	if err := o.show(before); err != nil {
		return 0, err
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return before.Verdict.ExitStatus(), nil
		case <-tick.C:
		}
		now, err := o.look(nil)
		if err != nil {
			return 0, err
		}
		for _, c := range hwreport.Diff(before, now) {
			if _, err := fmt.Fprintf(o.stdout, "%s %s\n", now.Started.Format(time.RFC3339), c); err != nil {
				return 0, err
			}
		}
		before = now
	}
}

// capture looks at the machine and keeps everything that was read.
func (o *options) capture() (int, error) {
	list, err := o.chosen()
	if err != nil {
		return 0, err
	}
	if filepath.Clean(o.root) != "/" {
		return 0, errors.New("capture looks at this machine: --root has no meaning with it")
	}
	rec := tree.NewRecorder(tree.NewLive("/", patience), device.NewLive(patience))
	r, t := Capture(rec, list)
	if o.redact {
		key, err := o.secret()
		if err != nil {
			return 0, err
		}
		if err := redactTree(t, r, key, list); err != nil {
			return 0, err
		}
	}
	if err := writeArchive(o.args[0], t); err != nil {
		return 0, err
	}
	fmt.Fprintf(o.stderr, "audit: wrote %s; audit --root %s plays it back\n", o.args[0], o.args[0])
	return r.Verdict.ExitStatus(), nil
}

// Capture runs the collectors over a recorder and returns the report and what
// it stands on.
func Capture(rec *tree.Recorder, list []Collector) (*hwreport.Report, *tree.Tree) {
	r := Run(context.Background(), Config{Collectors: list, Machine: NewMachine(rec, rec)})
	t := rec.Tree()
	t.Meta = tree.Meta{Started: r.Started, Duration: r.Duration, Ended: map[string]tree.Collector{}}
	for _, c := range r.Collectors() {
		if c.Status != hwreport.Skipped {
			t.Meta.Ended[c.Name] = tree.Collector{Duration: c.Duration, TimedOut: c.Status == hwreport.Timeout}
		}
	}
	return r, t
}

// writeArchive writes an archive whole or not at all, for its owner alone: it
// holds serial numbers.
func writeArchive(name string, t *tree.Tree) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".audit-capture-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	err = errors.Join(t.Write(f), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// minKey is how long a key must be, bytes.
const minKey = 16

// secret is the key of --redact.
func (o *options) secret() ([]byte, error) {
	if o.key == "" {
		b := make([]byte, 32)
		if _, err := rand.Read(b); err != nil {
			return nil, fmt.Errorf("make a key: %w", err)
		}
		fmt.Fprintln(o.stderr, "audit: hashed with a key that is forgotten now; with --key FILE two reports can be compared")
		return b, nil
	}
	b, err := os.ReadFile(o.key)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	if len(b) < minKey {
		return nil, fmt.Errorf("read the key %s: it has %d bytes, at least %d are needed (head -c 32 /dev/urandom > %s)", o.key, len(b), minKey, o.key)
	}
	return b, nil
}

// writeQR draws the code.
func writeQR(w io.Writer, r *hwreport.Report) error {
	address := ""
	for _, n := range r.Network.Data.Interfaces.Or(nil) {
		for _, a := range n.Addresses.Or(nil) {
			if address == "" && routable([]string{a}) {
				address = a
			}
		}
	}
	list, err := qrcode.Draw(qrcode.Identity(r, address))
	if err != nil {
		return fmt.Errorf("draw the QR code: %w", err)
	}
	return lines(w, list)
}
