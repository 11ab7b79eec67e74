package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/u-root/mkuimage/cpio"
	"github.com/ulikunitz/xz"

	"github.com/bee-os/bee/pkg/bom"
	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/hwreport"
)

// gpuLab is a lab whose image carries NVIDIA's driver.
func gpuLab(t *testing.T) (*lab, bom.BOM) {
	t.Helper()
	skip(t)
	b, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := artifact.Build(t.Context(), artifact.Config{Root: root, Arch: arch, Manifest: "thin", NVIDIA: "on", Out: dir}); err != nil {
		t.Fatal(err)
	}
	images := artifact.KernelInitrdDir(dir, arch)
	text, err := os.ReadFile(filepath.Join(images, artifact.BOMFile))
	if err != nil {
		t.Fatal(err)
	}
	bill, err := bom.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{sandbox: b.sandbox, images: images, accel: b.accel}, bill
}

// otherKernel is the module of the image, changed to say that it is of another
// kernel.
func otherKernel(t *testing.T, images, name string, bill bom.BOM) []byte {
	t.Helper()
	packed := unpackFile(t, filepath.Join(images, artifact.InitrdFile), path.Join(bom.DriverDir, name))
	r, err := xz.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var module bytes.Buffer
	if _, err := module.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	was := []byte("vermagic=" + bill.Kernel)
	if !bytes.Contains(module.Bytes(), was) {
		t.Fatalf("%s does not say vermagic=%s", name, bill.Kernel)
	}
	// With symbol versions the kernel passes over the release (modversions) and
	// compares the rest: another kernel has other options.
	was = append(was, " SMP "...)
	changed := bytes.Replace(was, []byte("SMP"), []byte("UP "), 1)
	var out bytes.Buffer
	w, err := xz.WriterConfig{CheckSum: xz.CRC32, DictCap: 1 << 20}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.ReplaceAll(module.Bytes(), was, changed)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// unpackFile reads one file out of the raw archives of an image.
func unpackFile(t *testing.T, image, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	// The archives follow one another; that with the modules is not compressed.
	header := append([]byte(name), 0)
	at := bytes.Index(text, header)
	if at < 110 {
		t.Fatalf("%s is not in %s", name, image)
	}
	rec, err := cpio.Newc.Reader(bytes.NewReader(text[at-110:])).ReadRecord()
	if err != nil || rec.Name != name {
		t.Fatalf("read %s from %s: %q, %v", name, image, rec.Name, err)
	}
	body := make([]byte, rec.FileSize)
	if _, err := rec.ReadAt(body, 0); err != nil {
		t.Fatal(err)
	}
	return body
}

// overlay writes an archive that is unpacked over an image.
func overlay(t *testing.T, records ...cpio.Record) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "overlay.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := cpio.Newc.Writer(f)
	if err := cpio.WriteRecordsAndDirs(w, records); err != nil {
		t.Fatal(err)
	}
	if err := cpio.WriteTrailer(w); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestNVIDIA boots an image with NVIDIA's driver on a machine without a GPU,
// where one module is no module and another is of another kernel: the boot and
// the audit are as ever, and every answer of the kernel is told.
func TestNVIDIA(t *testing.T) {
	b, bill := gpuLab(t)
	bad := overlay(t,
		cpio.StaticFile(path.Join(bom.DriverDir, "nvidia-uvm.ko.xz"), "this is no module", 0o644),
		cpio.StaticFile(path.Join(bom.DriverDir, "nvidia-modeset.ko.xz"), string(otherKernel(t, b.images, "nvidia-modeset.ko.xz", bill)), 0o644))
	m := start(t, b, options{initrds: []string{bad}, memory: 2048, append: "bee.nvidia=modeset"})
	m.trust()
	m.wait(auditDone)
	if s := m.service("nvidia"); s.State != "skipped" || !strings.Contains(s.Reason, "no NVIDIA GPU") {
		t.Errorf("service nvidia: %+v", s)
	}
	if out, status := m.as("root", "smoketest", nil); status != 0 {
		t.Errorf("smoketest: status %d\n%s", status, out)
	}
	// The programs of the compat root start there, and find no driver.
	if out, status := m.as("bee", "nvidia-smi", nil); status != 9 || !strings.Contains(out, "NVIDIA driver") {
		t.Errorf("nvidia-smi: status %d\n%s", status, out)
	}
	for _, name := range []string{"/lib64", "/etc/ld.so.cache", "/lib/x86_64-linux-gnu"} {
		if _, status := m.as("root", "test -e "+name, nil); status == 0 {
			t.Errorf("the static system sees the compat root's world: there is %s", name)
		}
	}
	if out := m.root(compatRun("nvmlreport")); !strings.Contains(out, "river") {
		t.Errorf("nvmlreport: %s", out)
	}
	if out, status := m.as("root", "burn gpu --time 5s", nil); status != 3 {
		t.Errorf("burn gpu: status %d\n%s", status, out)
	}

	if out, status := m.as("root", compatRun("gpuworker")+" --gpu 0000:01:00.0 --time 1s", nil); status != 3 || !strings.Contains(out, "cuInit: error") {
		t.Errorf("gpuworker: status %d\n%s", status, out)
	}

	out, status := m.as("root", "nvidia load --force 2>&1", nil)
	if status != 1 {
		t.Errorf("nvidia load --force: status %d\n%s", status, out)
	}
	for _, want := range []string{
		"/usr/local/lib/nvidia/nvidia.ko.xz", "NVRM: No NVIDIA GPU found",
		"/usr/local/lib/nvidia/nvidia-uvm.ko.xz", "damaged or of another kernel",
		"/usr/local/lib/nvidia/nvidia-modeset.ko.xz", "version magic '" + bill.Kernel + " UP ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("nvidia load --force does not say %q:\n%s", want, out)
		}
	}
	// What the kernel answered is in the report.
	m.root("audit --json > /run/report.json || true")
	var report hwreport.Report
	if err := json.Unmarshal([]byte(m.root("cat /run/report.json")), &report); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(report.GPU)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"No NVIDIA GPU found", "version magic"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report does not say %q: %s", want, text)
		}
	}
	if out := m.root("lsmod"); !strings.Contains(out, "drm ") {
		t.Errorf("drm, which the driver needs, is not loaded:\n%s", out)
	}
}

// compatRun is the command line that starts a program of the compat root.
func compatRun(program string) string {
	dir := "/" + bom.CompatDir
	return dir + "/lib/ld-linux-x86-64.so.2 --library-path " + dir + "/lib " + dir + "/bin/" + program
}
