package sshserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// session is one channel of type "session" (RFC 4254, 6).
type session struct {
	server  *Server
	account Account
	ch      gossh.Channel
	conn    *gossh.ServerConn

	env     []string
	pty     *ptyRequest
	term    *terminal
	process Process // nil until started
	login   bool    // interactive
	stdin   io.WriteCloser
	outputs []output
	ours    []io.Closer // our ends of the streams
}

// output is a stream from the process to the client.
type output struct {
	from *os.File
	to   io.Writer
}

const (
	maxEnv      = 64      // variables that a client may send
	maxEnvValue = 4 << 10 // bytes
)

// perConn finds a connection's counters in its context.
type perConn struct{}

type connCounters struct {
	sessions, forwards counter
	listeners          listeners
}

func (s *Server) countersOf(ctx ssh.Context) *connCounters {
	ctx.Lock()
	defer ctx.Unlock()
	c, ok := ctx.Value(perConn{}).(*connCounters)
	if !ok {
		c = &connCounters{sessions: counter{max: s.Limits.SessionsPerConn}, forwards: counter{max: s.Limits.ForwardsPerConn}}
		c.listeners.max = s.Limits.ListenersPerConn
		ctx.SetValue(perConn{}, c)
	}
	return c
}

// takeBoth takes a place in each of two counters or in none.
func takeBoth(a, b *counter) bool {
	if !a.take() {
		return false
	}
	if !b.take() {
		a.release()
		return false
	}
	return true
}

// handleSession serves one channel until it is closed and its process is gone.
func (s *Server) handleSession(_ *ssh.Server, conn *gossh.ServerConn, newChan gossh.NewChannel, ctx ssh.Context) {
	account, ok := s.account(conn.User()) // final: authentication is over
	if !ok {
		newChan.Reject(gossh.Prohibited, "unknown account")
		return
	}
	own := s.countersOf(ctx)
	if !takeBoth(&own.sessions, &s.sessions) {
		newChan.Reject(gossh.ResourceShortage, "too many sessions")
		return
	}
	defer s.sessions.release()
	defer own.sessions.release()
	ch, requests, err := newChan.Accept()
	if err != nil {
		return // the connection is gone
	}
	sctx, gone := context.WithCancel(ctx)
	defer gone()
	sess := &session{server: s, account: account, ch: ch, conn: conn}
	var running sync.WaitGroup
	for req := range requests {
		started := sess.process != nil
		ok := sess.handle(req)
		if req.WantReply {
			if err := req.Reply(ok, nil); err != nil {
				break
			}
		}
		if !started && sess.process != nil {
			running.Go(func() { sess.run(sctx) })
		}
	}
	gone()
	running.Wait()
	if sess.process == nil {
		ch.Close()
	}
}

// handle answers one request.
func (s *session) handle(req *gossh.Request) bool {
	switch req.Type {
	case "env":
		return s.setEnv(req.Payload)
	case "pty-req":
		if s.pty != nil || s.process != nil {
			return false
		}
		r, err := parsePTYRequest(req.Payload)
		if err != nil {
			return false
		}
		s.pty = &r
		return true
	case "window-change":
		var w windowChange
		if err := gossh.Unmarshal(req.Payload, &w); err != nil || s.pty == nil {
			return false
		}
		if s.term == nil {
			s.pty.Columns, s.pty.Rows, s.pty.Width, s.pty.Height = w.Columns, w.Rows, w.Width, w.Height
			return true
		}
		return s.term.resize(w) == nil
	case "signal":
		var r struct{ Name string }
		if err := gossh.Unmarshal(req.Payload, &r); err != nil || s.process == nil {
			return false
		}
		sig, ok := signalNamed(r.Name)
		return ok && s.process.Signal(sig) == nil
	case "shell":
		return s.start([]string{"-" + path.Base(s.account.Shell)}, s.account.Shell, true)
	case "exec":
		var r struct{ Command string }
		if err := gossh.Unmarshal(req.Payload, &r); err != nil || strings.ContainsRune(r.Command, 0) {
			return false
		}
		return s.start([]string{path.Base(s.account.Shell), "-c", r.Command}, s.account.Shell, false)
	case "subsystem":
		var r struct{ Name string }
		if err := gossh.Unmarshal(req.Payload, &r); err != nil || r.Name != "sftp" || len(s.server.SFTP) == 0 {
			return false
		}
		s.pty = nil // a terminal would garble the protocol
		return s.start(s.server.SFTP, s.server.SFTP[0], false)
	}
	return false // X11, agent forwarding and what else there may be
}

// setEnv accepts what says how text and colours are to look, and nothing that
// could steer a program (sshd_config(5) AcceptEnv).
func (s *session) setEnv(payload []byte) bool {
	var kv struct{ Name, Value string }
	if err := gossh.Unmarshal(payload, &kv); err != nil || s.process != nil {
		return false
	}
	allowed := kv.Name == "LANG" || kv.Name == "COLORTERM" || kv.Name == "NO_COLOR" ||
		strings.HasPrefix(kv.Name, "LC_") && strings.Trim(kv.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == ""
	if !allowed || len(s.env) >= maxEnv || len(kv.Name) > 64 || len(kv.Value) > maxEnvValue || strings.ContainsRune(kv.Value, 0) {
		return false
	}
	s.env = append(s.env, kv.Name+"="+kv.Value)
	return true
}

// environ is the whole environment of the session's process.
func (s *session) environ() []string {
	host, port := remote(s.conn.RemoteAddr())
	here, herePort := remote(s.conn.LocalAddr())
	env := append([]string{
		"USER=" + s.account.Name, "LOGNAME=" + s.account.Name, "HOME=" + s.account.Home,
		"SHELL=" + s.account.Shell, "PATH=/bin",
		"SSH_CLIENT=" + host + " " + port + " " + herePort,
		"SSH_CONNECTION=" + host + " " + port + " " + here + " " + herePort,
	}, s.env...)
	if s.term != nil {
		env = append(env, "TERM="+s.pty.Term, "SSH_TTY="+s.term.name)
	}
	return env
}

// start starts the session's one process. A failure to do so is told to the
// client in words, as the outcome of its command.
func (s *session) start(args []string, path string, login bool) bool {
	if s.process != nil {
		return false
	}
	spec := Spec{Account: s.account, Path: path, Args: args, TTY: s.pty != nil}
	closeTheirs, err := s.connect(&spec)
	if err != nil {
		return s.cannotStart(err)
	}
	defer closeTheirs()
	spec.Env = s.environ()
	s.login = login && s.term != nil
	process, err := s.server.Starter.Start(spec)
	if err != nil {
		s.closeOurs()
		return s.cannotStart(err)
	}
	s.process = process
	return true
}

func (s *session) cannotStart(err error) bool {
	s.server.Log.Printf("session of %s: %v", s.account.Name, err)
	fmt.Fprintf(s.ch.Stderr(), "bee: %v\r\n", err)
	s.process = failedProcess{}
	return true
}

// failedProcess stands for one that could not be started, with the status that
// shells give for that.
type failedProcess struct{}

func (failedProcess) Signal(syscall.Signal) error { return nil }
func (failedProcess) Wait() Exit                  { return Exit{Code: 127} }

// connect makes the streams of the process: a terminal, or three pipes. The
// returned function closes the process's ends of them here.
func (s *session) connect(spec *Spec) (closeTheirs func(), err error) {
	if s.pty != nil {
		uid := os.Geteuid()
		if uid == 0 {
			uid = int(s.account.UID)
		}
		t, err := openTerminal(*s.pty, uid)
		if err != nil {
			return nil, err
		}
		s.term = t
		s.stdin = terminalInput{t.master}
		s.outputs = []output{{t.master, s.ch}}
		s.ours = []io.Closer{t.master}
		spec.Stdio = [3]*os.File{t.slave, t.slave, t.slave}
		return func() { t.slave.Close() }, nil
	}
	var theirs, ours [3]*os.File
	closeAll := func(files [3]*os.File) {
		for _, f := range files {
			if f != nil {
				f.Close()
			}
		}
	}
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(theirs)
			closeAll(ours)
			return nil, fmt.Errorf("make pipe: %w", err)
		}
		theirs[i], ours[i] = w, r
		if i == 0 {
			theirs[i], ours[i] = r, w
		}
	}
	s.stdin = ours[0]
	s.outputs = []output{{ours[1], s.ch}, {ours[2], s.ch.Stderr()}}
	s.ours = []io.Closer{ours[0], ours[1], ours[2]}
	spec.Stdio = theirs
	return func() { closeAll(theirs) }, nil
}

func (s *session) closeOurs() {
	for _, c := range s.ours {
		c.Close()
	}
	s.stdin, s.outputs = nil, nil
}

// terminalInput turns the end of the client's input into the character that
// means it (VEOF, Ctrl-D): a terminal has no other.
type terminalInput struct{ *os.File }

func (t terminalInput) Close() error {
	_, err := t.Write([]byte{4})
	return err
}

// motd shows run/bee/motd at the begin of an interactive login.
func (s *session) motd() {
	text, err := fs.ReadFile(s.server.Root, "run/bee/motd")
	if errors.Is(err, fs.ErrNotExist) {
		return // the audit has not written it yet
	}
	if err != nil {
		s.server.Log.Printf("read message of the day: %v", err)
		return
	}
	s.ch.Write([]byte(strings.ReplaceAll(string(text), "\n", "\r\n")))
}

// run moves bytes until the process has ended and its output is out, then
// tells the client how it ended. If the client goes first, the process group
// gets SIGHUP and, should its leader ignore that, SIGKILL after a while.
// Background jobs that ignore SIGHUP (nohup) outlive a leader that does not.
func (s *session) run(ctx context.Context) {
	if s.login {
		s.motd()
	}
	exited := make(chan struct{})
	var exit Exit
	go func() {
		exit = s.process.Wait()
		close(exited)
	}()
	stdin := s.stdin
	go func() {
		if stdin == nil {
			return
		}
		io.Copy(stdin, s.ch)
		stdin.Close()
		io.Copy(io.Discard, s.ch) // the process closed its end: let the client finish
	}()
	var copying sync.WaitGroup
	for _, o := range s.outputs {
		copying.Go(func() { s.drain(o, exited) })
	}
	select {
	case <-exited:
	case <-ctx.Done():
		s.hangUp(exited)
	}
	for _, o := range s.outputs {
		o.from.SetReadDeadline(time.Now().Add(s.server.Limits.DrainIdle))
	}
	if ctx.Err() == nil {
		copied := make(chan struct{})
		go func() { copying.Wait(); close(copied) }()
		select {
		case <-copied:
		case <-ctx.Done():
		}
	}
	s.ch.CloseWrite()
	s.sendExit(exit)
	s.ch.Close()
	s.closeOurs()
	copying.Wait()
}

// drain copies output until its end. Once the process has ended it waits for
// more only DrainIdle at a time: a grandchild in the background may hold the
// stream for ever.
func (s *session) drain(o output, exited <-chan struct{}) {
	buf := make([]byte, 32<<10)
	for {
		n, err := o.from.Read(buf)
		if n > 0 {
			if _, werr := o.to.Write(buf[:n]); werr != nil {
				io.Copy(io.Discard, o.from) // the client is gone; run hangs up
				return
			}
		}
		if err != nil {
			return // the end: EOF, EIO of a terminal nobody has open, the deadline
		}
		select {
		case <-exited:
			o.from.SetReadDeadline(time.Now().Add(s.server.Limits.DrainIdle))
		default:
		}
	}
}

// hangUp ends a process whose client is gone.
func (s *session) hangUp(exited <-chan struct{}) {
	kill := func(sig syscall.Signal) {
		if err := s.process.Signal(sig); err != nil {
			s.server.Log.Printf("hang up session of %s: %v", s.account.Name, err)
		}
	}
	kill(syscall.SIGHUP)
	kill(syscall.SIGCONT)
	timer := time.NewTimer(s.server.Limits.HangupGrace)
	defer timer.Stop()
	select {
	case <-exited:
		return
	case <-timer.C:
	}
	kill(syscall.SIGKILL)
	<-exited
}

// sendExit says how the process ended (RFC 4254, 6.10).
func (s *session) sendExit(e Exit) {
	if e.Signal == 0 {
		s.ch.SendRequest("exit-status", false, gossh.Marshal(struct{ Status uint32 }{uint32(e.Code)}))
		return
	}
	s.ch.SendRequest("exit-signal", false, gossh.Marshal(struct {
		Signal        string
		Core          bool
		Message, Lang string
	}{signalName(e.Signal), e.Core, e.Signal.String(), ""}))
}
