package proc

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ServiceEnv marks every process of a service: where there is no cgroup, it is
// how those are found that left session and family.
const ServiceEnv = "BEE_SERVICE"

// killTree kills every process that belongs to a service by session, by
// descent or by its environment, over and over until none is left or wait has
// gone by. It is for kernels and containers without cgroup v2; a process that
// clears its environment, its session and its parent gets away from it.
func killTree(procfs, service string, session int, wait time.Duration) (left int) {
	for end := time.Now().Add(wait); ; time.Sleep(2 * time.Millisecond) {
		pids := members(procfs, service, session)
		if len(pids) == 0 {
			return 0
		}
		if time.Now().After(end) {
			return len(pids)
		}
		for _, pid := range pids {
			// One that ended meanwhile is what is wanted.
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// members lists the living processes of a service. Zombies are left out: they
// are dead and wait for their parent.
func members(procfs, service string, session int) []int {
	entries, err := os.ReadDir(procfs)
	if err != nil {
		return nil
	}
	mark := []byte(ServiceEnv + "=" + service + "\x00")
	self := os.Getpid()
	parents := map[int]int{}
	in := map[int]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == self || pid == 1 {
			continue
		}
		b, err := os.ReadFile(filepath.Join(procfs, e.Name(), "stat"))
		if err != nil {
			continue // it ended meanwhile
		}
		st, ok := parseStat(string(b))
		if !ok || st.state == 'Z' || st.state == 'X' {
			continue
		}
		parents[pid] = st.parent
		if st.session == session {
			in[pid] = true
			continue
		}
		env, err := os.ReadFile(filepath.Join(procfs, e.Name(), "environ"))
		if err == nil && (bytes.HasPrefix(env, mark) || bytes.Contains(env, append([]byte{0}, mark...))) {
			in[pid] = true
		}
	}
	for grew := true; grew; {
		grew = false
		for pid, parent := range parents {
			if !in[pid] && in[parent] {
				in[pid], grew = true, true
			}
		}
	}
	var out []int
	for pid := range in {
		out = append(out, pid)
	}
	return out
}

type stat struct {
	state           byte
	parent, session int
}

// parseStat reads /proc/<pid>/stat (proc_pid_stat(5)). The name of the program
// stands in parentheses and may hold anything, parentheses too.
func parseStat(s string) (st stat, ok bool) {
	i := strings.LastIndexByte(s, ')')
	if i < 0 {
		return st, false
	}
	f := strings.Fields(s[i+1:]) // state ppid pgrp session …
	if len(f) < 4 || len(f[0]) != 1 {
		return st, false
	}
	parent, err1 := strconv.Atoi(f[1])
	session, err2 := strconv.Atoi(f[3])
	return stat{f[0][0], parent, session}, err1 == nil && err2 == nil
}
