package main

import (
	"fmt"
	"math"
	"time"

	"github.com/bee-os/bee/cmds/standalone/gpuworker/kernels"
	"github.com/bee-os/bee/pkg/node/burn/gpuline"
)

// matrices says how a test's product is made. Tensor kernels multiply rows with
// rows (c = a·bᵀ), the others columns with columns (c = aᵀ·b).
type matrices struct {
	kind          uint32
	size, out     uint64 // bytes of a number of an operand and of the product
	rows, columns uint64 // of a block's tile
	tensor        bool
	tolerance     float64  // of an element against its exact value, of the sum of |a·b|
	kernels       []string // that make it; the fastest is taken
}

func matricesOf(test string) matrices {
	tensor := matrices{size: 2, out: 4, rows: 128, columns: 256, tensor: true, tolerance: 2e-5}
	switch test {
	case "fp32":
		return matrices{kernels.F32, 4, 4, 128, 128, false, 2e-5, []string{"product_f32"}}
	case "fp64":
		return matrices{kernels.F64, 8, 8, 128, 128, false, 1e-13, []string{"product_f64"}}
	case "tf32":
		tensor.kind, tensor.size, tensor.kernels = kernels.TF32, 4, []string{"product_tf32_64", "product_tf32_128", "product_tf32_wgmma"}
	case "fp16":
		tensor.kind, tensor.kernels = kernels.F16, []string{"product_f16_64", "product_f16_128", "product_f16_wgmma"}
	case "bf16":
		tensor.kind, tensor.kernels = kernels.BF16, []string{"product_bf16_64", "product_bf16_128", "product_bf16_wgmma"}
	}
	return tensor
}

// Seeds of the operands.
const (
	seedA = 0x0badcafe
	seedB = 0x5eed5eed
)

// work is a product on the device.
type work struct {
	*session
	matrices
	r               *gpuline.Result
	kernel          string
	width           uint64 // bytes of k
	tm, tn          uint64 // tiles
	a, b, c, expect uint64
}

func (w *work) m() uint64      { return w.tm * w.rows }
func (w *work) n() uint64      { return w.tn * w.columns }
func (w *work) k() uint64      { return w.width / w.size }
func (w *work) bytes() uint64  { return w.m() * w.n() * w.out }
func (w *work) flop() float64  { return 2 * float64(w.m()) * float64(w.n()) * float64(w.k()) }
func (w *work) held() uint64   { return (w.m()+w.n())*w.width + 2*w.bytes() }
func (w *work) launch() error  { return w.launchOf(w.kernel) }
func (w *work) blocks() uint64 { return w.tm * w.tn }
func (w *work) wide() uint64   { return b2u(w.out == 8) }
func (w *work) length() uint64 { // of k as the kernels want it
	if w.tensor {
		return w.width
	}
	return w.k()
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func (w *work) launchOf(kernel string) error {
	return w.gpu.Launch(kernel, w.blocks(), w.a, w.b, w.c, w.length(), w.tm, w.tn)
}

func (w *work) compare() error {
	return w.gpu.Launch("compare", w.spread(), w.c, w.expect, w.bytes()/16, w.wide(), w.log.at)
}

// choose decides on sizes: a long k, and so many tiles that multiprocessors
// end together; less of both where memory is small.
func (w *work) choose(free uint64) error {
	sms := uint64(w.gpu.Device().Multiprocessors)
	waves := uint64(32)
	for w.width = 16 << 10; ; {
		w.tm, w.tn = grid(sms*waves, w.columns/w.rows)
		switch {
		case w.held() <= free/2:
			return nil
		case w.width > 2<<10:
			w.width /= 2
		case waves > 1:
			waves /= 2
		default:
			return fmt.Errorf("test %s: %d bytes of free memory are too few", w.r.Test, free)
		}
	}
}

// grid chooses how many tiles a matrix has each way: as near to all as can be
// and never more, for a matrix that is about as wide as it is high. ratio is
// that of a tile's sides.
func grid(tiles, ratio uint64) (tm, tn uint64) {
	square := max(1, uint64(math.Sqrt(float64(tiles)/float64(ratio))))
	best := uint64(0)
	for n := square; n >= max(1, square/2); n-- {
		if m := tiles / n; m*n > best {
			best, tm, tn = m*n, m, n
		}
	}
	return tm, tn
}

// product multiplies matrices until the time is over, and holds every product
// against the first, bit by bit; of the first, elements are computed on the
// host.
func product(s *session, p phase, until time.Time) (results []gpuline.Result, err error) {
	r := gpuline.Result{Test: p.name, Unit: gpuline.FLOPS}
	defer func() {
		if err != nil {
			results = counted(r)
		}
	}()
	w := &work{session: s, matrices: matricesOf(p.name), r: &r}
	free, err := s.gpu.Free()
	if err != nil {
		return nil, err
	}
	if err := w.choose(free); err != nil {
		return nil, err
	}
	for at, bytes := range map[*uint64]uint64{&w.a: w.m() * w.width, &w.b: w.n() * w.width, &w.c: w.bytes(), &w.expect: w.bytes()} {
		if *at, err = s.gpu.Alloc(bytes); err != nil {
			return nil, err
		}
		defer s.gpu.Release(*at)
	}
	fill := func(at, bytes, seed uint64) func() error {
		return func() error { return s.gpu.Launch("fill", s.spread(), at, bytes/16, uint64(w.kind), seed) }
	}
	if err := inTurn(
		s.log.clear, fill(w.a, w.m()*w.width, seedA), fill(w.b, w.n()*w.width, seedB),
		w.fastest, w.launch, func() error { return s.gpu.Copy(w.expect, w.c, w.bytes()) },
		w.proves, s.log.clear,
	); err != nil {
		return nil, err
	}
	library, err := w.library()
	if err != nil {
		return nil, err
	}
	var took time.Duration
	for once := false; !once || time.Now().Before(until); once = true {
		d, err := s.gpu.Time(w.launch)
		if err != nil {
			return nil, err
		}
		if err := w.compare(); err != nil {
			return nil, err
		}
		took += d
		r.Iterations++
		r.Rate = perSecond(w.flop()*float64(r.Iterations), took)
		if s.due(until) {
			if err := s.fetch(&r); err != nil {
				return nil, err
			}
		}
	}
	if err := s.fetch(&r); err != nil {
		return nil, err
	}
	if library > 0 {
		r.Against = r.Rate / library
	}
	return []gpuline.Result{r}, nil
}

// fastest tries the kernels that this GPU can run. One whose product is wrong
// where another's is right is not taken, and named: the fault is then more
// likely its own than the GPU's.
func (w *work) fastest() error {
	var best time.Duration
	var bad []gpuline.Wrong
	for _, kernel := range w.kernels {
		if !w.gpu.Has(kernel) {
			continue
		}
		launch := func() error { return w.launchOf(kernel) }
		if err := launch(); err != nil { // warm
			return err
		}
		wrong, err := w.wrongElements()
		if err != nil {
			return err
		}
		if wrong != nil {
			w.r.Distrusted, bad = append(w.r.Distrusted, kernel), wrong
			continue
		}
		d, err := w.gpu.Time(func() error { return inTurn(launch, launch) })
		if err != nil {
			return err
		}
		if w.kernel == "" || d < best {
			w.kernel, best = kernel, d
		}
	}
	switch {
	case w.kernel != "":
	case w.r.Distrusted != nil: // no kernel is right: it is the GPU
		w.kernel, w.r.Distrusted = w.r.Distrusted[0], nil
		w.r.Errors += int64(len(bad))
		w.r.First = append(w.r.First, bad...)
	default:
		return fmt.Errorf("test %s: the GPU has room for none of its kernels", w.r.Test)
	}
	w.r.Kernel = w.kernel
	return nil
}

// probes is how many elements of a product are computed on the host.
const probes = 32

// wrongElements holds elements all over a product against what the host
// computes.
func (w *work) wrongElements() (wrong []gpuline.Wrong, err error) {
	b := make([]byte, 8)
	for i := range uint64(probes) {
		y, x := (i*0x9e3779b1+7)%w.m(), (i*0x85ebca6b+3)%w.n()
		offset := (y*w.n() + x) * w.out
		if err := w.gpu.Get(b[:w.out], w.c+offset); err != nil {
			return nil, err
		}
		word := words(b)[0]
		got := math.Float64frombits(word)
		if w.out == 4 {
			got = float64(math.Float32frombits(uint32(word)))
		}
		sum, all := w.element(y, x)
		if off := math.Abs(got - sum); !(off <= w.tolerance*all) {
			wrong = append(wrong, gpuline.Wrong{Offset: offset, Got: math.Float32bits(float32(got)), Want: math.Float32bits(float32(sum))})
		}
	}
	return wrong, nil
}

// element is one element of the product, and the sum of its terms' magnitudes.
func (w *work) element(y, x uint64) (sum, all float64) {
	for k := range w.k() {
		ia, ib := k*w.m()+y, k*w.n()+x
		if w.tensor {
			ia, ib = y*w.k()+k, x*w.k()+k
		}
		p := kernels.Number(w.kind, seedA, ia) * kernels.Number(w.kind, seedB, ib)
		sum += p
		all += math.Abs(p)
	}
	return sum, all
}

// proves flips a bit of a product behind the comparison's back and wants it
// counted. Whatever else the comparison sees is counted for good: a GPU that
// gives no numbers is broken, not untested.
func (w *work) proves() error {
	offset := w.bytes() / 3 / 8 * 8
	if err := inTurn(func() error { return flip(w.gpu, w.c+offset) }, w.compare); err != nil {
		return err
	}
	var r gpuline.Result
	if err := w.log.read(&r, 0); err != nil {
		return err
	}
	// What is wrong beside the flipped bit is the GPU's own: the operands are
	// finite and small, and the product is held against a copy of itself.
	w.r.NaNs += r.NaNs
	w.r.Errors += max(0, r.Errors-1)
	for _, f := range r.First {
		if f.Offset != offset && len(w.r.First) < kernels.LogKept {
			w.r.First = append(w.r.First, f)
			w.r.Bits |= uint64(f.Got ^ f.Want)
		}
	}
	if r.Errors == 0 || r.Errors == 1 && r.First[0].Offset != offset {
		return fmt.Errorf("test %s: one bit was flipped on purpose at byte %d, and the comparison counts %d errors", w.r.Test, offset, r.Errors)
	}
	return nil
}

// library is the rate of NVIDIA's own product of the same matrices, 0 where
// none was asked for. It writes into c.
func (w *work) library() (float64, error) {
	if w.session.library == nil || !w.tensor {
		return 0, nil
	}
	multiply := func() error {
		return w.session.library.Product(w.r.Test, w.a, w.b, w.c, int(w.m()), int(w.n()), int(w.k()))
	}
	if err := multiply(); err != nil {
		return 0, err
	}
	const times = 10
	d, err := w.gpu.Time(func() error {
		for range times {
			if err := multiply(); err != nil {
				return err
			}
		}
		return nil
	})
	return perSecond(times*w.flop(), d), err
}
