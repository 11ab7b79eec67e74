package burn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// Where GPUs are found.
const (
	pciDir    = "sys/bus/pci/devices"
	driverDir = "proc/driver/nvidia/gpus" // NVIDIA's driver: a folder a GPU that it serves
)

// card is a GPU on the bus.
type card struct {
	address string
	uuid    string // empty: its driver does not say
	served  bool   // by NVIDIA's driver
	link    hwreport.GPULinkAt
}

// findCards lists NVIDIA's GPUs in the order of the bus.
func findCards(root fs.FS) ([]card, error) {
	entries, err := fs.ReadDir(root, pciDir)
	if err != nil {
		return nil, fmt.Errorf("look for GPUs: %w", err)
	}
	var cards []card
	for _, e := range entries {
		dir := path.Join(pciDir, e.Name())
		if word(root, dir+"/vendor") != "0x10de" || !strings.HasPrefix(word(root, dir+"/class"), "0x03") {
			continue
		}
		c := card{address: e.Name(), link: linkOf(root, e.Name())}
		if info, err := fs.ReadFile(root, path.Join(driverDir, c.address, "information")); err == nil {
			c.served = true
			for line := range strings.Lines(string(info)) {
				if k, v, _ := strings.Cut(line, ":"); strings.TrimSpace(k) == "GPU UUID" {
					c.uuid = strings.TrimSpace(v)
				}
			}
		}
		cards = append(cards, c)
	}
	slices.SortFunc(cards, func(a, b card) int { return strings.Compare(a.address, b.address) })
	return cards, nil
}

func word(root fs.FS, name string) string {
	b, _ := fs.ReadFile(root, name)
	return strings.TrimSpace(string(b))
}

// linkOf is the link that both ends can have (sysfs-bus-pci: max_link_speed,
// max_link_width). 0: unknown.
func linkOf(root fs.FS, address string) hwreport.GPULinkAt {
	end := func(dir string) hwreport.GPULinkAt {
		width, _ := strconv.ParseInt(word(root, dir+"/max_link_width"), 10, 64)
		speed, _, _ := strings.Cut(word(root, dir+"/max_link_speed"), " ")
		return hwreport.GPULinkAt{Width: width, Generation: int64(slices.Index([]string{"", "2.5", "5.0", "8.0", "16.0", "32.0", "64.0"}, speed))}
	}
	own := end(path.Join(pciDir, address))
	target, err := fs.ReadLink(root, path.Join(pciDir, address))
	if err != nil {
		return own
	}
	port := end(path.Join(pciDir, path.Base(path.Dir(target))))
	if port.Width > 0 {
		own.Width = min(own.Width, port.Width)
	}
	if port.Generation > 0 {
		own.Generation = min(own.Generation, port.Generation)
	}
	return own
}

// choose picks the cards that a list names: numbers in the order of the bus,
// UUIDs or addresses.
func choose(cards []card, list string) ([]card, error) {
	if list == "all" {
		return cards, nil
	}
	var chosen []card
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(cards, func(c card) bool {
			return strings.EqualFold(name, c.uuid) && c.uuid != "" || strings.EqualFold(name, c.address) || strings.EqualFold("0000:"+name, c.address)
		})
		if n, err := strconv.Atoi(name); i < 0 && err == nil && n >= 0 && n < len(cards) {
			i = n
		}
		if i < 0 {
			var there []string
			for n, c := range cards {
				there = append(there, strings.TrimSpace(fmt.Sprintf("%d: %s %s", n, c.address, c.uuid)))
			}
			return nil, fmt.Errorf("there is no GPU %q; there is %s", name, strings.Join(there, ", "))
		}
		if !slices.Contains(chosen, cards[i]) {
			chosen = append(chosen, cards[i])
		}
	}
	return chosen, nil
}

// gpuPart is a GPU under load.
type gpuPart struct {
	*part
	card
	device     *gpuline.Device
	failed     *gpuline.Failed
	distrusted []string // kernels
	done       bool
	watch
}

// burnGPUs starts a worker a GPU, all at once, and NVML beside them.
func burnGPUs(ctx context.Context, j *job) error {
	cards, err := findCards(j.root)
	if err != nil {
		return err
	}
	if len(cards) == 0 {
		return errors.New("no NVIDIA GPU is on the PCI bus")
	}
	if cards, err = choose(cards, j.gpus); err != nil {
		return err
	}
	var gpus []*gpuPart
	for _, c := range cards {
		id := hwreport.ID("gpu", c.uuid, c.address)
		gpus = append(gpus, &gpuPart{card: c, part: j.add(hwreport.BurnPart{Kind: "gpu", ID: id, Name: c.address})})
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var sampling, work sync.WaitGroup
	limit, ready, watched := j.left(), make(chan struct{}), false
	sampling.Go(func() { watched = j.watchGPUs(watching, gpus, sync.OnceFunc(func() { close(ready) })) })
	// What the counters had before the load is part of what is measured. GPUs
	// have their whole time nevertheless.
	select {
	case <-ready:
	case <-ctx.Done():
	case <-time.After(j.firstSample):
	}
	for _, g := range gpus {
		work.Go(func() { j.burnGPU(ctx, g, limit) })
	}
	work.Wait()
	ended := time.Now()
	stop()
	sampling.Wait()
	if watched {
		for _, g := range gpus {
			j.judgeWatch(g, ended)
		}
	}
	j.judgeGPUs(gpus)
	return nil
}

// burnGPU runs one worker.
func (j *job) burnGPU(ctx context.Context, g *gpuPart, limit time.Duration) {
	untested := func(format string, args ...any) {
		j.change(func() { g.Untested = fmt.Sprintf(format, args...) })
	}
	if !g.served {
		untested("NVIDIA's driver does not serve it: %s/%s is not there", driverDir, g.address)
		return
	}
	args, err := j.command(gpuline.Program, "--gpu", g.address, "--time", limit.String())
	if err != nil {
		untested("the image has no worker for GPUs: %v", err)
		return
	}
	j.change(func() { g.working, g.began = true, time.Now() })
	err = j.child(ctx, limit+j.grace, args, nil, func(b []byte) { j.change(func() { g.line(b) }) })
	j.change(func() {
		g.working = false
		switch f := g.failed; {
		case ctx.Err() != nil:
			g.Untested = "ended early" + g.during()
		case f != nil && f.Load:
			// A finding of its own.
		case f != nil:
			g.Untested = "the worker gave up: " + f.Error + hint(f.Code)
		case err != nil:
			g.Untested = "the worker failed: " + err.Error() + g.during()
		case !g.done:
			g.Untested = "the worker ended without saying that it was done" + g.during()
		}
	})
}

// hint is what a CUresult of the beginning often means, where its text does not
// say.
func hint(code int) string {
	switch code {
	case 100, 101: // NO_DEVICE, INVALID_DEVICE
		return "; so it is with a GPU that fell off the bus, or one in MIG mode without an instance"
	case 802: // SYSTEM_NOT_READY
		return "; GPUs behind NVSwitch need the fabric manager, which has not set them up"
	case 803: // SYSTEM_DRIVER_MISMATCH
		return "; the kernel's driver and libcuda.so.1 are of different releases"
	}
	return ""
}

// during names what the worker was about.
func (g *gpuPart) during() string {
	if g.now.test == "" {
		return ""
	}
	return ", during " + g.now.test
}

// line takes what a worker said.
func (g *gpuPart) line(b []byte) {
	var l gpuline.Line
	if json.Unmarshal(b, &l) != nil {
		return // of a library that talks
	}
	switch {
	case l.Device != nil:
		g.device = l.Device
		g.Name = g.address + " " + plain(strings.TrimPrefix(l.Device.Name, "NVIDIA "))
	case l.Progress != nil:
		g.now.test, g.now.rate, g.now.unit, g.now.errors = plain(l.Progress.Test), l.Progress.Rate, l.Progress.Unit, l.Progress.Errors
	case l.Result != nil:
		r := l.Result
		t := hwreport.BurnTest{Name: r.Test, Kernel: r.Kernel, Skipped: r.Skipped, Unit: r.Unit, Iterations: r.Iterations, Tested: int64(r.Tested), Errors: r.Errors + r.NaNs, NaNs: r.NaNs}
		if r.Skipped == "" && r.Rate > 0 { // one that did not end has none
			t.Rate = hwreport.Value(r.Rate)
		}
		t.Against = hwreport.Absent[float64]()
		if r.Against > 0 {
			t.Against = hwreport.Value(r.Against)
		}
		for _, w := range r.First {
			t.First = append(t.First, hwreport.BurnWrong{Where: fmt.Sprintf("byte %#x", w.Offset), Got: fmt.Sprintf("%#08x", w.Got), Want: fmt.Sprintf("%#08x", w.Want)})
		}
		g.Tests = append(g.Tests, t)
		g.distrusted = append(g.distrusted, r.Distrusted...)
	case l.Failed != nil:
		g.failed = l.Failed
	case l.Done:
		g.done = true
	}
}
