package driver

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// Suffix is what a packed module's name ends in: the kernel unpacks it itself
// (finit_module(2), MODULE_INIT_COMPRESSED_FILE).
const Suffix = ".ko.xz"

// signHash is what the signature is made over, as sign-file calls it: the digest
// that the kernel uses for its own modules
// (CONFIG_MODULE_SIG_HASH).
const signHash = "sha256"

// Pair is a key and its certificate: PEM files. The zero Pair signs nothing.
type Pair struct{ Key, Cert string }

// Set says whether there is one. Half of one is an error.
func (p Pair) Set() (bool, error) {
	switch {
	case p.Key == "" && p.Cert == "":
		return false, nil
	case p.Key == "":
		return false, errors.New("sign modules: BEE_MODULE_CERT is set and BEE_MODULE_KEY is not; set both or none")
	case p.Cert == "":
		return false, errors.New("sign modules: BEE_MODULE_KEY is set and BEE_MODULE_CERT is not; set both or none")
	}
	return true, nil
}

// Certificate reads the pair's certificate, after a check that key and
// certificate belong together.
func (p Pair) Certificate() (*x509.Certificate, error) { return loadPair(p) }

// Pack gives the driver's modules as an image carries them: signed where there
// is a pair, then compressed as the kernel's own are. Files is replaced. What
// was packed before is found in the cache; a key never gets there.
func (d Driver) Pack(ctx context.Context, c Config, pair Pair) (Driver, error) {
	sign, err := pair.Set()
	if err != nil {
		return Driver{}, err
	}
	dir := filepath.Dir(d.Files[0])
	name := "packed"
	if sign {
		cert, err := loadPair(pair)
		if err != nil {
			return Driver{}, err
		}
		d.Signer = cert.Subject.String()
		name = fmt.Sprintf("packed-%x", sha256.Sum256(cert.Raw))
	}
	out := filepath.Join(dir, name)
	packed := d
	packed.Files = nil
	for _, f := range d.Files {
		packed.Files = append(packed.Files, filepath.Join(out, strings.TrimSuffix(filepath.Base(f), ".ko")+Suffix))
	}
	if complete(packed.Files) {
		return packed, nil
	}
	box, err := sandbox.OpenEntries(ctx, c.Lock, c.Progress, d.Inputs)
	if err != nil {
		return Driver{}, err
	}
	tmp, err := os.MkdirTemp(dir, ".pack-")
	if err != nil {
		return Driver{}, err
	}
	defer os.RemoveAll(tmp)
	fmt.Fprintf(c.Progress, "nvidia %s (%s): compress the modules\n", d.Version, d.Flavor)
	p := &packer{driver: d, box: box, pair: pair, kbuild: kbuildOf(c.Release, c.Arch), in: dir, out: tmp}
	var wg sync.WaitGroup
	errs := make([]error, len(d.Files))
	for i, f := range d.Files {
		wg.Go(func() { errs[i] = p.module(ctx, filepath.Base(f), sign) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return Driver{}, fmt.Errorf("pack NVIDIA driver %s: %w", d.Version, err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return Driver{}, err
	}
	if err := os.Rename(tmp, out); err != nil && !(errors.Is(err, fs.ErrExist) && complete(packed.Files)) {
		return Driver{}, err
	}
	return packed, nil
}

// kbuildOf is the folder of the kernel's own build programs in the sandbox.
func kbuildOf(release, arch string) string {
	return "/usr/lib/linux-kbuild-" + strings.TrimSuffix(release, "-"+arch)
}

// packer packs one driver.
type packer struct {
	driver  Driver
	box     *sandbox.Sandbox
	pair    Pair
	kbuild  string
	in, out string // folders on the host
}

// Where things lie inside the sandbox.
const (
	insideIn   = "/in"
	insideKey  = "/key.pem"
	insideCert = "/cert.pem"
)

// module packs one. The signature is over what is not compressed yet, as the
// kernel checks it.
func (p *packer) module(ctx context.Context, name string, sign bool) error {
	in := insideIn + "/" + name
	if sign {
		// Only this step sees the key.
		err := p.run(ctx, []sandbox.Bind{{Host: p.pair.Key, Path: insideKey}, {Host: p.pair.Cert, Path: insideCert}},
			p.kbuild+"/scripts/sign-file", signHash, insideKey, insideCert, in, insideOut+"/"+name)
		if err != nil {
			return fmt.Errorf("sign %s: %w", name, err)
		}
		text, err := os.ReadFile(filepath.Join(p.out, name))
		if err != nil {
			return err
		}
		cert, err := loadPair(p.pair)
		if err != nil {
			return err
		}
		if err := VerifyModule(text, cert); err != nil {
			return fmt.Errorf("check the signature of %s: %w", name, err)
		}
		in = insideOut + "/" + name
	}
	f, err := os.Create(filepath.Join(p.out, name+".xz"))
	if err != nil {
		return err
	}
	// As scripts/Makefile.modinst does it: the kernel's decoder knows CRC32 alone.
	err = p.box.Run(ctx, sandbox.Step{
		Args: []string{"xz", "--stdout", "--threads=1", "--check=crc32", "--lzma2=dict=1MiB", in}, Stdout: f,
		Ro: []sandbox.Bind{{Host: p.in, Path: insideIn}}, Rw: []sandbox.Bind{{Host: p.out, Path: insideOut}},
	})
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if !sign {
		return nil
	}
	return os.Remove(filepath.Join(p.out, name))
}

func (p *packer) run(ctx context.Context, more []sandbox.Bind, args ...string) error {
	return p.box.Run(ctx, sandbox.Step{Args: args,
		Ro: append([]sandbox.Bind{{Host: p.in, Path: insideIn}}, more...), Rw: []sandbox.Bind{{Host: p.out, Path: insideOut}}})
}
