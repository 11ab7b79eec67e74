// Package nocloud takes SSH keys and the host name from a NoCloud seed, as
// hypervisors give one to cloud images (cloud-init,
// reference/datasources/nocloud): a volume labelled cidata with the files
// meta-data and user-data. It reads the volume without mounting it, runs nothing
// of it and fetches nothing; what it does not honour it names.
//
// Who writes a seed becomes root. In a virtual machine that is who attaches its
// disks, who owns it anyway; the disks of a server may hold what somebody left
// there who used it before. So a seed is taken in virtual machines, and
// elsewhere only with bee.nocloud=on.
package nocloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/node/nocloud/seedstate"
)

// patience is how long a volume may take to appear after the drivers are there.
// Later ones are not looked at: long after its boot a machine takes no keys from
// a disk.
const patience = time.Minute

// Service looks for a seed.
type Service struct {
	Root   fs.FS                               // with sys: the machine
	Open   func(device string) (device, error) // by its name in sysfs
	Events <-chan string                       // block devices that came or changed; "": look at all. May be nil
	Take   func(Seed) (text string, err error) // puts it into force and says so in words
	Tell   func(seedstate.State) error         // for the rest of the node
	Out    io.Writer                           // a line for each event
	Ready  func()                              // the first look is done
	Status func(text string)                   // a word on how things are
	Sorry  func(text string)                   // what did not go well
	Skip   func(text string)                   // there is no seed
}

// Run looks at every block device, then at those that appear, until there is a
// seed or none came in time. Its error means that a seed could not be put into
// force.
func (s *Service) Run(ctx context.Context) error {
	names, err := candidates(s.Root)
	if err != nil {
		return err
	}
	found := s.lookAt(ctx, names)
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	if len(found) == 0 {
		s.Ready()
		s.Status(fmt.Sprintf("%v among %d disks and partitions; waiting for one for %v", errNoSeed, len(names), patience))
	}
	for len(found) == 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-deadline.C:
			fmt.Fprintln(s.Out, errNoSeed)
			s.Skip(errNoSeed.Error())
			return nil
		case name := <-s.Events:
			if names, err = candidates(s.Root); err != nil {
				return err
			}
			if name != "" {
				names = only(names, name)
			}
			found = s.lookAt(ctx, names)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return s.choose(found)
}

// only is name, if it is among the names.
func only(names []string, name string) []string {
	for _, n := range names {
		if n == name {
			return []string{n}
		}
	}
	return nil
}

// lookAt asks devices at the same time and returns the seeds, in the order of
// the names.
func (s *Service) lookAt(ctx context.Context, names []string) []media {
	answers := make([]media, len(names))
	errs := make([]error, len(names))
	places := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			answers[i], errs[i] = look(ctx, s.Open, name)
		})
	}
	wg.Wait()
	var found []media
	for i, m := range answers {
		switch {
		case errs[i] == nil:
			found = append(found, m)
		case !errors.Is(errs[i], errNoSeed) && ctx.Err() == nil:
			fmt.Fprintf(s.Out, "%s: not looked into: %v\n", names[i], errs[i])
		}
	}
	return found
}

// choose takes the one seed that there is. The same seed seen twice, as a disk
// with two paths or a hybrid image and its partition show it, is one.
func (s *Service) choose(found []media) error {
	var usable []media
	var problems []string
	for _, m := range found {
		if m.err != nil {
			problems = append(problems, fmt.Sprintf("the seed on %s is of no use: %v", m.device, m.err))
			continue
		}
		if len(usable) == 0 || !usable[0].equal(m) {
			usable = append(usable, m)
		}
	}
	if len(usable) > 1 {
		var names []string
		for _, m := range usable {
			names = append(names, m.device)
		}
		problems = append(problems, fmt.Sprintf("%d different seeds, on %s: none is taken, because which one is meant cannot be known; leave one", len(usable), strings.Join(names, ", ")))
		usable = nil
	}
	if len(usable) == 0 {
		s.Ready()
		s.sorry(problems)
		return nil
	}
	return s.take(usable[0], problems)
}

func (s *Service) take(m media, problems []string) error {
	seed := Parse(m.meta, m.user)
	seed.NotHonoured = append(seed.NotHonoured, m.extra...)
	problems = append(problems, seed.Problems...)
	text, err := s.Take(seed)
	if err != nil {
		return fmt.Errorf("take the seed on %s: %w", m.device, err)
	}
	st := seedstate.State{Device: m.device, Type: m.kind, InstanceID: seed.InstanceID, Hostname: seed.Hostname, Keys: []string{}, NotHonoured: []string{}, Problems: []string{}}
	for _, k := range seed.Keys {
		st.Keys = append(st.Keys, k.Fingerprint)
		fmt.Fprintf(s.Out, "SSH key %s %s %s\n", k.Type, k.Fingerprint, k.Comment)
	}
	st.NotHonoured, st.Problems = append(st.NotHonoured, seed.NotHonoured...), append(st.Problems, problems...)
	if err := s.Tell(st); err != nil {
		return err
	}
	s.Ready()
	words := describe(m, seed, text)
	fmt.Fprintln(s.Out, words)
	s.Status(words)
	s.sorry(problems)
	return nil
}

// sorry tells what did not go well, in the log in full and to the supervisor in
// short.
func (s *Service) sorry(problems []string) {
	for _, p := range problems {
		fmt.Fprintln(s.Out, p)
	}
	switch len(problems) {
	case 0:
	case 1:
		s.Sorry(problems[0])
	default:
		s.Sorry(fmt.Sprintf("%s (and %d more, see svc log nocloud)", problems[0], len(problems)-1))
	}
}

// describe is what was taken, in a line.
func describe(m media, seed Seed, text string) string {
	words := []string{fmt.Sprintf("seed on %s (%s)", m.device, m.kind)}
	if seed.InstanceID != "" {
		words[0] += ", instance " + shorten(seed.InstanceID)
	}
	words = append(words, text)
	if seed.Hostname != "" {
		words = append(words, "host name "+seed.Hostname)
	}
	if len(seed.NotHonoured) > 0 {
		words = append(words, "not honoured: "+strings.Join(seed.NotHonoured, ", "))
	}
	return strings.Join(words, "; ")
}

// blockDevice is the device of an event's path in sysfs; empty: it is of none.
func blockDevice(sysPath string) string {
	if !strings.Contains("/"+sysPath, "/block/") {
		return ""
	}
	return path.Base(sysPath)
}
