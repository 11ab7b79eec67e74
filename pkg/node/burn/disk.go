package burn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/hwreport"
)

// How disks are read.
const (
	readBytes  = 4 << 20  // at once, one after the other
	retryBytes = 64 << 10 // to find what is bad in that
	peekBytes  = 4 << 10  // at a random place
	peekEvery  = 64 << 20 // bytes read between two of those
	regions    = 100      // that a disk is divided into
	manyErrors = 1000     // after which a disk is given up
	patience   = 30 * time.Second
)

// disk is a block device that is read. It has no way to be written.
type disk interface {
	io.ReaderAt
	io.Closer
	Direct() bool // past the page cache
}

// device is a disk, opened for reading.
type device struct {
	fd     int
	direct bool
}

func openDisk(name string) (disk, error) {
	file := "/dev/" + name
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_DIRECT, 0)
	if err == nil {
		return device{fd, true}, nil
	}
	if !errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	if fd, err = unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open %s: %w", file, err)
	}
	return device{fd, false}, nil
}

func (d device) ReadAt(b []byte, at int64) (int, error) {
	for {
		n, err := unix.Pread(d.fd, b, at)
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

func (d device) Close() error { return unix.Close(d.fd) }
func (d device) Direct() bool { return d.direct }

// burnDisks reads disks, all at once.
func burnDisks(ctx context.Context, j *job) error {
	there, err := findDisks(j.root)
	if err != nil {
		return err
	}
	names := j.disks
	if len(names) == 0 {
		if names = there; len(names) == 0 {
			return errors.New("there is no disk")
		}
	}
	for _, n := range names {
		if !slices.Contains(there, n) {
			return fmt.Errorf("there is no disk %q; there is %s", n, strings.Join(there, ", "))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, j.left())
	defer cancel()
	var work sync.WaitGroup
	for _, n := range names {
		work.Go(func() { j.burnDisk(ctx, n) })
	}
	work.Wait()
	return nil
}

// findDisks lists whole disks (sysfs: /sys/block) that are hardware and hold
// something. Of an NVMe namespace that several paths lead to, the paths are hidden
// and have no device node; it lies itself below virtual, as RAM disks do.
func findDisks(root fs.FS) ([]string, error) {
	entries, err := fs.ReadDir(root, "sys/block")
	if err != nil {
		return nil, fmt.Errorf("look for disks: %w", err)
	}
	var names []string
	for _, e := range entries {
		dir := path.Join("sys/block", e.Name())
		_, err := fs.Stat(root, dir+"/device") // loop, ram, zram, dm and md have none
		target, _ := fs.ReadLink(root, dir)
		physical := err == nil || strings.Contains(target, "/virtual/nvme-subsystem/")
		if physical && word(root, dir+"/hidden") != "1" && number(root, dir+"/size") > 0 && !strings.HasPrefix(e.Name(), "sr") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// reading is a disk that is read.
type reading struct {
	*job
	part   *part
	disk   disk
	size   int64
	bytes  []int64         // read, by region
	took   []time.Duration // for that
	peeks  int64
	waited time.Duration // for peeks
	worst  time.Duration
	errors int64
	first  []hwreport.BurnWrong
	at     int64 // where it reads now
	passes int64
	gaveUp string
}

func (j *job) burnDisk(ctx context.Context, name string) {
	size := number(j.root, "sys/block/"+name+"/size") * 512 // in sectors of 512 bytes, whatever the disk's
	wwid := word(j.root, "sys/block/"+name+"/device/wwid") + word(j.root, "sys/block/"+name+"/wwid")
	p := j.add(hwreport.BurnPart{Kind: "disk-read", ID: hwreport.ID("disk", wwid, word(j.root, "sys/block/"+name+"/device/serial"), name),
		Name: strings.TrimSpace(name + " " + word(j.root, "sys/block/"+name+"/device/model"))})
	d, err := j.open(name)
	if err != nil {
		j.change(func() { p.Untested = err.Error() })
		return
	}
	if !d.Direct() {
		j.find(hwreport.Info, "burn.cached", p.ID, p.Name+": it cannot be read past the page cache: rates may be those of memory")
	}
	r := &reading{job: j, part: p, disk: d, size: size, bytes: make([]int64, regions), took: make([]time.Duration, regions)}
	ended := make(chan bool)
	go func() {
		r.run(ctx)
		d.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		select {
		case <-ended:
		case <-time.After(patience):
			j.change(func() { p.Untested = fmt.Sprintf("a read at byte %d hangs", r.at) })
		}
	}
	j.judgeDisk(r)
}

// run reads the disk from its beginning, again and again, with looks at random
// places between.
func (r *reading) run(ctx context.Context) {
	b, err := unix.Mmap(-1, 0, readBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS) // aligned, as O_DIRECT wants
	if err != nil {
		r.change(func() { r.gaveUp = err.Error() })
		return
	}
	defer unix.Munmap(b)
	began := time.Now()
	place, since := uint64(88172645463325252), int64(0)
	read := int64(0)
	for at := int64(0); ctx.Err() == nil; {
		n := min(readBytes, r.size-at)
		d, bad := r.piece(b[:n], at)
		read += n
		since += n
		r.change(func() {
			r.at = at
			region := at * regions / r.size
			if bad == 0 {
				r.bytes[region] += n
				r.took[region] += d
			}
			r.errors += bad
			r.part.now.test, r.part.now.unit, r.part.now.errors = "read", "B/s", r.errors
			r.part.now.rate = float64(read) / time.Since(began).Seconds()
			if r.errors >= manyErrors {
				r.gaveUp = fmt.Sprintf("%d reads failed", r.errors)
			}
		})
		if r.gaveUp != "" {
			return
		}
		if at += n; at >= r.size {
			at = 0
			r.change(func() { r.passes++ })
		}
		for ; since >= peekEvery && ctx.Err() == nil; since -= peekEvery {
			for range 8 {
				place = noise(place)
				where := int64(place%uint64(max(1, r.size/peekBytes))) * peekBytes
				begin := time.Now()
				_, err := r.disk.ReadAt(b[:peekBytes], where)
				d := time.Since(begin)
				r.change(func() {
					r.peeks++
					r.waited += d
					r.worst = max(r.worst, d)
				})
				if err != nil {
					r.wrong(where, peekBytes, err)
					r.change(func() { r.errors++ })
				}
			}
		}
	}
}

// piece reads one piece, and of one that is bad the parts, to name them.
func (r *reading) piece(b []byte, at int64) (d time.Duration, bad int64) {
	begin := time.Now()
	n, err := r.disk.ReadAt(b, at)
	d = time.Since(begin)
	if err == nil && n == len(b) {
		return d, 0
	}
	for from := 0; from < len(b); from += retryBytes {
		to := min(len(b), from+retryBytes)
		n, err := r.disk.ReadAt(b[from:to], at+int64(from))
		if err == nil && n < to-from {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			bad++
			r.wrong(at+int64(from), to-from, err)
		}
	}
	if bad == 0 { // it could be read when asked again
		bad = 1
		r.wrong(at, len(b), fmt.Errorf("%w; every part of it could be read when asked again", errOr(err, io.ErrUnexpectedEOF)))
	}
	return d, bad
}

func errOr(err, def error) error {
	if err != nil {
		return err
	}
	return def
}

func (r *reading) wrong(at int64, n int, err error) {
	r.change(func() {
		if len(r.first) < kept {
			r.first = append(r.first, hwreport.BurnWrong{Where: fmt.Sprintf("byte %d", at), Got: err.Error(), Want: fmt.Sprintf("%d bytes", n)})
		}
	})
}

// judgeDisk makes tests and findings of what was read.
func (j *job) judgeDisk(r *reading) {
	find := func(s hwreport.Severity, code, message string, evidence ...hwreport.Evidence) {
		j.find(s, code, r.part.ID, r.part.Name+": "+message, evidence...)
	}
	j.mu.Lock()
	p, first := r.part, r.first
	var read int64
	var took time.Duration
	var rates []float64
	for i := range r.bytes {
		read += r.bytes[i]
		took += r.took[i]
		if r.took[i] > 0 {
			rates = append(rates, float64(r.bytes[i])/r.took[i].Seconds())
		}
	}
	all := 0.0
	if took > 0 {
		all = float64(read) / took.Seconds()
	}
	p.Tests = append(p.Tests, hwreport.BurnTest{Name: "read", Unit: "B/s", Rate: hwreport.Value(all), Iterations: r.passes, Tested: min(read, r.size), Errors: r.errors, First: first, Against: hwreport.Absent[float64]()})
	if r.peeks > 0 {
		p.Tests = append(p.Tests, hwreport.BurnTest{Name: "random", Unit: "reads/s", Rate: hwreport.Value(float64(r.peeks) / max(r.waited.Seconds(), 1e-9)), Iterations: r.peeks, Against: hwreport.Absent[float64]()})
	}
	if read == 0 && r.errors == 0 && p.Untested == "" {
		p.Untested = strings.TrimSpace("nothing of it was read " + r.gaveUp)
	}
	var slow []string
	if len(rates) >= 3 {
		m := median(rates)
		for i := range r.bytes {
			if r.took[i] == 0 {
				continue
			}
			if v := float64(r.bytes[i]) / r.took[i].Seconds(); v < diskRegionWarning*m {
				slow = append(slow, fmt.Sprintf("from byte %d: %s, the median is %s", int64(i)*r.size/regions, rate(v, "B/s"), rate(m, "B/s")))
			}
		}
	}
	bad, passes, worst, gaveUp := r.errors, r.passes, r.worst, r.gaveUp
	j.mu.Unlock()
	if bad > 0 {
		var evidence []hwreport.Evidence
		for _, w := range first {
			evidence = append(evidence, hwreport.Evidence{Source: w.Where, Value: w.Got})
		}
		message := fmt.Sprintf("%d reads failed, the first at %s", bad, first[0].Where)
		if gaveUp != "" {
			message += "; the rest was not read"
		}
		find(hwreport.Failure, "burn.io-error", message, evidence...)
	}
	for _, s := range slow[:min(len(slow), kept)] {
		find(hwreport.Warning, "burn.slow-region", "slow "+s)
	}
	if passes == 0 && read > 0 {
		severity := hwreport.Info
		if len(j.disks) > 0 { // who named it means all of it
			severity = hwreport.Warning
		}
		find(severity, "burn.partly-read", fmt.Sprintf("the time was enough for %.1f %% of it", 100*float64(read)/float64(r.size)))
	}
	if worst > time.Second {
		find(hwreport.Warning, "burn.slow-region", fmt.Sprintf("a read of %d bytes took %v", peekBytes, worst.Round(time.Millisecond)))
	}
}
