package release

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/initrd"
	"github.com/bee-os/bee/pkg/build/repro"
	"github.com/bee-os/bee/pkg/build/source"
)

// childEnv makes this test's program say what it was started with.
const childEnv = "BEE_RELEASE_TEST_CHILD"

// child is what this test's program does when Repro's child is tried with it.
func child() {
	umask := syscall.Umask(0)
	fmt.Printf("umask %03o\ncpus %d\nuser %d\n", umask, runtime.NumCPU(), os.Getuid())
}

func TestConditionsDiffer(t *testing.T) {
	two := conditions("/work", nobody, 4)
	a, b := reflect.ValueOf(two[0]), reflect.ValueOf(two[1])
	for i := range a.NumField() {
		if a.Field(i).Equal(b.Field(i)) {
			t.Errorf("%s is the same in both", a.Type().Field(i).Name)
		}
	}
	if len(two[0].dir) == len(two[1].dir) {
		t.Error("the paths are of one length")
	}
	got := differences(two)
	for _, want := range []string{"folder", "time,", "umask (022, 077)", "time zone", "locale", "processors (4, 1)", "user", "dates", "order", "caches"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if got := differences(conditions("/work", -1, 1)); strings.Contains(got, "user") || strings.Contains(got, "processors") {
		t.Errorf("what is the same is said to differ: %s", got)
	}
}

func TestOtherUser(t *testing.T) {
	for _, c := range []struct {
		config artifact.Config
		euid   int
		asked  string
		want   int
		says   string
	}{
		{artifact.Config{}, 0, "", nobody, "65534"},
		{artifact.Config{}, 1000, "", -1, "only root"},
		{artifact.Config{CosignKey: "/k"}, 0, "", -1, "/k"},
		{artifact.Config{Vendor: t.TempDir()}, 0, "", -1, "another may not"},
		{artifact.Config{}, 0, "same", -1, "BEE_REPRO_USER"},
	} {
		got, why, err := otherUser(c.config, c.euid, c.asked)
		if err != nil || got != c.want || !strings.Contains(why, c.says) {
			t.Errorf("%+v: %d, %q, %v", c, got, why, err)
		}
	}
	if _, _, err := otherUser(artifact.Config{}, 0, "root"); err == nil {
		t.Error("an unknown user is taken")
	}
}

// TestRun starts a process under both conditions and asks it.
func TestRun(t *testing.T) {
	dir := publicDir(t)
	program := filepath.Join(dir, "child")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	user, uid := -1, os.Getuid()
	if uid == 0 {
		user, uid = nobody, nobody
	}
	mine := syscall.Umask(0o027)
	defer syscall.Umask(mine)
	for _, c := range []struct {
		condition
		uid int
	}{
		{condition{name: "first", umask: 0o022, cpus: runtime.NumCPU(), user: -1}, os.Getuid()},
		{condition{name: "second", umask: 0o077, cpus: 1, user: user}, uid},
	} {
		var out bytes.Buffer
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env, cmd.Dir = []string{childEnv + "=1"}, "/"
		if err := (&reproJob{out: &out}).run(cmd, c.condition); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
		want := fmt.Sprintf("%[1]s: umask %03[2]o\n%[1]s: cpus %[3]d\n%[1]s: user %[4]d\n", c.name, c.umask, c.cpus, c.uid)
		if out.String() != want {
			t.Errorf("%s\ninstead of\n%s", &out, want)
		}
	}
	if now := syscall.Umask(0o027); now != 0o027 {
		t.Errorf("the caller's umask became %03o", now)
	}
	for range 2 * runtime.NumCPU() { // on more than one thread
		done := make(chan error)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var may unix.CPUSet
			err := unix.SchedGetaffinity(0, &may)
			if n := may.Count(); err == nil && n != runtime.NumCPU() {
				err = fmt.Errorf("the caller may use %d processors instead of %d", n, runtime.NumCPU())
			}
			done <- err
		}()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// publicDir is a temporary folder that other users can enter.
func publicDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// checkout is a repository with one commit and a change that is in none.
func checkout(t *testing.T) (dir, commit string) {
	t.Helper()
	dir = t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	put(t, filepath.Join(dir, "a"), "committed")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	put(t, filepath.Join(dir, "a"), "changed")
	at, err := source.Of(t.Context(), dir)
	if err != nil || at.Commit == "" || at.Clean {
		t.Fatalf("%+v, %v", at, err)
	}
	return dir, at.Commit
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestClone(t *testing.T) {
	root, commit := checkout(t)
	j := reproJob{root: root, commit: commit, work: t.TempDir(), out: io.Discard}
	put(t, j.gitConfig(), "[safe]\n\tdirectory = *\n")
	date := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	c := condition{name: "second", dir: filepath.Join(j.work, "deep", "er"), umask: 0o077, cpus: 1, user: nobody, date: date}
	if err := j.clone(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(c.source(), "a")
	if text, err := os.ReadFile(name); err != nil || string(text) != "committed" {
		t.Errorf("%q, %v", text, err)
	}
	fi, err := os.Stat(name)
	if err != nil || fi.Mode() != 0o600 || !fi.ModTime().Equal(date) {
		t.Errorf("%v, %v", fi, err)
	}
	// Dates of files are no change to git, which would make the manifest differ.
	if at, err := source.Of(t.Context(), c.source()); err != nil || at != (source.State{Commit: commit, Clean: true}) {
		t.Errorf("%+v, %v", at, err)
	}
}

func TestReproWantsACommit(t *testing.T) {
	t.Chdir(t.TempDir())
	err := Repro(t.Context(), func(string) string { return "" }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "no git checkout") {
		t.Error(err)
	}
}

func TestCalls(t *testing.T) {
	goals := chooseGoals(artifact.Config{Families: []string{"raw", "iso", "disk-image-rpi4"}}, "")
	if got, want := fmt.Sprint(calls(goals, false)), "[[ARCH=amd64 VARIANT=iso,raw] [ARCH=arm64 VARIANT=iso,disk-image-rpi4]]"; got != want {
		t.Errorf("%s instead of %s", got, want)
	}
	if got, want := fmt.Sprint(calls(goals, true)),
		"[[ARCH=arm64 VARIANT=disk-image-rpi4] [ARCH=arm64 VARIANT=iso] [ARCH=amd64 VARIANT=raw] [ARCH=amd64 VARIANT=iso]]"; got != want {
		t.Errorf("%s instead of %s", got, want)
	}
	if got := len(chooseGoals(artifact.Config{}, "amd64")); got != len(artifact.FamiliesFor("amd64")) {
		t.Errorf("%d families for amd64", got)
	}
}

func TestPassedOn(t *testing.T) {
	vars := map[string]string{"ARCH": "arm64", "VARIANT": "iso", "MANIFEST": "thin", "BEE_COSIGN_KEY": "keys/cosign.key",
		"BEE_OIDC_TOKEN": "token", "HOME": "/root", "BEE_FILES": "/a:etc/a"}
	t.Setenv("COSIGN_PASSWORD", "")
	c := artifact.Config{Vendor: "vendor-tools", CosignKey: "keys/cosign.key"}
	env, err := passedOn(c, func(name string) string { return vars[name] })
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(env)
	want := []string{"BEE_COSIGN_KEY=" + here + "/keys/cosign.key", "BEE_FILES=/a:etc/a", "COSIGN_PASSWORD=", "MANIFEST=thin"}
	if !slices.Equal(env, want) {
		t.Errorf("%q instead of %q", env, want)
	}
	c.Add.Files = []initrd.AddedFile{{Source: "a", Path: "etc/a"}}
	if _, err := passedOn(c, func(name string) string { return vars[name] }); err == nil || !strings.Contains(err.Error(), "whole path") {
		t.Errorf("a file that the builds would look for elsewhere: %v", err)
	}
	c.Add.Files = nil
	c.Vendor, c.CosignKey = t.TempDir(), ""
	if env, err = passedOn(c, func(string) string { return "" }); err != nil || !slices.Equal(env, []string{"BEE_VENDOR_TOOLS=" + c.Vendor}) {
		t.Errorf("%q, %v", env, err)
	}
}

func TestLinkTree(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "new")
	for name, mode := range map[string]os.FileMode{"a": 0o644, "deep/b": 0o600, "c.part": 0o644, "d.lock": 0o644} {
		put(t, filepath.Join(src, name), name)
		if err := os.Chmod(filepath.Join(src, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // what is there already stays
		if err := linkTree(dst, src); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]bool{"a": true, "deep/b": true, "c.part": false, "d.lock": false} {
		text, err := os.ReadFile(filepath.Join(dst, name))
		if (err == nil) != want || want && string(text) != name {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if fi, err := os.Stat(filepath.Join(dst, "deep/b")); err != nil || fi.Mode() != 0o644 {
		t.Errorf("a private file is %v, %v: the other user cannot read it", fi, err)
	}
	if fi, err := os.Stat(filepath.Join(src, "deep/b")); err != nil || fi.Mode() != 0o600 {
		t.Errorf("the original became %v, %v", fi, err)
	}
	if err := linkTree(dst, filepath.Join(src, "none")); err != nil {
		t.Error(err)
	}
}

func TestCompareGoals(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	goals := []goal{{"iso", "amd64"}, {"raw", "amd64"}}
	for _, dir := range []string{first, second} {
		for _, g := range goals {
			at := artifact.Dir(dir, g.family, g.arch)
			put(t, filepath.Join(at, "SHA256SUMS"), "sums\n")
			put(t, filepath.Join(at, "build-manifest.json"), "{}\n")
			put(t, filepath.Join(at, "image"), strings.Repeat("x", 1<<20))
		}
	}
	tell := func() (string, []result) {
		t.Helper()
		found, err := compareGoals(first, second, goals)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := show(&out, found); err != nil {
			t.Fatal(err)
		}
		return out.String(), found
	}
	if text, _ := tell(); strings.Count(text, "identical") != 2 || strings.Contains(text, "DIFFERS") {
		t.Errorf("the same folders:\n%s", text)
	}
	raw := artifact.Dir(second, "raw", "amd64")
	put(t, filepath.Join(raw, "build-manifest.json"), "{ }\n")
	put(t, filepath.Join(raw, "image"), strings.Repeat("x", 1000)+"y"+strings.Repeat("x", 1<<20-1001))
	text, found := tell()
	if strings.Count(text, "identical") != 1 || len(found[1].differ) != 2 {
		t.Errorf("%+v\n%s", found, text)
	}
	for _, want := range []string{"DIFFERS", "image: byte 1000", "and 1 other files: build-manifest.json"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table does not say %q:\n%s", want, text)
		}
	}
	if err := os.RemoveAll(raw); err != nil {
		t.Fatal(err)
	}
	if _, err := compareGoals(first, second, goals); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that was not made: %v", err)
	}
}

func TestCause(t *testing.T) {
	list := func(names ...string) (l []repro.Difference) {
		for _, n := range names {
			l = append(l, repro.Difference{File: n})
		}
		return l
	}
	for _, c := range []struct {
		files []repro.Difference
		want  string
	}{
		{list("SHA256SUMS", "build-manifest.json", "initrd.img"), "initrd.img"},
		{list("SHA256SUMS", "SHA256SUMS.sigstore.json", "build-manifest.json"), "build-manifest.json"},
		{list("SHA256SUMS.sigstore.json"), "SHA256SUMS.sigstore.json"},
	} {
		if got := cause(c.files); got.File != c.want {
			t.Errorf("%s instead of %s", got.File, c.want)
		}
	}
}

func TestRemoveAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	put(t, filepath.Join(dir, "b", "c"), "x")
	if err := os.Chmod(filepath.Join(dir, "b"), 0o500); err != nil {
		t.Fatal(err)
	}
	if err := removeAll(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestLines(t *testing.T) {
	var out strings.Builder
	l := &lines{out: &out, prefix: "x: "}
	for _, s := range []string{"a", "b\nc", "\n\nd"} {
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.end()
	if got, want := out.String(), "x: ab\nx: c\nx: \nx: d\n"; got != want {
		t.Errorf("%q instead of %q", got, want)
	}
}
