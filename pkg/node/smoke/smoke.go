// Package smoke is the smoke test of a node: one line a check, what is required
// and fails makes the exit status 1. It looks only at what the node says of
// itself and at its own SSH port.
package smoke

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/modload/modstate"
	"github.com/bee-os/bee/pkg/node/netup/netstate"
	"github.com/bee-os/bee/pkg/node/supervise/control"
)

// Result is one check's outcome.
type Result struct {
	Check    string `json:"check"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`
	Detail   string `json:"detail"`
}

// Node is what is looked at.
type Node struct {
	Root     fs.FS
	Services func(ctx context.Context) ([]control.Status, error)
	SSH      string // address of the node's own SSH server
}

// Run does every check, in order.
func Run(ctx context.Context, n Node) []Result {
	var all []Result
	add := func(check string, required bool, detail string, err error) {
		r := Result{check, err == nil, required, detail}
		if err != nil {
			r.Detail = err.Error()
		}
		all = append(all, r)
	}
	list, err := n.Services(ctx)
	add("supervisor", true, fmt.Sprintf("%d services", len(list)), err)
	for _, s := range list {
		if s.Kind == control.KindCondition {
			continue
		}
		detail, err := service(s)
		add("service "+s.Name, s.Critical || s.Name == "network" || s.Name == "audit" || s.Name == "coldplug", detail, err)
	}
	detail, err := ssh(ctx, n.SSH)
	add("ssh", true, detail, err)
	detail, required, err := network(n.Root)
	add("network", required, detail, err)
	detail, err = modules(n.Root)
	add("modules", true, detail, err)
	detail, err = audit(n.Root)
	add("audit", true, detail, err)
	if i := slices.IndexFunc(list, func(s control.Status) bool { return s.Name == "nvidia" }); i >= 0 && list[i].State != control.Disabled {
		nvidiaChecks(n.Root, add)
	}
	return all
}

func service(s control.Status) (string, error) {
	if s.State.Good() || s.Wanted == control.Down {
		return string(s.State), nil
	}
	text := string(s.State)
	if s.CrashLoop {
		text += ", crash loop"
	}
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	if s.State == control.Degraded || s.State == control.Blocked && len(s.Blockers) > 0 && !s.Critical {
		// It does its work, or waits for something that may come late.
		if len(s.Blockers) > 0 {
			text += ", waits for " + strings.Join(s.Blockers, ", ")
		}
		return text, nil
	}
	return "", errors.New(text)
}

// ssh reads the server's greeting (RFC 4253, 4.2).
func ssh(ctx context.Context, addr string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if t, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(t); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(io.LimitReader(conn, 255)).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("read the greeting: %w", err)
	}
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "SSH-2.0-") {
		return "", fmt.Errorf("it greets with %q", line)
	}
	return addr + " " + line, nil
}

// network is required where there is a cable: an interface with carrier must
// have an address.
func network(root fs.FS) (detail string, required bool, err error) {
	st, err := netstate.Read(root)
	if err != nil {
		return "", true, err
	}
	if len(st.Interfaces) == 0 {
		return "", false, errors.New("no interface")
	}
	var with []string
	carrier := false
	for _, i := range st.Interfaces {
		carrier = carrier || i.Carrier
		for _, a := range i.Addresses {
			if !a.Addr().IsLoopback() {
				with = append(with, i.Name+" "+a.String())
			}
		}
	}
	switch {
	case !carrier:
		return "", false, errors.New("no interface has carrier: is a cable plugged in?")
	case len(with) == 0:
		return "", true, errors.New("no interface has an address")
	}
	return strings.Join(with, ", "), true, nil
}

func modules(root fs.FS) (string, error) {
	st, err := modstate.Read(root)
	if err != nil {
		return "", err
	}
	if !st.Complete {
		return "", errors.New("coldplug has not looked at every device yet")
	}
	if len(st.Failed) > 0 {
		var names []string
		for _, f := range st.Failed {
			names = append(names, f.Name)
		}
		slices.Sort(names)
		return "", fmt.Errorf("%d would not load: %s", len(names), strings.Join(names, " "))
	}
	return fmt.Sprintf("%d loaded, %d devices without a driver", len(st.Loaded), len(st.Orphans)), nil
}

func audit(root fs.FS) (string, error) {
	text, err := fs.ReadFile(root, hwreport.Path)
	if err != nil {
		return "", err
	}
	r, err := hwreport.Decode(text)
	if err != nil {
		return "", err
	}
	for _, c := range r.Collectors() {
		if c.Status != hwreport.OK {
			return "", fmt.Errorf("collector %s: %s %s", c.Name, c.Status, c.Error)
		}
	}
	if !r.Complete || r.Schema == "" {
		return "", errors.New("the report is not complete")
	}
	if fi, err := fs.Stat(root, hwreport.Path); err != nil {
		return "", err
	} else if fi.Mode().Perm() != 0o644 {
		return "", fmt.Errorf("the report's mode is %v, not 0644", fi.Mode().Perm())
	}
	return fmt.Sprintf("%s, schema %s, %d findings", r.Verdict, r.Schema, len(r.Findings)), nil
}

// Write writes one line a check and returns the exit status.
func Write(w io.Writer, results []Result, asJSON bool) (int, error) {
	status := 0
	for _, r := range results {
		if !r.OK && r.Required {
			status = 1
		}
	}
	if asJSON {
		return status, json.NewEncoder(w).Encode(results)
	}
	for _, r := range results {
		word := "ok  "
		switch {
		case !r.OK && r.Required:
			word = "FAIL"
		case !r.OK:
			word = "note"
		}
		if _, err := fmt.Fprintf(w, "%s %-20s %s\n", word, r.Check, r.Detail); err != nil {
			return 1, err
		}
	}
	return status, nil
}
