// Package sudo lets an authenticated operator act as root. It is all that the
// one setuid program of bee does, so it is small, reads nothing of its caller
// but arguments, and keeps nothing of the caller's environment but what it
// names.
//
// Who may: the real user must be a member of group sudo in /etc/group and the
// process must have that group, which sshd gives to sessions that it
// authenticated. The file's mode (4750 root:sudo) says the same once more.
package sudo

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Group is the group whose members may become root.
const Group = "sudo"

// searchPath is where commands are looked for; the caller's own PATH counts
// for nothing.
const searchPath = "/bin"

const usage = `usage: sudo [-n] [-u root] COMMAND [ARGUMENT…]
       sudo -i | -s

Runs a command, or with -i or -s a shell, as root. Only operators who logged in
may; no password is asked for. -n is taken and means nothing.
`

// Request is what the command line asks for.
type Request struct {
	Shell bool     // an interactive shell
	Login bool     // a login shell, in root's home
	Args  []string // command; with Shell, one to pass to it
	Help  bool
}

// Parse reads the arguments.
func Parse(args []string) (Request, error) {
	var r Request
	for len(args) > 0 {
		a := args[0]
		if !strings.HasPrefix(a, "-") || a == "-" {
			break
		}
		args = args[1:]
		switch a {
		case "--":
			r.Args = args
			return r.check()
		case "-n", "--non-interactive", "-E", "-H":
			// nothing is asked, the environment is not kept, HOME is root's
		case "-i", "--login":
			r.Shell, r.Login = true, true
		case "-s", "--shell":
			r.Shell = true
		case "-h", "--help":
			r.Help = true
		case "-u", "--user":
			if len(args) == 0 || args[0] != "root" && args[0] != "0" && args[0] != "#0" {
				return r, errors.New("the only user that sudo changes to is root")
			}
			args = args[1:]
		default:
			return r, fmt.Errorf("unknown option %q", a)
		}
	}
	r.Args = args
	return r.check()
}

func (r Request) check() (Request, error) {
	if !r.Shell && !r.Help && (len(r.Args) == 0 || r.Args[0] == "") {
		return r, errors.New("no command")
	}
	return r, nil
}

// Allowed says whether the user may become root, and the user's name. passwd
// and group are the texts of /etc/passwd (passwd(5)) and /etc/group (group(5)),
// groups the process's own.
func Allowed(uid int, groups []int, passwd, group string) (name string, err error) {
	for line := range strings.Lines(passwd) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) >= 7 && f[2] == strconv.Itoa(uid) {
			name = f[0]
			break
		}
	}
	if name == "" {
		return "", fmt.Errorf("user %d is not in /etc/passwd", uid)
	}
	if uid == 0 {
		return name, nil
	}
	for line := range strings.Lines(group) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 4 || f[0] != Group {
			continue
		}
		gid, err := strconv.Atoi(f[2])
		if err != nil {
			return name, fmt.Errorf("group %s has no number in /etc/group", Group)
		}
		if slices.Contains(strings.Split(f[3], ","), name) && slices.Contains(groups, gid) {
			return name, nil
		}
	}
	return name, fmt.Errorf("%s is no operator: not in group %s", name, Group)
}

// Environment is that of the command: what is kept of the caller's, and root's
// own.
func Environment(caller []string, name string, uid, gid int) []string {
	env := []string{"PATH=" + searchPath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/sh",
		"SUDO_USER=" + name, "SUDO_UID=" + strconv.Itoa(uid), "SUDO_GID=" + strconv.Itoa(gid)}
	for _, v := range caller {
		key, value, ok := strings.Cut(v, "=")
		if ok && plain(value) && slices.Contains([]string{"TERM", "LANG", "LC_ALL", "TZ", "COLUMNS", "LINES", "SSH_CONNECTION", "SSH_TTY"}, key) {
			env = append(env, v)
		}
	}
	return env
}

// plain says that a value holds nothing that a program could take for more
// than a word: no path out of a folder of its own, no control characters.
func plain(s string) bool {
	return len(s) <= 128 && !strings.Contains(s, "..") && !strings.HasPrefix(s, ":") &&
		strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '%' }) < 0
}

// Main does it all. It returns only an exit status: 1 for a refusal, 127 for a
// command that is not there.
func Main(args, environ []string) int {
	r, err := Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sudo: %v\n%s", err, usage)
		return 1
	}
	if r.Help {
		fmt.Print(usage)
		return 0
	}
	if syscall.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "sudo: not setuid root: is /bin/sudo on a file system mounted nosuid?")
		return 1
	}
	name, err := who()
	if err != nil {
		record("refused: " + err.Error())
		fmt.Fprintf(os.Stderr, "sudo: %v\n", err)
		return 1
	}
	file, argv, err := command(r)
	if err != nil {
		fmt.Fprintf(os.Stderr, "sudo: %v\n", err)
		return 127
	}
	env := Environment(environ, name, syscall.Getuid(), syscall.Getgid())
	record(fmt.Sprintf("%s runs %s", name, strings.Join(argv, " ")))
	if err := become(r.Login); err != nil {
		fmt.Fprintf(os.Stderr, "sudo: become root: %v\n", err)
		return 1
	}
	err = syscall.Exec(file, argv, env)
	fmt.Fprintf(os.Stderr, "sudo: run %s: %v\n", file, err)
	return 126
}

// who asks the system's own files about the caller.
func who() (string, error) {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", err
	}
	group, err := os.ReadFile("/etc/group")
	if err != nil {
		return "", err
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return "", fmt.Errorf("read groups: %w", err)
	}
	return Allowed(syscall.Getuid(), append(groups, syscall.Getgid()), string(passwd), string(group))
}

// command finds what is to be run.
func command(r Request) (file string, argv []string, err error) {
	if r.Shell {
		argv = []string{"sh"}
		if r.Login {
			argv = []string{"-sh"}
		}
		if len(r.Args) > 0 {
			argv = append(argv, "-c", strings.Join(r.Args, " "))
		}
		return "/bin/sh", argv, nil
	}
	file = r.Args[0]
	if !strings.Contains(file, "/") {
		file = path.Join(searchPath, file)
	}
	if fi, err := os.Stat(file); err != nil || fi.IsDir() {
		return "", nil, fmt.Errorf("%s: command not found", r.Args[0])
	}
	return file, r.Args, nil
}

// become gives the process root's identity for good.
func become(login bool) error {
	if err := syscall.Setgroups([]int{0}); err != nil {
		return err
	}
	if err := syscall.Setresgid(0, 0, 0); err != nil {
		return err
	}
	if err := syscall.Setresuid(0, 0, 0); err != nil {
		return err
	}
	syscall.Umask(0o022)
	if login {
		return os.Chdir("/root")
	}
	return nil
}

// record leaves a line in the kernel's log. It is best effort on purpose: a log
// that cannot be written must not lock the operator out.
func record(text string) {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if len(text) > 512 {
		text = text[:512]
	}
	fmt.Fprintf(f, "<86>sudo: %s\n", strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text))
}
