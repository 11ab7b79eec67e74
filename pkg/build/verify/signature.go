package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/bee-os/bee/pkg/build/manifest"
)

// signature asks who vouches for the folder. Together, the good bundles must
// name SHA256SUMS, or each output and document.
func (r *run) signature() {
	bundles := r.bundles()
	if r.CheckBundle == nil {
		r.report.unsigned = true
		state := "NOT SIGNED: there is no bundle here"
		if len(bundles) > 0 {
			state = "SIGNATURE NOT CHECKED: no public key was given (" + strings.Join(bundles, ", ") + " was not looked at)"
		}
		r.report.note("signature", "%s. The lines below say that the files fit each other, not who made them: who can change a file can change its digests too", state)
		return
	}
	if len(bundles) == 0 {
		r.report.fail("signature", "a public key was given, and no signature (*%s) is here", BundleSuffix)
		return
	}
	vouched, by := make(map[string]bool), []string{}
	good := true
	for _, name := range bundles {
		s, err := r.CheckBundle(r.ctx, r.texts[name])
		if err != nil {
			r.report.fail("signature", "%s: %v", name, err)
			good = false
			continue
		}
		if sum := r.stranger(s); sum != "" {
			r.report.fail("signature", "%s: it is for a file of SHA-256 %s, which is not here: the signature of another build, or a file was changed", name, sum)
			good = false
			continue
		}
		for _, sum := range s.Digests {
			vouched[sum] = true
		}
		if s.Statement != nil {
			sum := sha256.Sum256(s.Statement)
			vouched[hex.EncodeToString(sum[:])] = true
		}
		by = append(by, s.By)
	}
	if !good {
		return
	}
	if without := r.without(vouched); len(without) > 0 {
		r.report.fail("signature", "nobody vouches for %s", strings.Join(without, ", "))
		return
	}
	slices.Sort(by)
	r.report.signer = strings.Join(slices.Compact(by), ", ")
	r.report.ok("signature", "%d of %d bundles good, and all files named; by %s", len(bundles), len(bundles), r.report.signer)
}

func (r *run) bundles() []string {
	var names []string
	for name := range r.texts {
		if isBundle(name) && !strings.Contains(name, "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// present are the digests of what lies in the folder, by name, changed
// parameter blocks put back.
func (r *run) present() map[string]string {
	sums := make(map[string]string)
	for _, name := range append([]string{manifest.SumsName}, documents...) {
		sums[name] = r.sums[name]
	}
	for _, o := range r.m.Outputs {
		sums[o.Name] = r.found[o.Name].sha256
	}
	return sums
}

// stranger is a digest that a signature vouches for and no file has.
func (r *run) stranger(s Signature) string {
	here := make(map[string]bool)
	for _, sum := range r.present() {
		here[sum] = true
	}
	for _, sum := range s.Digests {
		if !here[sum] {
			return sum
		}
	}
	return ""
}

// without are the files that no signature names. SHA256SUMS names all of them,
// and follows from all of them.
func (r *run) without(vouched map[string]bool) []string {
	sums := r.present()
	if vouched[sums[manifest.SumsName]] && sums[manifest.SumsName] != "" {
		return nil
	}
	var names []string
	for name, sum := range sums {
		if name != manifest.SumsName && (sum == "" || !vouched[sum]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
