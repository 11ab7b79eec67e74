package release

// os/exec is the job here: two builds differ in what only a process of its own
// has, and the Go tool and git are the two programs that a build needs.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/build/artifact"
	"github.com/bee-os/bee/pkg/build/config"
	"github.com/bee-os/bee/pkg/build/sign"
)

// reproJob is what both builds have in common.
type reproJob struct {
	root, commit string   // what is cloned
	work         string   // folder
	cache        string   // whose downloads are shared
	env          []string // what the builds are asked for
	out          io.Writer

	goEnv map[string]string
}

// settings are the variables besides those of bee.toml that a build heeds or
// needs. Those of keyless signing are not among them: such a signature is a
// record of the moment.
var settings = []string{"PATH", "SOURCE_DATE_EPOCH", "BEE_MIRROR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// passedOn are the variables that say what is built. Paths are made absolute: the
// builds run elsewhere. ARCH and VARIANT are left to each build.
func passedOn(c artifact.Config, getenv func(string) string) ([]string, error) {
	var env []string
	add := func(name, value string) { env = append(env, name+"="+value) }
	for _, name := range settings {
		if v := getenv(name); v != "" {
			add(name, v)
		}
	}
	// An empty password is one, and a missing one is not.
	if p, err := sign.PasswordFromEnv(); err == nil && c.CosignKey != "" {
		add("COSIGN_PASSWORD", string(p))
	}
	for _, d := range config.Table {
		v := getenv(d.Env)
		if v == "" || slices.Contains([]string{"ARCH", "VARIANT", "BEE_VENDOR_TOOLS"}, d.Env) {
			continue
		}
		if d.Env == "BEE_FILES" {
			for _, f := range c.Add.Files {
				if !filepath.IsAbs(f.Source) {
					return nil, fmt.Errorf("read BEE_FILES: the two builds run in other folders; give %s with its whole path", f.Source)
				}
			}
		}
		if d.Kind == config.Path {
			var err error
			if v, err = filepath.Abs(v); err != nil {
				return nil, err
			}
		}
		add(d.Env, v)
	}
	// Git ignores the folder, so that no clone has it.
	if isDir(c.Vendor) {
		dir, err := filepath.Abs(c.Vendor)
		if err != nil {
			return nil, err
		}
		add("BEE_VENDOR_TOOLS", dir)
	}
	return env, nil
}

// prepare makes the shared folder of Go modules, so that neither build depends
// on the network or on the other's module cache.
func (j *reproJob) prepare(ctx context.Context) error {
	if err := os.Chmod(j.work, 0o755); err != nil { // another user goes through it
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "env", "-json", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOTOOLCHAIN")
	var said bytes.Buffer
	cmd.Stderr = &said
	text, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ask go for its environment: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	if err := json.Unmarshal(text, &j.goEnv); err != nil {
		return fmt.Errorf("read what go env says: %w", err)
	}
	if err := linkTree(j.modules(), filepath.Join(j.goEnv["GOMODCACHE"], "cache", "download")); err != nil {
		return fmt.Errorf("share Go modules: %w", err)
	}
	return os.WriteFile(j.gitConfig(), []byte("[safe]\n\tdirectory = *\n"), 0o644)
}

func (j *reproJob) modules() string   { return filepath.Join(j.work, "modules") }
func (j *reproJob) gitConfig() string { return filepath.Join(j.work, "gitconfig") }

// build makes the goals under a condition.
func (j *reproJob) build(ctx context.Context, c condition, goals []goal) error {
	fmt.Fprintf(j.out, "bee: the %s build, in %s\n", c.name, c.source())
	begin := time.Now()
	if err := j.clone(ctx, c); err != nil {
		return err
	}
	blobs := filepath.Join(c.cache(), "sha256")
	if err := linkTree(blobs, filepath.Join(j.cache, "sha256")); err != nil {
		return fmt.Errorf("share downloads: %w", err)
	}
	for _, dir := range []string{c.cache(), filepath.Join(c.dir, "home"), filepath.Join(c.dir, "tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if c.user >= 0 {
		if err := giveAway(c.dir, c.user); err != nil {
			return err
		}
	}
	for _, call := range calls(goals, c.alone) {
		cmd := exec.CommandContext(ctx, "go", "tool", "mage", "image")
		cmd.Dir = c.source()
		cmd.Env = slices.Concat(j.env, j.surroundings(c), call)
		if err := j.run(cmd, c); err != nil {
			return fmt.Errorf("go tool mage image (%s): %w; its words are above", strings.Join(call, " "), err)
		}
	}
	// What it had to download, the next one and the user need not. Nothing of
	// another user's goes into the cache.
	if c.user < 0 {
		if err := linkTree(filepath.Join(j.cache, "sha256"), blobs); err != nil {
			return fmt.Errorf("keep downloads: %w", err)
		}
	}
	fmt.Fprintf(j.out, "bee: the %s build took %s\n", c.name, time.Since(begin).Round(time.Second))
	return nil
}

// calls are ARCH and VARIANT of each process: one an architecture, or one a
// family from the last to the first.
func calls(goals []goal, alone bool) [][]string {
	var list [][]string
	if alone {
		for _, g := range slices.Backward(goals) {
			list = append(list, []string{"ARCH=" + g.arch, "VARIANT=" + g.family})
		}
		return list
	}
	for _, arch := range artifact.Arches {
		var names []string
		for _, g := range goals {
			if g.arch == arch {
				names = append(names, g.family)
			}
		}
		if len(names) > 0 {
			list = append(list, []string{"ARCH=" + arch, "VARIANT=" + strings.Join(names, ",")})
		}
	}
	return list
}

// surroundings are the variables that must make no difference.
func (j *reproJob) surroundings(c condition) []string {
	home := filepath.Join(c.dir, "home")
	env := []string{
		"HOME=" + home, "XDG_CACHE_HOME=" + filepath.Join(home, "cache"), "TMPDIR=" + filepath.Join(c.dir, "tmp"), "BEE_CACHE=" + c.cache(),
		"GOCACHE=" + filepath.Join(c.dir, "gocache"), "GOPATH=" + filepath.Join(home, "go"), "GOMODCACHE=" + filepath.Join(c.dir, "gomodcache"),
		"GOENV=off", "GOFLAGS=-modcacherw", "GOMAXPROCS=" + strconv.Itoa(c.cpus),
		"TZ=" + c.zone, "LANG=" + c.locale, "LC_ALL=" + c.locale,
		"GOPROXY=" + strings.TrimSuffix("file://"+j.modules()+","+j.goEnv["GOPROXY"], ","),
	}
	for _, name := range []string{"GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOTOOLCHAIN"} {
		if v := j.goEnv[name]; v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// clone checks the commit out, dates its files, and nothing of the user's own
// settings of git counts.
func (j *reproJob) clone(ctx context.Context, c condition) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"clone", "--quiet", "--no-hardlinks", "--no-checkout", j.root, c.source()},
		{"-C", c.source(), "checkout", "--quiet", "--detach", j.commit},
	} {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+j.gitConfig())
		if err := j.run(cmd, condition{name: c.name, umask: c.umask, user: -1, cpus: c.cpus}); err != nil {
			return fmt.Errorf("git %s: %w; its words are above", strings.Join(args, " "), err)
		}
	}
	if c.date.IsZero() {
		return nil
	}
	return setDates(c.source(), c.date)
}

// run runs a process under a condition and shows what it says, line by line.
func (j *reproJob) run(cmd *exec.Cmd, c condition) error {
	said := &lines{out: j.out, prefix: c.name + ": "}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the Go tool starts others, which end with it
	if c.user >= 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(c.user), Gid: uint32(c.user)}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := start(cmd, c); err != nil {
		return err
	}
	err := cmd.Wait()
	said.end()
	return err
}

// starting is held while this process has another's umask.
var starting sync.Mutex

// start starts a process with a condition's umask, and on as many processors.
// Both are inherited: the umask from this process, the processors from the
// thread that forks (sched_setaffinity(2)), which is not used again.
func start(cmd *exec.Cmd, c condition) error {
	starting.Lock()
	defer starting.Unlock()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		failed <- func() error {
			if err := useProcessors(c.cpus); err != nil {
				return err
			}
			defer syscall.Umask(syscall.Umask(c.umask))
			return cmd.Start()
		}()
	}()
	return <-failed
}

// useProcessors lets the calling thread run on the first n of those that it may.
func useProcessors(n int) error {
	var may, first unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return fmt.Errorf("ask for the processors: %w", err)
	}
	for i := 0; first.Count() < n && first.Count() < may.Count(); i++ {
		if may.IsSet(i) {
			first.Set(i)
		}
	}
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		return fmt.Errorf("use %d processors: %w", n, err)
	}
	return nil
}

// lines puts a prefix before every line. It is for one writer at a time.
type lines struct {
	out    io.Writer
	prefix string
	rest   []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if _, err := fmt.Fprintf(l.out, "%s%s\n", l.prefix, line); err != nil {
			return 0, err
		}
		l.rest = rest
	}
}

func (l *lines) end() {
	if len(l.rest) > 0 {
		fmt.Fprintf(l.out, "%s%s\n", l.prefix, l.rest)
		l.rest = nil
	}
}
