package nocloud

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bee-os/bee/pkg/node/sshserver"
)

// newKey makes a line for authorized_keys (RFC 8709, 4).
func newKey(t testing.TB, comment string) string {
	t.Helper()
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var blob []byte
	for _, part := range [][]byte{[]byte("ssh-ed25519"), pub} {
		blob = append(binary.BigEndian.AppendUint32(blob, uint32(len(part))), part...)
	}
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob) + " " + comment
}

func comments(keys []sshserver.Key) string {
	var list []string
	for _, k := range keys {
		list = append(list, k.Comment)
	}
	return strings.Join(list, " ")
}

// TestParse: what is taken, what is named as not honoured, what is a problem.
func TestParse(t *testing.T) {
	a, b, c := newKey(t, "a"), newKey(t, "b"), newKey(t, "c")
	for name, tt := range map[string]struct {
		meta, user     string
		keys, host, id string
		not            []string // equal
		problems       []string // each is in the one at its place
	}{
		"nothing": {},
		"of the documentation": {
			meta: "instance-id: iid-local01\nlocal-hostname: cloudimg\n",
			user: "#cloud-config\npassword: password\nchpasswd:\n  expire: False\nssh_pwauth: True\n",
			host: "cloudimg", id: "iid-local01", not: []string{"user-data: password", "user-data: chpasswd", "user-data: ssh_pwauth"},
		},
		"keys everywhere": {
			meta: "public-keys:\n- " + a + "\n",
			user: "#cloud-config\nssh_authorized_keys:\n  - " + b + "\n  - " + a + "\nusers:\n- default\n- name: root\n  ssh_authorized_keys: ['" + c + "']\n",
			keys: "a b c",
		},
		"keys by name":     {meta: "public-keys:\n  one: " + a + "\n  two:\n  - " + b + "\n", keys: "a b"},
		"keys as a text":   {meta: "public-keys: |\n  " + a + "\n  " + b + "\n", keys: "a b"},
		"windows lines":    {meta: "instance-id: x\r\n", user: "#cloud-config\r\nssh_authorized_keys:\r\n- " + a + "\r\n", keys: "a", id: "x"},
		"one key, no list": {user: "#cloud-config\nssh_authorized_keys: " + a + "\n", keys: "a"},
		"users": {
			user: "#cloud-config\nusers:\n- name: bee\n  sudo: ALL\n  ssh-authorized-keys: [" + a + "]\n- name: alice\n  ssh_authorized_keys: [" + b + "]\n- bob\n- default\n",
			keys: "a", not: []string{"user-data: users[0].sudo", `user-data: users[1] (user "alice"; there are bee, root, default)`, `user-data: users[2] (user "bob"; there are bee, root, default)`},
		},
		"users of another form":          {user: "#cloud-config\nusers: root, bob\n", not: []string{"user-data: users, which is no list"}},
		"user-data names over meta-data": {meta: "local-hostname: meta\n", user: "#cloud-config\nhostname: user.example.org\nfqdn: full.example.org\n", host: "user"},
		"fqdn alone":                     {meta: "local-hostname: meta\n", user: "#cloud-config\nfqdn: full.example.org\n", host: "full"},
		"a number":                       {meta: "local-hostname: 42\ninstance-id: 1e3\n", host: "42", id: "1e3"},
		"an empty name":                  {meta: "local-hostname: ''\ninstance-id:\n"},
		"a bad name":                     {meta: "local-hostname: good\n", user: "#cloud-config\nhostname: bad_name\n", host: "good", problems: []string{"user-data: hostname: character '_' has no place"}},
		"a name that is a list":          {user: "#cloud-config\nhostname: [a]\n", problems: []string{"user-data: hostname: a host name has 1 to 64"}},
		"JSON":                           {meta: `{"instance-id": "x", "local-hostname": "json"}`, host: "json", id: "x"},
		"anchors":                        {user: "#cloud-config\nx: &k [" + a + "]\nssh_authorized_keys: *k\n", keys: "a", not: []string{"user-data: x"}},
		"itself":                         {user: "#cloud-config\nusers: &u\n- *u\n- name: root\n  ssh_authorized_keys: *u\n", problems: []string{"users[0]: it is no mapping", "ssh_authorized_keys[0] is no text", "ssh_authorized_keys[1] is no text"}},
		"a merge":                        {user: "#cloud-config\nx: &k {hostname: no}\n<<: *k\n", not: []string{"user-data: x", "user-data: <<"}},

		"a script":         {user: "#!/bin/sh\nrm -rf /\n", problems: []string{"user-data: refused: it is a script, which is not run"}},
		"a boot hook":      {user: "#cloud-boothook\n", problems: []string{"a boot hook, which is not run"}},
		"an archive":       {user: "#cloud-config-archive\n- x\n", problems: []string{"it is an archive"}},
		"addresses":        {user: "#include\nhttp://192.0.2.1/x\n", problems: []string{"nothing is fetched"}},
		"MIME":             {user: "Content-Type: multipart/mixed; boundary=x\n", problems: []string{"it is a MIME message"}},
		"compressed":       {user: "\x1f\x8b\x08", problems: []string{"it is compressed"}},
		"a template":       {user: "## template: jinja\n#cloud-config\n", problems: []string{"it is a template"}},
		"no kind":          {user: "hostname: x\n", problems: []string{"its first line is not #cloud-config"}},
		"nearly a kind":    {user: "#cloud-configuration\nhostname: x\n", problems: []string{"its first line is not #cloud-config"}},
		"a kind and words": {user: "#cloud-config for web1\nhostname: web1\n", host: "web1"},
		"empty config":     {user: "#cloud-config\n"},
		"blank":            {user: " \n\n", meta: "\n"},

		"broken YAML":      {meta: "instance-id: x\n", user: "#cloud-config\nssh_authorized_keys: [unclosed\nfoo: bar: baz\n", id: "x", problems: []string{"user-data: yaml: "}},
		"no mapping":       {meta: "- x\n", user: "#cloud-config\njust words\n", problems: []string{"meta-data: it is no mapping", "user-data: it is no mapping"}},
		"two documents":    {meta: "instance-id: x\n---\ninstance-id: y\n", problems: []string{"more than one YAML document"}},
		"twice":            {user: "#cloud-config\nhostname: a\nhostname: b\n", problems: []string{"line 3: hostname stands there twice"}},
		"no text":          {meta: "instance-id: \xff\xfe\n", problems: []string{"no UTF-8"}},
		"binary":           {meta: "a\x00b", problems: []string{"meta-data: yaml: control characters"}},
		"a key of no type": {user: "#cloud-config\nssh_authorized_keys:\n- ssh-foo AAAA x\n- ssh-dss AAAAB3NzaC1kc3M= old\n- " + a + "\n", keys: "a", problems: []string{`"ssh-foo AAAA x" is no public key`, "is no public key"}},
		"options":          {user: "#cloud-config\nssh_authorized_keys:\n- command=\"ls\" " + a + "\n", problems: []string{`option "command=\"ls\"" is not supported`}},
		"a private key":    {user: "#cloud-config\nssh_authorized_keys:\n- |\n  -----BEGIN OPENSSH PRIVATE KEY-----\n  c2VjcmV0\n", problems: []string{"ssh_authorized_keys[0] is a private key"}},
		"keys of no form":  {user: "#cloud-config\nssh_authorized_keys: {a: b}\nusers:\n- [x]\n", problems: []string{"ssh_authorized_keys is no list", "users[0]: it is no mapping"}},
		"control":          {user: "#cloud-config\n\"\\e[31mred\": 1\nusers: [\"\\nname\"]\n", not: []string{"user-data: [31mred", `user-data: users[0] (user "name"; there are bee, root, default)`}},
	} {
		t.Run(name, func(t *testing.T) {
			s := Parse([]byte(tt.meta), []byte(tt.user))
			if got := comments(s.Keys); got != tt.keys || s.Hostname != tt.host || s.InstanceID != tt.id {
				t.Errorf("keys %q, host name %q, instance %q; want %q, %q, %q", got, s.Hostname, s.InstanceID, tt.keys, tt.host, tt.id)
			}
			if !slices.Equal(s.NotHonoured, tt.not) {
				t.Errorf("not honoured: %q, want %q", s.NotHonoured, tt.not)
			}
			if len(s.Problems) != len(tt.problems) {
				t.Fatalf("problems: %q, want %q", s.Problems, tt.problems)
			}
			for i, p := range s.Problems {
				if !strings.Contains(p, tt.problems[i]) || strings.Contains(p, "c2VjcmV0") {
					t.Errorf("problem %q, want %q", p, tt.problems[i])
				}
			}
		})
	}
}

// TestBounds: a seed fills neither the log nor the list of keys, and aliases of
// aliases cost nothing.
func TestBounds(t *testing.T) {
	var b strings.Builder
	b.WriteString("#cloud-config\nssh_authorized_keys:\n")
	for i := range maxKeys + 10 {
		b.WriteString("- " + newKey(t, fmt.Sprint(i)) + "\n")
	}
	for i := range 100 {
		fmt.Fprintf(&b, "setting%d: x\n", i)
	}
	b.WriteString("users:\n")
	for range 100 {
		b.WriteString("- {name: root, ssh_authorized_keys: [bad key]}\n")
	}
	s := Parse(nil, []byte(b.String()))
	if len(s.Keys) != maxKeys || len(s.NotHonoured) != maxTold+1 || s.NotHonoured[maxTold] != "user-data: and 60 more" && s.NotHonoured[maxTold] != "and 60 more" {
		t.Errorf("%d keys, %d not honoured: %q", len(s.Keys), len(s.NotHonoured), s.NotHonoured[len(s.NotHonoured)-1])
	}
	if !slices.ContainsFunc(s.Problems, func(p string) bool { return strings.Contains(p, "more than 64 SSH keys") }) || len(s.Problems) > maxTold+1 {
		t.Errorf("problems: %q", s.Problems)
	}
	laughs := "#cloud-config\na0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for i := range 30 {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), ", "))
	}
	laughs += "ssh_authorized_keys: *a30\nusers: *a30\n"
	if s := Parse(nil, []byte(laughs)); len(s.Problems) != 18 {
		t.Errorf("problems: %q", s.Problems)
	}
	deep := bytes.Repeat([]byte("["), MaxFile)
	copy(deep, "#cloud-config\n")
	if s := Parse(nil, deep); len(s.Problems) != 1 {
		t.Errorf("problems: %q", s.Problems)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("instance-id: x\nlocal-hostname: y\npublic-keys: {a: [b]}\n"), []byte("#cloud-config\nusers: [default, {name: root, ssh_authorized_keys: [x]}]\n"))
	f.Add([]byte("a: &a [*a]\n<<: *a\n"), []byte("#cloud-config\nhostname: &h x\nfqdn: *h\n? [a]\n: b\n"))
	f.Fuzz(func(t *testing.T, meta, user []byte) {
		s := Parse(meta, user)
		for _, line := range slices.Concat(s.Problems, s.NotHonoured, []string{s.InstanceID, s.Hostname}) {
			if strings.ContainsAny(line, "\n\r\x00\x1b") {
				t.Errorf("a line that could drive a terminal: %q", line)
			}
		}
	})
}
