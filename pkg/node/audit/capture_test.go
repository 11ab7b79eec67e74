package audit

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bee-os/bee/pkg/hwreport"
	"github.com/bee-os/bee/pkg/node/audit/device"
	"github.com/bee-os/bee/pkg/node/audit/tree"
)

// answers is an Asker that knows some answers.
type answers map[string][]byte

func (a answers) Ask(_ context.Context, q device.Question) ([]byte, error) {
	if b, ok := a[q.File()]; ok {
		return b, nil
	}
	return device.Nothing{}.Ask(context.Background(), q)
}

// permAddr is an interface's answer to ETHTOOL_GPERMADDR.
func permAddr() answers {
	q := device.EthtoolCommand("eth0", 40, ethtoolPermAddr, 32)
	b := make([]byte, 40)
	copy(b, q.Request)
	b[4] = 6
	copy(b[8:], "\x52\x54\x00\x12\x34\x56")
	return answers{q.File(): b}
}

// TestPlaysBackTheSameReport captures the QEMU machine, as an archive and
// unpacked, and wants the very bytes of the report again.
func TestPlaysBackTheSameReport(t *testing.T) {
	r, captured := Capture(tree.NewRecorder(qemu(t), permAddr()), Collectors)
	want, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r.Network.Data.Interfaces.Or(nil)[0].PermanentMAC.Or("") != "52:54:00:12:34:56" {
		t.Error("the answer of a device did not reach the report")
	}
	name := filepath.Join(t.TempDir(), "machine.tgz")
	if err := writeArchive(name, captured); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
	m, past, err := open(name)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Run(context.Background(), Config{Collectors: Collectors, Machine: m, Past: past}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Error(d)
	}
	first, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	if err := captured.Write(&second); err != nil || !bytes.Equal(first, second.Bytes()) {
		t.Errorf("the same tree makes another archive (%v)", err)
	}
}

// TestWhatNobodyAskedIsUnknown plays an archive back to collectors that it was
// not made for.
func TestWhatNobodyAskedIsUnknown(t *testing.T) {
	_, captured := Capture(tree.NewRecorder(qemu(t), device.Nothing{}), Collectors[:1])
	r := Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(captured, captured), Past: &captured.Meta})
	if s := r.CPU.Collector.Status; s != hwreport.Failed || !strings.Contains(r.CPU.Collector.Error, "not captured") {
		t.Errorf("cpu: %s %s", s, r.CPU.Collector.Error)
	}
	if f := r.TPM.Data.Present; f.State() != hwreport.IsUnknown {
		t.Errorf("a TPM that nobody looked for is %v", f)
	}
}

func TestRedact(t *testing.T) {
	key := []byte("0123456789abcdef")
	archive := func() (*hwreport.Report, *tree.Tree) {
		r, captured := Capture(tree.NewRecorder(qemu(t), permAddr()), Collectors)
		if err := redactTree(captured, r, key, Collectors); err != nil {
			t.Fatal(err)
		}
		return r, captured
	}
	clear, a := archive()
	_, b := archive()
	look := func(c *tree.Tree) *hwreport.Report {
		return Run(context.Background(), Config{Collectors: Collectors, Machine: NewMachine(c, c), Past: &c.Meta})
	}
	hidden := look(a)
	text, err := hidden.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"52:54:00:12:34:56", "DISK-1", `"` + clear.Board.Data.System.Serial.Or("?") + `"`, "11111111-2222"} {
		if bytes.Contains(text, []byte(s)) {
			t.Errorf("%s is still there", s)
		}
	}
	if mac := hidden.Network.Data.Interfaces.Or(nil)[0].PermanentMAC.Or(""); len(mac) != 17 {
		t.Errorf("permanent address %q", mac)
	}
	if d := hwreport.Diff(hidden, look(b)); len(d) != 0 {
		t.Errorf("two captures hashed with one key differ: %v", d)
	}
	if d := hwreport.Diff(clear, hidden); len(d) == 0 {
		t.Error("nothing was hidden")
	}
	r, err := hwreport.Redact(clear, key)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = r.Encode(); err != nil || bytes.Contains(text, []byte("52:54:00:12:34:56")) || bytes.Contains(text, []byte("DISK-1")) {
		t.Errorf("the report still tells (%v)", err)
	}
	fits(t, text)
}
