package shell

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be sh, so that shells are processes here too.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "sh" || filepath.Base(os.Args[0]) == "-sh" {
		os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func shCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = append([]string{"sh"}, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=/bin:/usr/bin", "HOME=" + cmd.Dir}
	return cmd
}

func TestScripts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		args   []string
		stdin  string
		stdout string
		stderr string // is part of it
		status int
	}{
		{name: "command", args: []string{"-c", "echo $0 $1 $#", "name", "one"}, stdout: "name one 1\n"},
		{name: "status", args: []string{"-c", "exit 3"}, status: 3},
		{name: "status of the last", args: []string{"-c", "true; false"}, status: 1},
		{name: "replaced", args: []string{"-c", "sh -c 'exit 9'"}, status: 9},
		{name: "exit in a subshell", args: []string{"-c", "(exit 5); echo $?"}, stdout: "5\n"},
		{name: "script on stdin", stdin: "echo one\nexit 4\n((( no script", stdout: "one\n", status: 4},
		{name: "last line without an end", stdin: "echo one\necho two", stdout: "one\ntwo\n"},
		{name: "arguments of stdin", args: []string{"-s", "a", "b"}, stdin: "echo $2 $1\n", stdout: "b a\n"},
		{name: "script and commands share stdin", stdin: "read x\nfor read\necho got $x\ncat\nfor cat\n", stdout: "got for read\nfor cat\n"},
		{name: "external first of shared stdin", stdin: "head -n 1 >/dev/null; :\n", stdout: ""},
		{name: "here document", stdin: "cat <<X\n$((40+2))\nX\necho end\n", stdout: "42\nend\n"},
		{name: "function over lines", stdin: "f() {\n  echo in $1\n}\n\nf x\n", stdout: "in x\n"},
		{name: "empty", stdin: ""},
		{name: "comment", stdin: "# nothing\n"},
		{name: "syntax error", stdin: "echo one\nif then\necho no\n", stdout: "one\n", stderr: "if", status: 2},
		{name: "syntax error in -c", args: []string{"-c", "echo a\n((\n"}, stdout: "a\n", stderr: "sh:", status: 2},
		{name: "unfinished", stdin: "while true; do\n", stderr: "do", status: 2},
		{name: "errexit", args: []string{"-e", "-c", "false; echo no"}, status: 1},
		{name: "errexit together", args: []string{"-ec", "false; echo no"}, status: 1},
		{name: "nounset", args: []string{"-uc", "echo $nope; echo no"}, stderr: "nope", status: 1},
		{name: "xtrace", args: []string{"-xc", "echo a"}, stdout: "a\n", stderr: "+ echo a"},
		{name: "pipefail", args: []string{"-o", "pipefail", "-c", "false | true"}, status: 1},
		{name: "not found", args: []string{"-c", "no-such-command; echo $?"}, stdout: "127\n", stderr: "no-such-command: not found"},
		{name: "not executable", args: []string{"-c", "/etc/passwd; echo $?; /etc; echo $?"}, stdout: "126\n126\n", stderr: "is a directory"},
		{name: "no #! line", args: []string{"-c", "echo 'echo script $0 $1' >f; chmod +x f; ./f x"}, stdout: "script ./f x\n"},
		{name: "killed", args: []string{"-c", "sh -c 'kill -9 $$'; echo $?"}, stdout: "137\n"},
		{name: "background pid", args: []string{"-c", "sleep 100 & p=$!; kill $p; wait $p; echo $?"}, stdout: "143\n"},
		{name: "background in quotes", args: []string{"-c", `true & x="$!"; [ "$x" -gt 1 ] && wait "$x" && echo yes`}, stdout: "yes\n"},
		{name: "background list", args: []string{"-c", `a="it's"; export b=2; f() { echo f $1 $a $b; }; { sleep 0.01; f $1; exit 6; } & wait $!; echo $?`, "sh", "arg"}, stdout: "f arg it's 2\n6\n"},
		{name: "background pipeline", args: []string{"-c", "echo a | cat & wait; echo b"}, stdout: "a\nb\n"},
		{name: "background builtin", args: []string{"-c", "echo a & wait $!; echo $?"}, stdout: "a\n0\n"},
		{name: "background not found", args: []string{"-c", "no-such & wait $!; echo $?"}, stdout: "127\n", stderr: "not found"},
		{name: "background input", args: []string{"-c", "cat & wait; cat"}, stdin: "for the foreground", stdout: "for the foreground"},
		{name: "background in a loop", args: []string{"-c", "for i in 1 2 3; do true & p=\"$p $!\"; done; wait $p; set -- $p; echo $# $?"}, stdout: "3 0\n"},
		{name: "wait for all", args: []string{"-c", "sleep 0.05 & wait; echo done"}, stdout: "done\n"},
		{name: "trap exit", args: []string{"-c", "trap 'echo bye $?' EXIT; exit 3"}, stdout: "bye 3\n", status: 3},
		{name: "trap 0 at the end", args: []string{"-c", "trap 'echo bye' 0; echo a"}, stdout: "a\nbye\n"},
		{name: "trap signal", args: []string{"-c", "trap 'echo usr1' USR1; kill -USR1 $$; while [ -z \"$x\" ]; do sleep 0.01; n=$((n+1)); [ $n -gt 50 ] && x=1; done; echo end"}, stdout: "usr1\nend\n"},
		{name: "trap ignores", args: []string{"-c", "trap '' HUP; kill -HUP $$; sh -c 'kill -HUP $$; echo child'; echo end"}, stdout: "child\nend\n"},
		{name: "trap lists", args: []string{"-c", "trap 'x' HUP; trap; trap - HUP; trap"}, stdout: "trap -- 'x' HUP\n"},
		{name: "trap unknown", args: []string{"-c", "trap x NOPE; echo $?"}, stdout: "1\n", stderr: "NOPE"},
		{name: "signal ends it", args: []string{"-c", "sh -c 'kill -TERM $$; sleep 9'; echo $?"}, stdout: "143\n"},
		{name: "umask", args: []string{"-c", "umask 027; umask; touch f; stat -c %a f"}, stdout: "0027\n640\n"},
		{name: "ulimit", args: []string{"-c", "ulimit -c 0; ulimit -c; sh -c 'ulimit -c'"}, stdout: "0\n0\n"},
		{name: "kill lists", args: []string{"-c", "kill -l 137; kill -l TERM"}, stdout: "KILL\n", stderr: "TERM", status: 1},
		{name: "kill nothing", args: []string{"-c", "kill; kill x; kill -NOPE 1"}, stderr: "usage", status: 1},
		{name: "environment", args: []string{"-c", "a=1; export b=2; c=3 sh -c 'echo $a-$b-$c'; unset b; sh -c 'echo [$b]'"}, stdout: "-2-3\n[]\n"},
		{name: "cd", args: []string{"-c", "cd /etc && pwd && cd - >/dev/null && [ $PWD != /etc ] && echo back; cd /nope; echo $?"}, stdout: "/etc\nback\n1\n", stderr: "/nope"},
		{name: "redirections", args: []string{"-c", "ls /nope >f 2>&1; [ -s f ] && echo a >g && cat <g && echo b >>g && wc -l <g"}, stdout: "a\n2\n"},
		{name: "alias", stdin: "alias hi='echo hello'\nhi you\n", stdout: "hello you\n"},
		{name: "case and glob", args: []string{"-c", "touch a.x b.x; for f in *.x; do case $f in a*) echo A;; *) echo $f;; esac; done"}, stdout: "A\nb.x\n"},
		{name: "substitution", args: []string{"-c", "x=$(echo a; echo b); echo \"$x\" `echo c` ${x%?b} ${y:-d}"}, stdout: "a\nb c a d\n"},
		{name: "name of a script", args: []string{"-c", "echo 'echo $0; . ./g; echo $?' >f; echo 'return 3' >g; sh f"}, stdout: "f\n3\n"},
		{name: "backslashes", args: []string{"-c", `a=foo\ bar; b='it'\''s'; c=$HOME\$x"\$"\"; export d=ü\ü; echo "$a|$b|${c#$HOME}|$d" ${nope:-x\ y}; case it\'s in it\'s) echo yes;; esac; echo >f\ g; ls f*; [ "a\b" = 'a\b' ] && echo same`},
			stdout: "foo bar|it's|$x$\"|üü x y\nyes\nf g\nsame\n"},
		{name: "backslashes in eval and source", args: []string{"-c", `eval 'a=x\ y'; echo 'b=p\ q; echo $0; set -- $1; true & wait $!' >g; . ./g; echo "$a|$b|$?"; . ./nope; echo $?`}, stdout: "sh\nx y|p q|0\n1\n", stderr: "nope"},
		{name: "syntax error in source", args: []string{"-c", "echo 'if' >g; . ./g; echo $?"}, stdout: "2\n", stderr: "if"},
		{name: "no script", args: []string{"nope"}, stderr: "nope", status: 127},
		{name: "unknown option", args: []string{"-Z"}, stderr: "usage", status: 2},
		{name: "no command", args: []string{"-c"}, stderr: "-c", status: 2},
		{name: "set changes options", args: []string{"-c", "set -e; false; echo no"}, status: 1},
		{name: "missing descriptor", args: []string{"-c", "echo a >&7; echo $?"}, stdout: "1\n", stderr: ">&"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := shCommand(t, tt.args...)
			// The children of these shells are the test binary's sh.
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			bin := t.TempDir()
			if err := os.Symlink(self, filepath.Join(bin, "sh")); err != nil {
				t.Fatal(err)
			}
			cmd.Env[0] = "PATH=" + bin + ":/bin:/usr/bin"
			var stdout, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(tt.stdin), &stdout, &stderr
			err = cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("status %d, want %d", got, tt.status)
			}
			if stdout.String() != tt.stdout {
				t.Errorf("stdout %q, want %q", stdout.String(), tt.stdout)
			}
			if tt.stderr == "" && stderr.Len() > 0 || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("stderr %q, want %q in it", stderr.String(), tt.stderr)
			}
		})
	}
}

func TestParseOptions(t *testing.T) {
	for _, tt := range []struct {
		args string
		want options
	}{
		{"sh", options{name: "sh"}},
		{"-sh", options{name: "-sh", login: true}},
		{"/bin/sh -l -i", options{name: "/bin/sh", login: true, interactive: true}},
		{"sh -c x", options{name: "sh", hasCommand: true, command: "x"}},
		{"sh -ec x n 1", options{name: "n", hasCommand: true, command: "x", set: []string{"-e"}, params: []string{"1"}}},
		{"sh +e -o pipefail f -x", options{name: "f", script: "f", set: []string{"+e", "-o", "pipefail"}, params: []string{"-x"}}},
		{"sh -s a b", options{name: "sh", params: []string{"a", "b"}}},
		{"sh -- -f", options{name: "-f", script: "-f"}},
	} {
		got, err := parseOptions(strings.Fields(tt.args))
		if err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		if len(got.params) == 0 {
			got.params = nil
		}
		if !equalOptions(got, tt.want) {
			t.Errorf("%s: got %+v, want %+v", tt.args, got, tt.want)
		}
	}
}

func equalOptions(a, b options) bool {
	return strings.Join(a.params, "|") == strings.Join(b.params, "|") && strings.Join(a.set, "|") == strings.Join(b.set, "|") &&
		a.name == b.name && a.command == b.command && a.hasCommand == b.hasCommand && a.script == b.script && a.login == b.login && a.interactive == b.interactive
}
