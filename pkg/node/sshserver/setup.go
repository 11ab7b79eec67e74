package sshserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bee-os/bee/pkg/bootparam"
)

// Files, below the root.
const (
	BakedKeysPath       = "etc/bee/authorized_keys"
	Dir                 = "run/bee/ssh"
	HostKeyPath         = Dir + "/host_key"
	KeysPath            = Dir + "/authorized_keys"
	LateKeysPath        = Dir + "/authorized_keys.late" // those that AddKeys took
	PasswordHashPath    = Dir + "/password.hash"
	ConsolePasswordPath = Dir + "/console-password" // the random one in clear, for the console's screen alone; RAM, 0600
	FingerprintPath     = "run/bee/ssh-fingerprint"
)

// Result is who may log in: what Setup found and made.
type Result struct {
	Keys        int    // that may log in
	Password    string // the random one, if there is one; for the console only
	PasswordSet bool   // bee.password_hash is in force
	Warnings    []string
}

// Setup settles below root who may log in, from the keys baked into the image and
// the kernel parameters. Run again it does not change the random password. The
// policy: bee.password_hash is the operator's password if it is
// there and sound; else keys alone, if there is one, late ones (AddKeys) too;
// else a random password. At its end sshd, which may run already, lets people in.
func Setup(root *os.Root, params bootparam.Params) (Result, error) {
	var res Result
	free, err := lockDir(root)
	if err != nil {
		return res, err
	}
	defer free()
	keys, err := setupKeys(root, params.SSHKeys, &res)
	if err != nil {
		return res, err
	}
	res.Keys = keys
	if err := setupPassword(root, params.PasswordHash, &res); err != nil {
		return res, err
	}
	if err := writeFile(root, SettledPath, nil, 0o600); err != nil {
		return res, fmt.Errorf("tell sshd that it may let people in: %w", err)
	}
	return res, nil
}

// lockDir makes Dir, closed to others, and keeps other processes that change what
// is in it waiting until free is called: two of them at once could leave the
// console with a password that is not the hash's, or a password beside a key
// that ends it (flock(2)).
func lockDir(root *os.Root) (free func(), err error) {
	if err := root.MkdirAll(Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make %s: %w", Dir, err)
	}
	if err := root.Chmod(Dir, 0o700); err != nil {
		return nil, fmt.Errorf("restrict %s: %w", Dir, err)
	}
	dir, err := root.Open(Dir)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", Dir, err)
	}
	for {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("lock %s: %w", Dir, err)
	}
	return func() { dir.Close() }, nil
}

func setupKeys(root *os.Root, fromParams []string, res *Result) (n int, err error) {
	baked, err := fs.ReadFile(root.FS(), BakedKeysPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		res.Warnings = append(res.Warnings, fmt.Sprintf("ssh keys baked into the image ignored: %v", err))
	}
	all, warnings := ParseAuthorizedKeys(BakedKeysPath, baked)
	res.Warnings = append(res.Warnings, warnings...)
	for _, line := range fromParams {
		keys, warnings := ParseAuthorizedKeys("bee.ssh_key", []byte(line))
		all = append(all, keys...)
		res.Warnings = append(res.Warnings, warnings...)
	}
	var b strings.Builder
	seen := KeySet{}
	for _, k := range all {
		if _, ok := seen[string(k.blob)]; !ok {
			seen[string(k.blob)] = k
			b.WriteString(k.Line() + "\n")
		}
	}
	if err := writeFile(root, KeysPath, []byte(b.String()), 0o600); err != nil {
		return 0, fmt.Errorf("write authorised keys: %w", err)
	}
	// Keys that were added since the boot began stay, and keep a random password away.
	late, warnings, err := readKeys(root.FS(), LateKeysPath)
	res.Warnings = append(res.Warnings, warnings...)
	for _, k := range late {
		seen[string(k.blob)] = k
	}
	return len(seen), err
}

func setupPassword(root *os.Root, hash string, res *Result) error {
	if hash != "" {
		_, err := ParsePasswordHash(hash)
		if err == nil {
			res.PasswordSet = true
			return errors.Join(writeFile(root, PasswordHashPath, []byte(hash+"\n"), 0o600), remove(root, ConsolePasswordPath))
		}
		res.Warnings = append(res.Warnings, fmt.Sprintf("kernel parameter bee.password_hash ignored: %v", err))
	}
	if res.Keys > 0 {
		return errors.Join(remove(root, PasswordHashPath), remove(root, ConsolePasswordPath))
	}
	// Of an earlier run in this boot: what the console shows stays true.
	shown, err := fs.ReadFile(root.FS(), ConsolePasswordPath)
	switch {
	case err == nil:
		res.Password = strings.TrimSpace(string(shown))
	case errors.Is(err, fs.ErrNotExist):
		res.Password = GeneratePassword()
	default:
		return fmt.Errorf("read password of this boot: %w", err)
	}
	if err := writeFile(root, PasswordHashPath, []byte(HashPassword(res.Password)+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password hash: %w", err)
	}
	if err := writeFile(root, ConsolePasswordPath, []byte(res.Password+"\n"), 0o600); err != nil {
		return fmt.Errorf("write password for the console: %w", err)
	}
	return nil
}

// writeFile replaces a file as a whole.
func writeFile(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	tmp := path.Join(path.Dir(name), "."+path.Base(name)+".new")
	if err := remove(root, tmp); err != nil {
		return err
	}
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, werr := f.Write(data)
	merr := f.Chmod(mode) // whatever the umask
	if err := errors.Join(werr, merr, f.Close()); err != nil {
		return errors.Join(err, remove(root, tmp))
	}
	if err := root.Rename(tmp, name); err != nil {
		return errors.Join(err, remove(root, tmp))
	}
	return nil
}

func remove(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// settled is the Result by which a server that Load made lets in.
func settled(root fs.FS, s *Server) (Result, error) {
	res := Result{Keys: len(s.Keys), PasswordSet: s.Password != nil}
	if s.Password == nil {
		return res, nil
	}
	shown, err := fs.ReadFile(root, ConsolePasswordPath)
	switch {
	case err == nil:
		res.Password, res.PasswordSet = strings.TrimSpace(string(shown)), false
	case !errors.Is(err, fs.ErrNotExist):
		return res, fmt.Errorf("read the password for the console: %w", err)
	}
	return res, nil
}

// ConsoleText is what the operator at the console must know.
func (r Result) ConsoleText() string {
	var b strings.Builder
	switch {
	case r.Password != "":
		fmt.Fprintf(&b, "ssh: log in as bee, password %s (this boot only)\n", r.Password)
	case r.PasswordSet && r.Keys > 0:
		fmt.Fprintf(&b, "ssh: log in as bee or root with one of %d keys, or as bee with the password of bee.password_hash\n", r.Keys)
	case r.PasswordSet:
		fmt.Fprintf(&b, "ssh: log in as bee with the password of bee.password_hash\n")
	default:
		fmt.Fprintf(&b, "ssh: log in as bee or root with one of %d keys; passwords are off\n", r.Keys)
	}
	return b.String()
}

// LogText is ConsoleText without the secret.
func (r Result) LogText() string {
	if r.Password != "" {
		r.Password = "shown on the console"
	}
	return r.ConsoleText()
}

// Load reads what Setup made, and makes the host key if there is none (made): what
// Serve needs, besides a starter and a log. root stays open as long as the server
// runs.
func Load(root *os.Root) (s *Server, made bool, err error) {
	s = &Server{Accounts: Accounts(), Limits: DefaultLimits(), Root: root.FS()}
	if s.HostKey, made, err = ensureHostKey(root); err != nil {
		return nil, false, err
	}
	access, err := LoadAccess(root.FS())
	if err != nil {
		return nil, false, err
	}
	s.Keys, s.Password = access.Keys, access.Password
	s.Reload = func() (Access, error) { return LoadAccess(root.FS()) }
	return s, made, nil
}
