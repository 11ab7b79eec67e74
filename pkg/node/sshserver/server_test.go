package sshserver

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// TestMain lets the test binary stand in for /bin/sftp-server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "sftp-server" {
		os.Exit(SFTPMain(os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// testLog collects log lines.
type testLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// testServer is a server on loopback whose accounts are all the user who runs
// the test.
type testServer struct {
	*Server
	addr   string
	key    gossh.Signer       // authorised
	raw    ed25519.PrivateKey // the same
	log    *testLog
	cancel context.CancelFunc
	done   chan error
}

func newSigner(t testing.TB) (gossh.Signer, ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer, key
}

func startServer(t testing.TB, change func(*Server)) *testServer {
	t.Helper()
	return startServerOn(t, func(_ *Server, l net.Listener) net.Listener { return l }, change)
}

func startServerOn(t testing.TB, wrap func(*Server, net.Listener) net.Listener, change func(*Server)) *testServer {
	t.Helper()
	host, _ := newSigner(t)
	key, raw := newSigner(t)
	keys, _ := ParseAuthorizedKeys("test", gossh.MarshalAuthorizedKey(key.PublicKey()))
	home := t.TempDir()
	uid, gid := uint32(os.Getuid()), uint32(os.Getgid())
	out := &testLog{}
	s := &Server{
		HostKey: host, Keys: NewKeySet(keys),
		Accounts: []Account{
			{Name: "bee", UID: uid, GID: gid, Home: home, Shell: "/bin/sh", Password: true},
			{Name: "root", UID: uid, GID: gid, Home: home, Shell: "/bin/sh"},
		},
		Limits: DefaultLimits(), SFTP: []string{os.Args[0], "sftp-server"},
		Root: fstest.MapFS{"run/bee/motd": {Data: []byte("hello from the bee\n")}},
		Log:  log.New(out, "", 0),
	}
	s.Limits.FailDelay = 0
	s.Starter = &HostStarter{Log: s.Log}
	if change != nil {
		change(s)
	}
	l, err := Listen(t.Context(), "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ts := &testServer{Server: s, addr: l.Addr().String(), key: key, raw: raw, log: out, cancel: cancel, done: make(chan error, 1)}
	on := wrap(s, l)
	go func() { ts.done <- s.Serve(ctx, on) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ts.done; err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() {
			t.Logf("server log:\n%s", out)
		}
	})
	return ts
}

func (ts *testServer) dial(t testing.TB, user string, auth ...gossh.AuthMethod) (*gossh.Client, error) {
	t.Helper()
	client, err := gossh.Dial("tcp", ts.addr, &gossh.ClientConfig{User: user, Auth: auth, HostKeyCallback: gossh.FixedHostKey(ts.HostKey.PublicKey()), Timeout: 10 * time.Second})
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

func (ts *testServer) login(t testing.TB) *gossh.Client {
	t.Helper()
	client, err := ts.dial(t, "bee", gossh.PublicKeys(ts.key))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (ts *testServer) session(t testing.TB) *gossh.Session {
	t.Helper()
	sess, err := ts.login(t).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return sess
}

func TestExec(t *testing.T) {
	ts := startServer(t, nil)
	client := ts.login(t)
	for _, tt := range []struct {
		name, command, stdin, stdout, stderr string
		status                               int
		signal                               string
	}{
		{name: "output", command: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		{name: "status", command: "exit 42", status: 42},
		{name: "signal", command: "kill -TERM $$", signal: "TERM"},
		{name: "signal without a name", command: "kill -BUS $$", signal: "SIG7@bee"},
		{name: "stdin", command: "cat; echo end", stdin: "a\nb\n", stdout: "a\nb\nend\n"},
		{name: "script", command: "sh -s one", stdin: "echo $1\ncat <<X\ntwo\nX\n", stdout: "one\ntwo\n"},
		{name: "unread stdin", command: "true", stdin: strings.Repeat("x", 4<<20)},
		{name: "much output", command: "head -c 3000000 /dev/zero | tr '\\0' x", stdout: strings.Repeat("x", 3000000)},
		{name: "grandchild keeps the pipes", command: "sleep 600 & echo $!", stdout: "*"},
		{name: "not found", command: "/no/such", status: 127, stderr: "*"},
		{name: "environment", command: "env | sort | grep -v -e SSH_ -e PWD -e OLDPWD -e HOME -e SHLVL -e ^_= ; pwd >/dev/null; [ \"$PWD\" = \"$HOME\" ] && echo at home", stdout: "LOGNAME=bee\nPATH=/bin\nSHELL=/bin/sh\nUSER=bee\nat home\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sess, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			sess.Stdout, sess.Stderr = &stdout, &stderr
			in, err := sess.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				io.WriteString(in, tt.stdin) // may fail: not every command reads it
				in.Close()
			}()
			err = sess.Run(tt.command)
			status, signal := 0, ""
			var exit *gossh.ExitError
			if errors.As(err, &exit) {
				status, signal = exit.ExitStatus(), exit.Signal()
			} else if err != nil {
				t.Fatal(err)
			}
			if tt.signal != "" {
				status = 0 // x/crypto makes one up
			}
			if status != tt.status || signal != tt.signal {
				t.Errorf("status %d signal %q, want %d %q", status, signal, tt.status, tt.signal)
			}
			if tt.stdout != "*" && stdout.String() != tt.stdout {
				t.Errorf("stdout %.200q, want %.200q", stdout.String(), tt.stdout)
			}
			if tt.stderr != "*" && stderr.String() != tt.stderr {
				t.Errorf("stderr %.200q, want %.200q", stderr.String(), tt.stderr)
			}
			if tt.name == "grandchild keeps the pipes" {
				killPID(t, strings.TrimSpace(stdout.String()))
			}
		})
	}
}

func TestSignalRequest(t *testing.T) {
	sess := startServer(t, nil).session(t)
	out, err := sess.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sess.Start("trap 'echo usr1; exit 3' USR1; echo ready; while :; do sleep 0.01; done"); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "ready\n")
	if err := sess.Signal(gossh.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "usr1\n")
	var exit *gossh.ExitError
	if err := sess.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("got %v, want status 3", err)
	}
}

func TestTerminal(t *testing.T) {
	sess := startServer(t, nil).session(t)
	out, err := sess.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := sess.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	modes := gossh.TerminalModes{gossh.ECHO: 0, gossh.VERASE: 8}
	if err := sess.RequestPty("xterm-256color", 31, 91, modes); err != nil {
		t.Fatal(err)
	}
	if err := sess.Setenv("LC_ALL", "C.UTF-8"); err != nil {
		t.Errorf("LC_ALL: %v", err)
	}
	if err := sess.Setenv("LD_PRELOAD", "/tmp/x.so"); err == nil {
		t.Error("LD_PRELOAD was accepted")
	}
	if err := sess.Shell(); err != nil {
		t.Fatal(err)
	}
	expect(t, out, "hello from the bee\r\n")
	io.WriteString(in, "stty size; stty -a | grep -o 'erase = ^H'; echo $TERM $LC_ALL; [ -t 2 ] && tty\n")
	expect(t, out, "31 91\r\n", "erase = ^H\r\n", "xterm-256color C.UTF-8\r\n", "/dev/pts/")
	if err := sess.WindowChange(20, 60); err != nil {
		t.Fatal(err)
	}
	// The change has no answer, and what is typed may overtake it.
	io.WriteString(in, "until stty size | grep '20 60'; do sleep 0.05; done\n")
	expect(t, out, "20 60\r\n")
	io.WriteString(in, "sh -c 'echo went; exec sleep 100'\n")
	expect(t, out, "went\r\n")
	io.WriteString(in, "\x03echo status $?\n") // Ctrl-C reaches the foreground
	expect(t, out, "status 130\r\n")
	in.Close() // the end of input is the end of the shell
	var exit *gossh.ExitError
	if err := sess.Wait(); err != nil && !errors.As(err, &exit) {
		t.Errorf("shell did not end with its input: %v", err)
	}
}

// TestDisconnect: nothing is left of a session whose client is gone, be it
// deaf to SIGHUP, but for what went into the background with nohup.
func TestDisconnect(t *testing.T) {
	for name, command := range map[string]string{
		"plain":        "echo $$; exec sleep 600",
		"deaf":         "trap '' HUP; echo $$; while :; do sleep 0.05; done",
		"reads":        "echo $$; cat",
		"stops itself": "echo $$; kill -STOP $$",
	} {
		t.Run(name, func(t *testing.T) {
			ts := startServer(t, func(s *Server) { s.Limits.HangupGrace = 200 * time.Millisecond })
			client := ts.login(t)
			sess, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			out, err := sess.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sess.StdinPipe(); err != nil {
				t.Fatal(err)
			}
			if err := sess.Start(command); err != nil {
				t.Fatal(err)
			}
			pid := strings.TrimSpace(expect(t, out, "\n"))
			client.Close()
			eventually(t, "process "+pid+" is still there", func() bool {
				_, err := os.Stat(filepath.Join("/proc", pid))
				return errors.Is(err, os.ErrNotExist)
			})
		})
	}
}

func TestSessionLimits(t *testing.T) {
	ts := startServer(t, func(s *Server) { s.Limits.SessionsPerConn, s.Limits.Sessions = 2, 3 })
	a, b := ts.login(t), ts.login(t)
	for range 2 {
		if _, err := a.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.NewSession(); err == nil {
		t.Error("third session of a connection was let in")
	}
	if _, err := b.NewSession(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.NewSession(); err == nil {
		t.Error("fourth session of the server was let in")
	}
	a.Close()
	eventually(t, "places are not given back", func() bool {
		sess, err := b.NewSession()
		if err == nil {
			sess.Close()
		}
		return err == nil
	})
}

func TestRefusedRequests(t *testing.T) {
	ts := startServer(t, nil)
	client := ts.login(t)
	ch, reqs, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	go gossh.DiscardRequests(reqs)
	for _, name := range []string{"auth-agent-req@openssh.com", "x11-req", "window-change", "signal", "pty-req", "env", "subsystem", "nonsense"} {
		if ok, err := ch.SendRequest(name, true, []byte{0, 0, 0, 9, 'x'}); ok || err != nil {
			t.Errorf("%s: %v %v, want a refusal", name, ok, err)
		}
	}
	if ok, err := ch.SendRequest("subsystem", true, gossh.Marshal(struct{ S string }{"netconf"})); ok || err != nil {
		t.Errorf("unknown subsystem: %v %v", ok, err)
	}
	for _, kind := range []string{"x11", "direct-streamlocal@openssh.com", "tun@openssh.com"} {
		if _, _, err := client.OpenChannel(kind, nil); err == nil {
			t.Errorf("channel %s was opened", kind)
		}
	}
}

// expect reads r until every one of want has come, in order, and returns what
// was read.
func expect(t *testing.T, r io.Reader, want ...string) string {
	t.Helper()
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	var b testLog
	go func() {
		buf := make([]byte, 1)
		from := 0
		for _, w := range want {
			for !strings.Contains(b.String()[from:], w) {
				n, err := r.Read(buf)
				b.Write(buf[:n])
				if err != nil {
					done <- result{b.String(), err}
					return
				}
			}
			from += strings.Index(b.String()[from:], w) + len(w)
		}
		done <- result{b.String(), nil}
	}()
	select {
	case res := <-done:
		if res.err != nil {
			t.Fatalf("%v after %q, want %q", res.err, res.text, want)
		}
		return res.text
	case <-time.After(20 * time.Second):
		t.Fatalf("%q did not come, only %q", want, b.String())
	}
	return ""
}

// eventually polls: what it waits for happens in another process.
func eventually(t *testing.T, complaint string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal(complaint)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func killPID(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatalf("no pid: %q", pid)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Errorf("kill %d: %v", n, err)
	}
}
