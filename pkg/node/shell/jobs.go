package shell

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// pidTimeout bounds how long $! waits for a process to be started.
const pidTimeout = 2 * time.Second

// A job is a command in the background.
type job struct {
	id    int
	text  string
	ready chan struct{} // closed when pid is known, or that there is none

	mu   sync.Mutex
	pid  int
	name string // the interpreter's: gN
	over bool
}

func (j *job) started(pid int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pid == 0 {
		j.pid = pid
		close(j.ready)
	}
}

// end marks a job over; on nil, which stands for the foreground, it does
// nothing.
func (j *job) end() {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.pid == 0 && !j.over {
		close(j.ready)
	}
	j.over = true
}

// jobs are those of one shell and its subshells.
type jobs struct {
	mu    sync.Mutex
	list  []*job
	stmts []string // of sh:bg
}

func (js *jobs) add(text string) *job {
	js.mu.Lock()
	defer js.mu.Unlock()
	j := &job{id: len(js.list) + 1, text: text, ready: make(chan struct{})}
	js.list = append(js.list, j)
	return j
}

func (js *jobs) get(id string) *job {
	n, err := strconv.Atoi(id)
	js.mu.Lock()
	defer js.mu.Unlock()
	if err != nil || n < 1 || n > len(js.list) {
		return nil
	}
	return js.list[n-1]
}

// current is the job that env belongs to, nil in the foreground.
func (js *jobs) current(env expand.Environ) *job { return js.get(env.Get(varIn).String()) }

func (js *jobs) none() bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	return len(js.list) == 0
}

// byPID finds the youngest job of a process.
func (js *jobs) byPID(pid string) *job {
	n, err := strconv.Atoi(pid)
	if err != nil || n < 1 {
		return nil
	}
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, j := range slices.Backward(js.list) {
		j.mu.Lock()
		found := j.pid == n
		j.mu.Unlock()
		if found {
			return j
		}
	}
	return nil
}

// runBackground runs what is not one program in a child shell.
func runBackground(sh *shell, _ context.Context, hc interp.HandlerContext, args []string) error {
	job := sh.jobs.current(hc.Env)
	defer job.end()
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return fail(hc, 1, "%s: not to be called by hand", args[0])
	}
	sh.jobs.mu.Lock()
	text := sh.jobs.stmts[n]
	sh.jobs.mu.Unlock()
	self, err := os.Executable()
	if err != nil {
		return fail(hc, statusNotRunable, "background: %v", err)
	}
	argv := append([]string{"sh", "-c", sh.state(hc) + text, hc.Env.Get(varName).String()}, args[2:]...)
	return sh.runProcess(hc, job, self, argv, exported(hc.Env))
}

// state is shell text that restores variables that are not exported, and
// functions.
func (sh *shell) state(hc interp.HandlerContext) string {
	values := map[string]string{}
	hc.Env.Each(func(name string, v expand.Variable) bool {
		delete(values, name)
		if !v.IsSet() || v.Exported || v.ReadOnly || strings.HasPrefix(name, "__sh_") || !syntax.ValidName(name) {
			return true
		}
		switch v.Kind {
		case expand.String:
			values[name] = name + "=" + quote(v.Str)
		case expand.Indexed:
			words := make([]string, len(v.List))
			for i, w := range v.List {
				words[i] = quote(w)
			}
			values[name] = name + "=(" + strings.Join(words, " ") + ")"
		}
		return true
	})
	var b strings.Builder
	for _, line := range values {
		b.WriteString(line + "\n")
	}
	for name, body := range sh.runner.Funcs {
		fmt.Fprintf(&b, "%s() %s\n", name, printStmt(body))
	}
	return b.String()
}
