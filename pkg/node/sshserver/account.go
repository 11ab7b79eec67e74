package sshserver

import "slices"

// An Account is someone who may log in. The list is short and fixed, so that
// nothing that went wrong in /etc keeps an operator out.
type Account struct {
	Name     string
	UID, GID uint32
	Groups   []uint32 // supplementary
	Home     string
	Shell    string
	Password bool // may log in by password, where the policy has one
}

// GroupSudo is the supplementary group (Debian's "sudo") that only sessions
// of authenticated operators get; /bin/sudo lets nobody else become root.
const GroupSudo = 27

// groupTTY owns terminals (Debian's "tty"; mesg(1), write(1)).
const groupTTY = 5

// Accounts are the operator and root; root by key only, always.
func Accounts() []Account {
	return []Account{
		{Name: "bee", UID: 1000, GID: 1000, Groups: []uint32{GroupSudo}, Home: "/home/bee", Shell: "/bin/sh", Password: true},
		{Name: "root", Home: "/root", Shell: "/bin/sh"},
	}
}

func (s *Server) account(name string) (Account, bool) {
	i := slices.IndexFunc(s.Accounts, func(a Account) bool { return a.Name == name })
	if i < 0 {
		return Account{}, false
	}
	return s.Accounts[i], true
}
