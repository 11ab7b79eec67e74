package supervise

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// edgeKind is how one service depends on another.
type edgeKind uint8

const (
	needs edgeKind = iota
	wants
	after
	milestone
	provider // from a condition to the service that raises it
)

type edge struct {
	kind edgeKind
	to   string
}

// edges lists whom a service names, hard ones first.
func (s *Service) edges() []edge {
	var out []edge
	for _, l := range []struct {
		kind  edgeKind
		names []string
	}{{needs, s.Needs}, {milestone, s.Milestone}, {wants, s.Wants}, {after, s.After}} {
		for _, name := range l.names {
			out = append(out, edge{l.kind, name})
		}
	}
	return out
}

// Plan is a list of services that was found sound, with their conditions and the
// order that they need.
type Plan struct {
	services []Service // as given
	all      []Service // and conditions after them
	order    []int     // of all: everyone after those that it depends on
}

// NewPlan checks a list of services as a whole: each by itself, then that every
// name is known, that none stands twice and that the order has no cycle. It
// returns every error that it finds. A test of the list runs it, so that a bad
// one never becomes an image.
func NewPlan(list []Service) (*Plan, error) {
	var errs []error
	for i := range list {
		if err := list[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("check service %q: %w", list[i].Name, err))
		}
	}
	all, err := withConditions(list)
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	indexes, err := order(all)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return &Plan{services: list, all: all, order: indexes}, nil
}

// check looks at one service alone.
func (s *Service) check() error {
	var errs []error
	bad := func(when bool, text string) {
		if when {
			errs = append(errs, errors.New(text))
		}
	}
	bad(!validName(s.Name) && !(s.Kind == Condition && isPath(s.Name)), "a name is made of a-z, 0-9 and '-'")
	runs := s.Kind == Process || s.Kind == Oneshot
	bad(runs && (len(s.Command) == 0) == (s.Func == nil), "give it either a Command or a Func")
	if !runs && (len(s.Command) > 0 || s.Func != nil) {
		bad(true, "a "+s.Kind.String()+" runs nothing")
	}
	bad(s.Kind == Process && s.Func != nil, "a Func ends: make it a oneshot")
	bad(len(s.Command) > 0 && !path.IsAbs(s.Command[0]), "Command needs an absolute path")
	bad(s.Kind == Oneshot && s.Restart == Always, "a oneshot that is always restarted is a process")
	bad(s.Restart == UntilSuccess && s.GiveUpAfter > 0, "until-success does not give up: leave GiveUpAfter at 0")
	bad(s.Restart == Never && s.GiveUpAfter > 0, "a service that is never restarted needs no GiveUpAfter")
	bad((s.Ready == ByProbe) != (s.Probe != nil), "Probe and Ready: ByProbe belong together")
	bad(s.Kind != Process && (s.Probe != nil || s.Health != nil || s.Ready != ByNotify), "readiness and health are for processes")
	for _, p := range []*Probe{s.Probe, s.Health} {
		if p != nil {
			bad((len(p.Command) == 0) == (p.Func == nil), "give a probe either a Command or a Func")
			bad(len(p.Command) > 0 && !path.IsAbs(p.Command[0]), "a probe's Command needs an absolute path")
		}
	}
	bad(s.Kind == Condition && len(s.edges()) > 0, "a condition depends on nothing")
	bad(s.Kind == Condition && len(s.Provides) > 0, "a condition provides nothing")
	for _, name := range s.Beside {
		bad(!slices.ContainsFunc(s.edges(), func(e edge) bool { return e.to == name && e.kind != milestone }), fmt.Sprintf("beside %q, which stands in none of Needs, Wants and After", name))
	}
	bad(len(s.Beside) > 0 && (len(s.Command) == 0 || s.TTY != ""), "Beside is for a Command without a terminal: its standard input tells it when to go on")
	bad(s.OOMScoreAdj < -1000 || s.OOMScoreAdj > 1000, "OOMScoreAdj is -1000…1000")
	bad(s.Nice < -20 || s.Nice > 19, "Nice is -20…19")
	bad(s.UID < 0 || s.GID < 0 || s.Limits.MemoryMax < 0 || s.Limits.PidsMax < 0, "a negative number for UID, GID or Limits")
	for _, name := range s.Provides {
		if !validName(name) {
			bad(true, fmt.Sprintf("provides %q: a name is made of a-z, 0-9 and '-'", name))
		}
	}
	edges := s.edges()
	for i, e := range edges {
		if slices.ContainsFunc(edges[:i], func(o edge) bool { return o.to == e.to }) {
			bad(true, fmt.Sprintf("names %q twice", e.to))
		}
		if isPath(e.to) && !path.IsAbs(strings.TrimPrefix(e.to, PathPrefix)) {
			bad(true, fmt.Sprintf("%q: give an absolute path", e.to))
		}
	}
	return errors.Join(errs...)
}

func validName(s string) bool {
	if s == "" || len(s) > 64 || s == "bee" || s == "kernel" {
		return false // bee and kernel are names in events and logs
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return false
		}
	}
	return true
}

// withConditions returns the list with the conditions that it implies added:
// those that a service provides and the paths that some service waits for. The
// services keep their places.
func withConditions(list []Service) ([]Service, error) {
	all := slices.Clone(list)
	known := map[string]int{}
	var errs []error
	for i := range all {
		if _, twice := known[all[i].Name]; twice {
			errs = append(errs, fmt.Errorf("check services: %q stands twice in the list", all[i].Name))
		}
		known[all[i].Name] = i
	}
	for k := range list {
		s := &list[k]
		for _, name := range s.Provides {
			if i, ok := known[name]; ok && all[i].Kind != Condition {
				errs = append(errs, fmt.Errorf("check service %q: provides %q, which is the name of a %s", s.Name, name, all[i].Kind))
			} else if ok && i < len(list) {
				errs = append(errs, fmt.Errorf("check service %q: provides %q, which is declared by itself; declare it once", s.Name, name))
			} else if ok {
				errs = append(errs, fmt.Errorf("check service %q: provides %q, which another provides", s.Name, name))
			} else {
				known[name] = len(all)
				all = append(all, Service{Name: name, Kind: Condition, Summary: "condition, raised by " + s.Name})
			}
		}
	}
	for k := range list {
		s := &list[k]
		for _, e := range s.edges() {
			if _, ok := known[e.to]; !ok && isPath(e.to) {
				known[e.to] = len(all)
				all = append(all, Service{Name: e.to, Kind: Condition, Summary: "condition, holds while the path exists"})
			}
		}
	}
	for k := range list {
		s := &list[k]
		for _, e := range s.edges() {
			i, ok := known[e.to]
			if !ok {
				errs = append(errs, fmt.Errorf("check service %q: names %q, which nobody is called; known are %s", s.Name, e.to, strings.Join(names(all), " ")))
			} else if all[i].Kind == Condition && (e.kind == wants || e.kind == after) {
				errs = append(errs, fmt.Errorf("check service %q: a condition that does not hold is not on its way, so there is nothing to wait for: make %q a need or a milestone, or leave it out", s.Name, e.to))
			}
		}
	}
	return all, errors.Join(errs...)
}

func names(list []Service) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Name
	}
	return out
}

// order returns the indexes of all so that everyone comes after those that it
// depends on, and otherwise in the order of the list. A cycle is an error that
// shows it.
func order(all []Service) ([]int, error) {
	index := map[string]int{}
	providers := map[string]string{}
	for i := range all {
		index[all[i].Name] = i
		for _, c := range all[i].Provides {
			providers[c] = all[i].Name
		}
	}
	const (
		unseen = iota
		open
		closed
	)
	mark := make([]int, len(all))
	var out []int
	var trail []string
	var visit func(i int) error
	visit = func(i int) error {
		trail = append(trail, all[i].Name)
		defer func() { trail = trail[:len(trail)-1] }()
		switch mark[i] {
		case closed:
			return nil
		case open:
			return fmt.Errorf("check services: a cycle: %s", strings.Join(trail[slices.Index(trail, all[i].Name):], " → "))
		}
		mark[i] = open
		edges := all[i].edges()
		if p, ok := providers[all[i].Name]; ok {
			edges = append(edges, edge{provider, p})
		}
		for _, e := range edges {
			if j, ok := index[e.to]; ok { // an unknown name is withConditions's error
				if err := visit(j); err != nil {
					return err
				}
			}
		}
		mark[i] = closed
		out = append(out, i)
		return nil
	}
	for i := range all {
		if err := visit(i); err != nil {
			return nil, err
		}
	}
	return out, nil
}
