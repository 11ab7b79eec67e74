package sshserver

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/bee-os/bee/pkg/bootparam"
)

// TestSetupAtOnce: several runs of sshsetup at the same moment agree on one
// password, whose hash is the one in force; and a key that comes meanwhile ends
// it, whoever is first.
func TestSetupAtOnce(t *testing.T) {
	signer, _ := newSigner(t)
	for round := range 40 {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		var wg sync.WaitGroup
		begin := make(chan struct{})
		results, errs := make([]Result, 4), make([]error, 5)
		for i := range results {
			wg.Go(func() { <-begin; results[i], errs[i] = Setup(root, bootparam.Params{}) })
		}
		late := round%2 == 1
		if late {
			key := keyOf(t, signer)
			wg.Go(func() { <-begin; _, errs[4] = AddKeys(root, key) })
		}
		close(begin)
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		if late {
			for _, name := range []string{PasswordHashPath, ConsolePasswordPath} {
				if _, err := root.Stat(name); !errors.Is(err, os.ErrNotExist) {
					t.Fatalf("beside a key there is %s: %v", name, err)
				}
			}
			continue
		}
		shown, err := root.ReadFile(ConsolePasswordPath)
		if err != nil {
			t.Fatal(err)
		}
		text, err := root.ReadFile(PasswordHashPath)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := ParsePasswordHash(string(bytes.TrimSpace(text)))
		if err != nil {
			t.Fatal(err)
		}
		if !hash.Verify(bytes.TrimSpace(shown)) {
			t.Fatal("the password on the console is not the one of the hash")
		}
		for _, r := range results {
			if r.Password != string(bytes.TrimSpace(shown)) {
				t.Fatal("a run of Setup names a password that is not in force")
			}
		}
	}
}
