package main_test

import (
	"fmt"
	"slices"
	"strings"
)

// shared are the packages that both sides hold.
var shared = []string{"pkg/bootparam", "pkg/hwreport", "pkg/kmod", "pkg/bom", "pkg/verity"}

var (
	nodeSide  = []string{"pkg/node", "cmds/node", "cmds/standalone", "cmds/host/audit"}
	buildSide = []string{"pkg/build", "cmds/host"}
)

// nodeOnHost are the node's commands that run on a host as they are, without
// the builder.
var nodeOnHost = []string{"cmds/host/audit"}

// sole lists libraries and the folders that import each: one, or where there
// are more, one a reason.
var sole = []struct {
	library string
	owners  []string
}{
	{"github.com/vishvananda/netlink", []string{"pkg/node/netup"}},
	{"github.com/insomniacslk/dhcp", []string{"pkg/node/netup"}},
	{"github.com/gliderlabs/ssh", []string{"pkg/node/sshserver"}},
	{"golang.org/x/crypto/ssh", []string{"pkg/node/sshserver"}},
	{"github.com/pkg/sftp", []string{"pkg/node/sshserver"}},
	{"github.com/NVIDIA/go-nvml", []string{"cmds/standalone/nvmlreport"}},
	{"github.com/google/go-containerregistry", []string{"pkg/build/publish"}},
	{"net/http", []string{
		"pkg/build/fetch",        // is the only downloader of what a build takes in
		"pkg/build/publish",      // sends out what a build made, and asks back what it sent; no build reads from it
		"pkg/build/sign/keyless", // asks Fulcio for a certificate and Rekor for an entry, which no lock can hold
	}},
}

// mayExec lists who starts processes, and why.
var mayExec = map[string]string{
	"pkg/build/bench":         "times the Go tool's builds and drives QEMU",
	"pkg/build/busybox":       "runs the Go tool",
	"pkg/build/cprogram":      "asks the Go tool where it lies",
	"pkg/build/check":         "every check is a process of the Go tool",
	"pkg/build/release":       "builds twice, which differ in what only a process has: umask, user, processors",
	"pkg/build/sandbox":       "enters the tools tree",
	"pkg/build/sandbox/enter": "is the process between the caller and the tool",
	"pkg/build/source":        "git knows the commit",
	"pkg/build/ssh":           "a real OpenSSH client is the point",
	"pkg/build/vm":            "QEMU is a process",
	"pkg/node/audit/device":   "runs makers' programs where the image has one",
	"pkg/node/burn":           "a crash or hang in NVIDIA's libraries ends a child, one a GPU",
	"pkg/node/console":        "Enter opens a shell",
	"pkg/node/nvidia":         "nvidia-smi turns persistence mode on",
	"pkg/node/shell":          "a shell starts programs",
	"pkg/node/sshserver":      "a session is a process",
}

// below says whether an import path is one of the folders or inside one.
func below(name string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool {
		return name == f || strings.HasPrefix(name, f+"/")
	})
}

// reaches reports every dependency of the packages in from that bad names.
func reaches(t tree, from []string, bad func(dep string) bool) []string {
	var found []string
	for _, p := range t.packages {
		if !below(p.name(), from...) || below(p.name(), nodeOnHost...) && slices.Equal(from, buildSide) {
			continue
		}
		for _, d := range p.Deps {
			if d = strings.TrimPrefix(d, module+"/"); bad(d) {
				found = append(found, fmt.Sprintf("%s reaches %s", p.name(), d))
			}
		}
	}
	return found
}

func sharedPure(t tree) ([]string, error) {
	return reaches(t, shared, func(d string) bool {
		return d == "net" || d == "os/exec" || below(d, "net/http", "golang.org/x/sys", "golang.org/x/net") ||
			below(d, nodeSide...) || below(d, buildSide...)
	}), nil
}

func neverMeet(t tree) ([]string, error) {
	return append(
		reaches(t, nodeSide, func(d string) bool { return below(d, buildSide...) }),
		reaches(t, buildSide, func(d string) bool { return below(d, nodeSide...) })...), nil
}

func soleImporters(t tree) ([]string, error) {
	var found []string
	for _, p := range t.packages {
		for _, i := range p.Imports {
			for _, s := range sole {
				if below(i, s.library) && !below(p.name(), s.owners...) {
					found = append(found, fmt.Sprintf("%s imports %s, which is for %s alone", p.name(), i, strings.Join(s.owners, ", ")))
				}
			}
		}
	}
	return found, nil
}

func pid1Small(t tree) ([]string, error) {
	return reaches(t, []string{"cmds/standalone/init"}, func(d string) bool {
		return below(d, "net/http", "golang.org/x/crypto/ssh", "github.com/gliderlabs/ssh", "github.com/NVIDIA/go-nvml", "pkg/node/sshserver", "pkg/node/netup/dhcp4", "pkg/node/netup/dhcp6")
	}), nil
}

func nodeNoHTTP(t tree) ([]string, error) {
	return reaches(t, nodeSide, func(d string) bool { return d == "net/http" }), nil
}

func execListed(t tree) ([]string, error) {
	var found []string
	for _, p := range t.packages {
		uses := slices.Contains(p.Imports, "os/exec")
		_, may := mayExec[p.name()]
		switch {
		case uses && !may:
			found = append(found, p.name()+" imports os/exec and is not in mayExec")
		case may && !uses:
			found = append(found, p.name()+" is in mayExec and does not import os/exec: take it out")
		}
	}
	return found, nil
}
