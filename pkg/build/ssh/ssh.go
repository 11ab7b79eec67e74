// Package ssh drives the pinned OpenSSH client: mage run, the bench and the
// end-to-end tests log in with it as an operator would. Nothing of the user's
// own configuration, agent or known hosts is looked at.
package ssh

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bee-os/bee/pkg/build/sandbox"
)

// inside is where the client's folder is in the sandbox.
const inside = "/ssh"

// Client is one key and the host keys it has seen, in a folder of its own.
type Client struct {
	Sandbox *sandbox.Sandbox // with the group tools-test
	Dir     string           // private folder with key, key.pub, known_hosts
}

// New makes a client with a new Ed25519 key in dir, which must be empty and
// for nobody else to read.
func New(ctx context.Context, s *sandbox.Sandbox, dir string) (*Client, error) {
	c := &Client{s, dir}
	err := s.Run(ctx, sandbox.Step{
		Args: []string{"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bee-run", "-f", inside + "/key"},
		Rw:   []sandbox.Bind{{Host: dir, Path: inside}},
	})
	if err != nil {
		return nil, fmt.Errorf("make an SSH key: %w", err)
	}
	return c, nil
}

// PublicKey is the line for an authorized_keys file, without an end of line.
func (c *Client) PublicKey() (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, "key.pub"))
	return strings.TrimSpace(string(text)), err
}

// tryEvery is the time between two tries to connect, each beside the ones
// before: one that came too early hangs in retransmission timers, and its
// answer would tell their length, not when the server was there.
const tryEvery = 25 * time.Millisecond

// WaitBanner waits until a server greets at 127.0.0.1:port and returns when it
// did.
func WaitBanner(ctx context.Context, port int) (time.Time, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	came := make(chan time.Time, 1)
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for {
		go func() {
			line, err := greeting(ctx, port)
			if err != nil || !strings.HasPrefix(line, "SSH-2.0-") {
				return
			}
			select {
			case came <- time.Now():
			default:
			}
		}()
		select {
		case at := <-came:
			return at, nil
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("wait for an SSH server on port %d: %w", port, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// greeting is the first line that a server sends (RFC 4253, 4.2).
func greeting(ctx context.Context, port int) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	return bufio.NewReader(io.LimitReader(conn, 255)).ReadString('\n')
}

// Trust takes the server's host key, if it is the one whose fingerprint
// ("SHA256:…") was learnt another way, such as from the console.
func (c *Client) Trust(ctx context.Context, port int, fingerprint string) error {
	keys, err := c.hostKey(ctx, port)
	if err != nil {
		return fmt.Errorf("ask for the host key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "known_hosts"), keys, 0o600); err != nil {
		return err
	}
	out, err := c.Sandbox.Output(ctx, sandbox.Step{
		Args: []string{"ssh-keygen", "-l", "-f", inside + "/known_hosts"},
		Ro:   []sandbox.Bind{{Host: c.Dir, Path: inside}},
	})
	if err != nil {
		return fmt.Errorf("compute the host key's fingerprint: %w", err)
	}
	f := strings.Fields(string(out))
	if len(f) < 2 || f[1] != fingerprint {
		return fmt.Errorf("check the host key: the server shows %q, the console said %s: this is not the machine that was booted", out, fingerprint)
	}
	return nil
}

// hostKey asks a server for its key, more than once: one that still has the
// connections of WaitBanner open may close another.
func (c *Client) hostKey(ctx context.Context, port int) ([]byte, error) {
	for try := 1; ; try++ {
		keys, err := c.Sandbox.Output(ctx, sandbox.Step{
			Args:    []string{"ssh-keyscan", "-q", "-t", "ed25519", "-p", strconv.Itoa(port), "127.0.0.1"},
			Network: true,
		})
		if err == nil && len(keys) > 0 || try == keyTries {
			return keys, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// keyTries is how often a server is asked for its key.
const keyTries = 5

// Options are the client's options for the key and the known hosts.
func Options(dir string) []string {
	return []string{
		"-F", "none", "-i", dir + "/key", "-o", "UserKnownHostsFile=" + dir + "/known_hosts", "-o", "GlobalKnownHostsFile=none",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes",
		"-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR",
	}
}

// Run runs a command line on 127.0.0.1:port as user and returns what it wrote.
// The error of one that failed holds its exit status and the end of its
// standard error.
func (c *Client) Run(ctx context.Context, user string, port int, command string, stdin io.Reader) ([]byte, error) {
	var out bytes.Buffer
	var errText sandbox.Tail
	args := append([]string{"ssh"}, Options(inside)...)
	args = append(args, "-T", "-p", strconv.Itoa(port), user+"@127.0.0.1", command)
	cmd, err := c.Sandbox.Command(ctx, sandbox.Step{
		Args: args, Ro: []sandbox.Bind{{Host: c.Dir, Path: inside}}, Network: true,
		Stdin: stdin, Stdout: &out, Stderr: &errText,
	})
	if err != nil {
		return nil, err
	}
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("ssh %s: %w: %s", command, err, strings.TrimSpace(errText.String()))
	}
	return out.Bytes(), nil
}

// ExitStatus is the status in an error of Run; 255 is ssh's own. ok is false
// where the error is none of a program that ended.
func ExitStatus(err error) (status int, ok bool) {
	var e *exec.ExitError
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.ExitCode(), true
}
