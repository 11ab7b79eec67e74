package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/lock"
	"github.com/bee-os/bee/pkg/build/sandbox"
)

// judge runs other people's tools on what was made.
type judge struct {
	t   *testing.T
	box *sandbox.Sandbox
	dir string // /out for the tools
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	l, err := lock.Load(os.DirFS(root), lock.Name)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(t.Context(), l, os.Stderr, runtime.GOARCH, "tools-judge", "tools-image")
	if err != nil {
		t.Fatal(err)
	}
	return &judge{t, box, t.TempDir()}
}

// ask runs a tool, which finds the file as /in, and returns what it wrote. The
// tool must be content.
func (j *judge) ask(file string, args ...string) string {
	j.t.Helper()
	var out bytes.Buffer
	cmd, err := j.box.Command(j.t.Context(), sandbox.Step{
		Args: args, Ro: []sandbox.Bind{{Host: file, Path: "/in"}}, Rw: []sandbox.Bind{{Host: j.dir, Path: "/out"}}, Stdout: &out, Stderr: &out,
	})
	if err != nil {
		j.t.Fatal(err)
	}
	if err := cmd.Run(); err != nil {
		j.t.Fatalf("%v: %v\n%s", args, err, out.String())
	}
	return out.String()
}

// presses are those of every architecture.
var presses = map[string]func() (*press, error){"amd64": pressed, "arm64": pressedARM64}

// eachPress runs a test for every architecture.
func eachPress(t *testing.T, f func(t *testing.T, p *press)) {
	skip(t)
	for _, arch := range artifact.Arches {
		t.Run(arch, func(t *testing.T) {
			p, err := presses[arch]()
			if err != nil {
				t.Fatal(err)
			}
			f(t, p)
		})
	}
}

// TestISOJudged lets xorriso and isoinfo read the ISO images: they agree with
// each other and with what was put in.
func TestISOJudged(t *testing.T) {
	volume := "BEE_" + strings.ReplaceAll(bom.Version, ".", "_")
	// What firmware may start: the platform's identifier in El Torito's catalogue
	// (2.1 and 2.2), where 0xEF is UEFI.
	entries := map[string][]string{"amd64": {"BIOS", "UEFI"}, "arm64": {"UEFI"}}
	first := map[string]string{"amd64": "Arch 0 (x86)", "arm64": "Arch 239 "}
	eachPress(t, func(t *testing.T, p *press) {
		j, iso := newJudge(t), p.file("iso", artifact.ISOFile)
		report := j.ask(iso, "xorriso", "-indev", "/in", "-pvd_info", "-report_el_torito", "plain", "-report_system_area", "plain")
		if !regexp.MustCompile(`(?m)^Volume Id\s*: `+volume+`$`).MatchString(report) || strings.Contains(report, "WARNING") || strings.Contains(report, "SORRY") {
			t.Errorf("xorriso says:\n%s", report)
		}
		var found []string
		for _, m := range regexp.MustCompile(`(?m)^El Torito boot img :\s+\d+\s+(\w+)\s+y\s+none`).FindAllStringSubmatch(report, -1) {
			found = append(found, m[1])
		}
		if !slices.Equal(found, entries[p.arch]) {
			t.Errorf("boot images %v, want %v:\n%s", found, entries[p.arch], report)
		}
		said := j.ask(iso, "isoinfo", "-d", "-i", "/in")
		for _, want := range []string{"Volume id: " + volume + "\n", "El Torito VD version 1 found", "Bootid 88 (bootable)", "Boot media 0 (No Emulation Boot)", "Rock Ridge signatures version 1 found", first[p.arch]} {
			if !strings.Contains(said, want) {
				t.Errorf("isoinfo does not say %q:\n%s", want, said)
			}
		}
		var ours []string
		for _, m := range regexp.MustCompile(`(?m)^'(/.+)'$`).FindAllStringSubmatch(j.ask(iso, "xorriso", "-indev", "/in", "-find", "/"), -1) {
			ours = append(ours, m[1])
		}
		theirs := strings.Fields(j.ask(iso, "isoinfo", "-R", "-f", "-i", "/in"))
		slices.Sort(ours)
		slices.Sort(theirs)
		if !slices.Equal(ours, theirs) {
			t.Errorf("xorriso finds %v, isoinfo %v", ours, theirs)
		}
		for name, source := range map[string]string{"/bee/vmlinuz": artifact.KernelFile, "/bee/initrd.img": artifact.InitrdFile} {
			if !slices.Contains(ours, name) {
				t.Errorf("xorriso does not find %s: %v", name, ours)
			}
			j.ask(iso, "xorriso", "-osirrox", "on", "-indev", "/in", "-extract", name, "/out/"+source)
			sameFile(t, filepath.Join(j.dir, source), p.file("kernel-initrd", source))
		}
	})
}

// sameFile compares two files.
func sameFile(t *testing.T, a, b string) {
	t.Helper()
	var sums [2][]byte
	for i, name := range []string{a, b} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			t.Fatal(err)
		}
		sums[i] = h.Sum(nil)
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Errorf("%s is not %s", a, b)
	}
}

// partitions is what sfdisk --json says of a disk.
type partitions struct {
	Table struct {
		Label      string
		SectorSize int64
		Partitions []struct {
			Start, Size int64 // sectors
			Type        string
			Bootable    bool
		}
	} `json:"partitiontable"`
}

// disk reads the partition table, after sfdisk and, for GPT, sgdisk found
// nothing wrong with it.
func (j *judge) disk(file string) partitions {
	j.t.Helper()
	if out := j.ask(file, "sfdisk", "--verify", "/in"); !strings.Contains(out, "No errors detected") {
		j.t.Errorf("sfdisk --verify: %s", out)
	}
	var p partitions
	if err := json.Unmarshal([]byte(j.ask(file, "sfdisk", "--json", "/in")), &p); err != nil {
		j.t.Fatal(err)
	}
	if p.Table.SectorSize != 512 {
		j.t.Fatalf("sectors of %d bytes", p.Table.SectorSize)
	}
	if p.Table.Label == "gpt" {
		if out := j.ask(file, "sgdisk", "-v", "/in"); !strings.Contains(out, "No problems found") {
			j.t.Errorf("sgdisk -v: %s", out)
		}
	}
	return p
}

// volume takes a partition out of a disk, after fsck.fat found nothing wrong with
// it, and gives a folder with everything that mtools find there.
func (j *judge) volume(disk string, start, size int64) string {
	j.t.Helper()
	in, err := os.Open(disk)
	if err != nil {
		j.t.Fatal(err)
	}
	defer in.Close()
	name := filepath.Join(j.t.TempDir(), "volume")
	out, err := os.Create(name)
	if err != nil {
		j.t.Fatal(err)
	}
	if _, err := io.Copy(out, io.NewSectionReader(in, start*512, size*512)); err != nil {
		j.t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		j.t.Fatal(err)
	}
	j.ask(name, "fsck.fat", "-n", "-v", "/in") // it ends with 1 where something is wrong
	if err := os.Mkdir(filepath.Join(j.dir, "volume"), 0o755); err != nil {
		j.t.Fatal(err)
	}
	j.ask(name, "mcopy", "-s", "-i", "/in", "::*", "/out/volume/")
	return filepath.Join(j.dir, "volume")
}

// TestDisksJudged holds the disks against the tools that people use on them. The
// qcow2 image is as good as the disk that qemu-img makes of it.
func TestDisksJudged(t *testing.T) {
	families := map[string]string{"amd64": "raw", "arm64": "disk-image-arm64-uefi"}
	types := map[string][]string{ // UEFI specification, table 5-7; GRUB manual, BIOS installation
		"amd64": {"21686148-6449-6E6F-744E-656564454649", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"},
		"arm64": {"C12A7328-F81F-11D2-BA4B-00A0C93EC93B"},
	}
	loaders := map[string]string{"amd64": "BOOTX64.EFI", "arm64": "BOOTAA64.EFI"}
	eachPress(t, func(t *testing.T, p *press) {
		check := func(t *testing.T, j *judge, disk string, made *lab) {
			table := j.disk(disk).Table
			var got []string
			for _, part := range table.Partitions {
				got = append(got, part.Type)
			}
			if table.Label != "gpt" || !slices.Equal(got, types[p.arch]) {
				t.Fatalf("a %s table with partitions %v, want %v", table.Label, got, types[p.arch])
			}
			esp := table.Partitions[len(table.Partitions)-1]
			dir := j.volume(disk, esp.Start, esp.Size)
			for _, name := range []string{artifact.KernelFile, artifact.InitrdFile} {
				sameFile(t, filepath.Join(dir, "bee", name), filepath.Join(made.images, name))
			}
			if _, err := os.Stat(filepath.Join(dir, "EFI/BOOT", loaders[p.arch])); err != nil {
				t.Error(err)
			}
		}
		t.Run(families[p.arch], func(t *testing.T) {
			of := *p.lab
			of.images = artifact.KernelInitrdDir(p.out, p.arch)
			check(t, newJudge(t), p.file(families[p.arch], artifact.RawFile), &of)
		})
		t.Run("qcow2", func(t *testing.T) {
			j, image := newJudge(t), p.lab.qcow2(t)
			if out := j.ask(image, "qemu-img", "check", "-f", "qcow2", "/in"); !strings.Contains(out, "No errors were found on the image") {
				t.Errorf("qemu-img check: %s", out)
			}
			j.ask(image, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", "/in", "/out/disk")
			check(t, j, filepath.Join(j.dir, "disk"), p.lab)
		})
	})
}
