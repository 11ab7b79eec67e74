package busybox

import (
	"context"
	"os"
	"testing"
	"time"
)

func TestExp(t *testing.T) {
	if os.Getenv("EXP") == "" { t.Skip() }
	p := Program{Root: "/work/main", Module: "github.com/bee-os/bee", Arch: "amd64", Dir: "/tmp/lead/bb"}
	for _, c := range []string{"sh", "sshd", "sshsetup"} { p.Commands = append(p.Commands, "github.com/bee-os/bee/cmds/node/"+c) }
	for _, c := range []string{"cat", "ls", "ip", "cp", "grep", "ps", "dmesg","mount"} { p.Commands = append(p.Commands, "github.com/u-root/u-root/cmds/core/"+c) }
	for range 2 {
	s := time.Now()
	if err := p.generate(); err != nil { t.Fatal(err) }
	t.Log("gen", time.Since(s))
	s = time.Now()
	if err := p.Build(context.Background(), "/tmp/lead/bb.bin"); err != nil { t.Fatal(err) }
	t.Log(time.Since(s))
	}
}
