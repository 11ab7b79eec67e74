//go:build mage

// The targets of bee's build: `go tool mage -l` lists them. Each is a few
// lines; the work is in pkg/build.
package main

import (
	"context"
	"os"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/bench"
	"github.com/bee-os/bee/pkg/build/check"
	"github.com/bee-os/bee/pkg/build/fetch"
	"github.com/bee-os/bee/pkg/build/live"
	"github.com/bee-os/bee/pkg/build/release"
	"github.com/bee-os/bee/pkg/build/resolve"
)

// Build makes images/kernel-initrd/<arch>/{vmlinuz,initrd.img,bom.json} (bee.toml, ARCH, MANIFEST=thin|server, BEE_AUTHORIZED_KEYS=file).
func Build(ctx context.Context) error { return artifact.Make(ctx, os.Getenv, artifact.Build) }

// Image makes the ISO image and the raw disk, or the families that VARIANT names (ARCH, MANIFEST, BEE_AUTHORIZED_KEYS).
func Image(ctx context.Context) error {
	return artifact.Make(ctx, os.Getenv, artifact.BuildMedia)
}

// Images makes every family for every architecture (VARIANT: those that it names).
func Images(ctx context.Context) error {
	return artifact.Make(ctx, os.Getenv, artifact.BuildAll)
}

// Repro builds every family twice, in other folders, with other users, umasks and numbers of CPUs, and compares (ARCH, VARIANT, MANIFEST).
func Repro(ctx context.Context) error { return release.Repro(ctx, os.Getenv, os.Stdout) }

// Verify checks a folder of images/ or an image in a registry, from signature to fs-verity (BEE_COSIGN_PUB=file).
func Verify(ctx context.Context, target string) error {
	return release.Verify(ctx, os.Getenv, target, os.Stdout)
}

// Publish verifies what lies in images/ and puts it where BEE_PUBLISH and BEE_PUBLISH_OCI say (BEE_COSIGN_KEY, BEE_WEBHOOK_URL).
func Publish(ctx context.Context) error { return release.Publish(ctx, os.Getenv, os.Stdout) }

// Flash writes IMAGE (default: the raw disk) to a disk, after it asked, and reads it back.
func Flash(ctx context.Context, device string) error {
	return release.Flash(ctx, os.Getenv, device, os.Stdin, os.Stdout)
}

// Patch changes the parameters of a medium that is built: mage patch IMAGE 'bee.ip=… bee.ntp=…'.
func Patch(ctx context.Context, image, parameters string) error {
	return release.Patch(ctx, os.Getenv, image, parameters, os.Stdout)
}

// Run builds, boots the result in QEMU and shows what it found (BEE_RUN=once ends after the summary; BEE_APPEND adds kernel parameters).
func Run(ctx context.Context) error { return live.Run(ctx, os.Getenv, os.Stdout) }

// Test vets the code and runs every test, the end-to-end ones in QEMU too.
func Test(ctx context.Context) error { return check.Test(ctx, os.Stdout) }

// Race runs the unit tests under the race detector (needs a C compiler).
func Race(ctx context.Context) error { return check.Race(ctx, os.Stdout) }

// Fuzz runs every fuzz target (of FUZZPKG, default all packages) for FUZZTIME (default 60s; 10000x: so many inputs) each.
func Fuzz(ctx context.Context) error {
	return check.Fuzz(ctx, os.Getenv("FUZZTIME"), os.Getenv("FUZZPKG"), os.Stdout)
}

// Vuln asks the Go vulnerability database about every dependency (needs the internet, or a copy of it: BEE_VULNDB=folder or URL).
func Vuln(ctx context.Context) error { return check.Vuln(ctx, os.Getenv("BEE_VULNDB"), os.Stdout) }

// Bench measures boots, builds, audits and images beside others and prints medians; it never fails a test (BEE_BENCH=boots,banner,builds,audits,images,families: some of it; BEE_BENCH_ROUNDS=5; BEE_BOOSTER=folder with its programs).
func Bench(ctx context.Context) error { return bench.Run(ctx, os.Getenv, os.Stdout) }

// Lock resolves new versions of every pinned input through signed indexes and rewrites bee.lock.
func Lock(ctx context.Context) error { return resolve.Run(ctx, os.Stdout) }

// Fetch downloads every pinned input into the cache, so that later builds need no network.
func Fetch(ctx context.Context) error { return fetch.Run(ctx, os.Stdout) }
