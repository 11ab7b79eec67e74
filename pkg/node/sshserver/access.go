package sshserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Access is who may log in.
type Access struct {
	Keys     KeySet
	Password *PasswordHash // nil: none
}

// LoadAccess reads who may log in now from the files of Setup and AddKeys. A
// random password is off as soon as there is a key, whatever was removed yet.
func LoadAccess(root fs.FS) (Access, error) {
	keys, _, err := readKeys(root, KeysPath) // Setup wrote what it found good
	if err != nil {
		return Access{}, err
	}
	late, _, err := readKeys(root, LateKeysPath)
	if err != nil {
		return Access{}, err
	}
	a := Access{Keys: NewKeySet(keys, late)}
	if len(a.Keys) > 0 {
		_, err := fs.Stat(root, ConsolePasswordPath) // it is there for a random password alone
		if err == nil {
			return a, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Access{}, fmt.Errorf("look for a random password: %w", err)
		}
	}
	hash, err := fs.ReadFile(root, PasswordHashPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a, nil
	case err != nil:
		return Access{}, fmt.Errorf("read password hash: %w", err)
	}
	if a.Password, err = ParsePasswordHash(strings.TrimSpace(string(hash))); err != nil {
		return Access{}, fmt.Errorf("%s: %w", PasswordHashPath, err)
	}
	return a, nil
}

// readKeys reads a file of keys; one that is not there holds none.
func readKeys(root fs.FS, name string) (keys []Key, warnings []string, err error) {
	text, err := fs.ReadFile(root, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("read authorised keys: %w", err)
	}
	keys, warnings = ParseAuthorizedKeys(name, text)
	return keys, warnings, nil
}

// access is who may log in at this moment.
func (s *Server) access() Access {
	if s.Reload == nil {
		return Access{s.Keys, s.Password}
	}
	a, err := s.Reload()
	if err != nil {
		// Keys that were good stay good; whether the password is still on cannot
		// be known, and a key may have turned it off.
		s.Log.Printf("%v: keys of the start alone may log in", err)
		return Access{Keys: s.Keys}
	}
	return a
}

// AddKeys authorises keys that were found after Setup, such as those of a
// NoCloud seed, in place of those of an earlier call. They hold for this boot,
// from the next login attempt on, beside the ones of Setup. A random password
// ends with the first of them, as Setup makes none where there is a key; that
// of bee.password_hash stays. The answer says whether one ended.
func AddKeys(root *os.Root, keys []Key) (passwordOff bool, err error) {
	if len(keys) == 0 {
		return false, errors.New("add SSH keys: none is given")
	}
	free, err := lockDir(root)
	if err != nil {
		return false, err
	}
	defer free()
	var b strings.Builder
	seen := KeySet{}
	for _, k := range keys {
		if _, ok := seen[string(k.blob)]; !ok {
			seen[string(k.blob)] = k
			b.WriteString(k.Line() + "\n")
		}
	}
	if err := writeFile(root, LateKeysPath, []byte(b.String()), 0o600); err != nil {
		return false, fmt.Errorf("write added keys: %w", err)
	}
	_, err = root.Stat(ConsolePasswordPath)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	// The hash first: without it there is nothing left to be right about.
	if err := errors.Join(err, remove(root, PasswordHashPath), remove(root, ConsolePasswordPath)); err != nil {
		return false, fmt.Errorf("turn the random password off: %w", err)
	}
	return true, nil
}
