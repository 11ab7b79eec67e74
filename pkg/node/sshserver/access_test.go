package sshserver

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"github.com/bee-os/bee/pkg/bootparam"
)

// machine is a root directory that Setup ran in.
func newRoot(t *testing.T, params bootparam.Params) (*os.Root, Result) {
	t.Helper()
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	res, err := Setup(root, params)
	if err != nil {
		t.Fatal(err)
	}
	return root, res
}

func keyOf(t *testing.T, s gossh.Signer) []Key {
	t.Helper()
	keys, warnings := ParseAuthorizedKeys("test", gossh.MarshalAuthorizedKey(s.PublicKey()))
	if len(keys) != 1 || len(warnings) > 0 {
		t.Fatal(warnings)
	}
	return keys
}

// serve starts a server as sshd does, on what is below root.
func serve(t *testing.T, root *os.Root) *testServer {
	t.Helper()
	loaded, _, err := Load(root)
	if err != nil {
		t.Fatal(err)
	}
	return startServer(t, func(s *Server) {
		s.HostKey, s.Keys, s.Password, s.Reload = loaded.HostKey, loaded.Keys, loaded.Password, loaded.Reload
	})
}

// TestLateKey: a key that comes after the server started lets in, and with it
// the random password is over, on connections that began before as well.
func TestLateKey(t *testing.T) {
	root, res := newRoot(t, bootparam.Params{})
	if res.Password == "" {
		t.Fatal("no random password was made")
	}
	ts := serve(t, root)
	late, _ := newSigner(t)
	if _, err := ts.dial(t, "bee", gossh.PublicKeys(late)); err == nil {
		t.Fatal("a key that nobody gave lets in")
	}
	if _, err := ts.dial(t, "bee", gossh.Password(res.Password)); err != nil {
		t.Fatalf("the random password: %v", err)
	}
	tries := 0
	_, err := ts.dial(t, "bee", gossh.RetryableAuthMethod(gossh.PasswordCallback(func() (string, error) {
		if tries++; tries == 1 {
			return "wrong", nil
		}
		if off, err := AddKeys(root, keyOf(t, late)); err != nil || off != (tries == 2) {
			t.Errorf("add a key: passwords turned off %v, %v", off, err)
		}
		return res.Password, nil
	}), 3))
	if err == nil || tries < 2 {
		t.Errorf("after %d tries the random password opens a connection that began before the key came: %v", tries, err)
	}
	if _, err := ts.dial(t, "bee", gossh.Password(res.Password)); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("the password is refused, but offered: %v", err)
	}
	for _, user := range []string{"bee", "root"} {
		if _, err := ts.dial(t, user, gossh.PublicKeys(late)); err != nil {
			t.Errorf("the late key for %s: %v", user, err)
		}
	}
	for _, name := range []string{PasswordHashPath, ConsolePasswordPath} {
		if _, err := root.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if st, err := root.Stat(LateKeysPath); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode of the keys: %v, %v", st, err)
	}
	// sshsetup once more, as svc restart does: no password comes back.
	again, err := Setup(root, bootparam.Params{})
	if err != nil || again.Password != "" || again.Keys != 1 || !strings.Contains(again.ConsoleText(), "one of 1 keys; passwords are off") {
		t.Errorf("set up again: %+v, %v", again, err)
	}
	if _, err := ts.dial(t, "bee", gossh.PublicKeys(late)); err != nil {
		t.Errorf("the late key after another sshsetup: %v", err)
	}
}

// TestLateKeyBesideOthers: keys and password that were asked for stay.
func TestLateKeyBesideOthers(t *testing.T) {
	first, _ := newSigner(t)
	late, _ := newSigner(t)
	root, _ := newRoot(t, bootparam.Params{SSHKeys: []string{keyOf(t, first)[0].Line()}, PasswordHash: HashPassword(secret)})
	ts := serve(t, root)
	if off, err := AddKeys(root, keyOf(t, late)); err != nil || off {
		t.Fatalf("passwords turned off: %v, %v", off, err)
	}
	for name, auth := range map[string]gossh.AuthMethod{"first key": gossh.PublicKeys(first), "late key": gossh.PublicKeys(late), "bee.password_hash": gossh.Password(secret)} {
		if _, err := ts.dial(t, "bee", auth); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Another call takes the place of the one before.
	other, _ := newSigner(t)
	if _, err := AddKeys(root, keyOf(t, other)); err != nil {
		t.Fatal(err)
	}
	if _, err := ts.dial(t, "bee", gossh.PublicKeys(late)); err == nil {
		t.Error("a key that was replaced lets in")
	}
}

// TestHalfDone: a random password whose files are still there does not count
// beside a key.
func TestHalfDone(t *testing.T) {
	root, res := newRoot(t, bootparam.Params{})
	late, _ := newSigner(t)
	if err := writeFile(root, LateKeysPath, []byte(keyOf(t, late)[0].Line()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := LoadAccess(root.FS())
	if err != nil || a.Password != nil || len(a.Keys) != 1 {
		t.Errorf("%+v, %v; the password %s is on", a, err, res.Password)
	}
}

// TestUnreadable: what cannot be read opens no door that it may have closed.
func TestUnreadable(t *testing.T) {
	first, _ := newSigner(t)
	root, _ := newRoot(t, bootparam.Params{SSHKeys: []string{keyOf(t, first)[0].Line()}, PasswordHash: HashPassword(secret)})
	ts := serve(t, root)
	if err := root.Mkdir(LateKeysPath, 0o700); err != nil { // reading a directory fails, for root too
		t.Fatal(err)
	}
	if _, err := ts.dial(t, "bee", gossh.Password(secret)); err == nil {
		t.Error("the password is on although it cannot be known")
	}
	if _, err := ts.dial(t, "bee", gossh.PublicKeys(first)); err != nil {
		t.Errorf("the key of the start: %v", err)
	}
	if !strings.Contains(ts.log.String(), "keys of the start alone may log in") {
		t.Errorf("the log does not tell: %s", ts.log)
	}
	if _, err := AddKeys(root, keyOf(t, first)); err == nil {
		t.Error("keys were added in place of a directory")
	}
	if entries, err := filepath.Glob(filepath.Join(root.Name(), Dir, ".*")); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if _, err := AddKeys(root, nil); err == nil {
		t.Error("no keys were added without a word")
	}
}
