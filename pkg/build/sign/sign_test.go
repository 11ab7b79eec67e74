package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writePEM writes a block as a private key file.
func writePEM(t testing.TB, kind string, der []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// kinds are the keys that are taken, each in a form that it comes in.
func kinds(t testing.TB) map[string]string {
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	return map[string]string{
		"ecdsa-sec1":    writePEM(t, "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ec))(t)),
		"ecdsa-pkcs8":   writePEM(t, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ec))(t)),
		"ed25519-pkcs8": writePEM(t, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(ed))(t)),
		"rsa-pkcs8":     writePEM(t, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(rs))(t)),
	}
}

// The vector of RFC 6979, A.2.5, P-256 with SHA-256, message "sample".
func TestDeterministic(t *testing.T) {
	number := func(s string) *big.Int {
		n, ok := new(big.Int).SetString(s, 16)
		if !ok {
			t.Fatal(s)
		}
		return n
	}
	raw := must(hex.DecodeString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"))(t)
	priv := must(ecdsa.ParseRawPrivateKey(elliptic.P256(), raw))(t)
	k := must(New(priv))(t)
	var got struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(must(k.Sign([]byte("sample")))(t), &got); err != nil {
		t.Fatal(err)
	}
	if got.R.Cmp(number("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716")) != 0 ||
		got.S.Cmp(number("F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")) != 0 {
		t.Errorf("r %X, s %X", got.R, got.S)
	}
	for name, file := range kinds(t) {
		k := must(Load(file, nil))(t)
		a, b := must(k.File(t.Context(), "x", sha256.Sum256(nil)))(t), must(k.File(t.Context(), "x", sha256.Sum256(nil)))(t)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: two bundles of one file differ", name)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	good := kinds(t)["ecdsa-pkcs8"]
	text := must(os.ReadFile(good))(t)
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	dir := t.TempDir()
	write := func(name string, text []byte, mode os.FileMode) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, text, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for want, file := range map[string]string{
		"chmod 600":              write("group", text, 0o640),
		"can be read or written": write("others", text, 0o602),
		"several PEM blocks":     write("two", append(bytes.Clone(text), text...), 0o600),
		"no PEM block":           write("none", []byte("hello"), 0o600),
		"no PEM file":            write("huge", make([]byte, maxPEM+1), 0o600),
		"CERTIFICATE":            writePEM(t, "CERTIFICATE", []byte{1}),
		"cosign import-key-pair": writePEM(t, "ENCRYPTED PRIVATE KEY", []byte{1}),
		"parse PRIVATE KEY":      writePEM(t, "PRIVATE KEY", []byte{1}),
		"not taken":              writePEM(t, "EC PRIVATE KEY", must(x509.MarshalECPrivateKey(p384))(t)),
		"no such file":           filepath.Join(dir, "absent"),
	} {
		if _, err := Load(file, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	if err := checkPublic(&rsa.PublicKey{N: big.NewInt(1), E: 3}); err == nil {
		t.Error("a tiny RSA key is taken")
	}
}

// What cosign's key file may not make us do.
func TestDecryptRefuses(t *testing.T) {
	password := func() ([]byte, error) { return []byte("pw"), nil }
	for want, text := range map[string]string{
		"out of bounds":     `{"kdf":{"name":"scrypt","params":{"N":1073741824,"r":8,"p":1},"salt":""},"cipher":{"name":"nacl/secretbox","nonce":""},"ciphertext":""}`,
		"not known":         `{"kdf":{"name":"none","params":{"N":2,"r":8,"p":1},"salt":""},"cipher":{"name":"nacl/secretbox","nonce":""},"ciphertext":""}`,
		"24 bytes":          `{"kdf":{"name":"scrypt","params":{"N":2,"r":8,"p":1},"salt":""},"cipher":{"name":"nacl/secretbox","nonce":"AA=="},"ciphertext":""}`,
		"password is wrong": `{"kdf":{"name":"scrypt","params":{"N":2,"r":8,"p":1},"salt":""},"cipher":{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"ciphertext":"AAAA"}`,
		"unknown field":     `{"x":1}`,
		"unexpected EOF":    `{`,
	} {
		if _, err := decrypt([]byte(text), password); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}

// change gives a bundle with one thing different.
func change(t *testing.T, bundle []byte, f func(*Bundle)) []byte {
	t.Helper()
	var b Bundle
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	f(&b)
	return must(json.Marshal(b))(t)
}

func TestVerifyBundle(t *testing.T) {
	files := kinds(t)
	digest := sha256.Sum256([]byte("hello\n"))
	other := must(Load(kinds(t)["ecdsa-pkcs8"], nil))(t)
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			k := must(Load(file, nil))(t)
			bundle := must(k.File(t.Context(), "blob", digest))(t)
			pub := must(ParsePublic(must(k.PublicPEM())(t)))(t)
			if err := VerifyFile(bundle, pub, "blob", digest); err != nil {
				t.Fatal(err)
			}
			if err := VerifyFile(bundle, other.Public(), "blob", digest); !errors.Is(err, ErrSignature) {
				t.Errorf("another key: %v", err)
			}
			if err := VerifyFile(bundle, pub, "other", digest); err == nil || !strings.Contains(err.Error(), "another file") {
				t.Errorf("another name: %v", err)
			}
			if err := VerifyFile(bundle, pub, "blob", sha256.Sum256(nil)); err == nil || !strings.Contains(err.Error(), "another file") {
				t.Errorf("another digest: %v", err)
			}
		})
	}
	k := must(Load(files["ecdsa-sec1"], nil))(t)
	bundle := must(k.File(t.Context(), "blob", digest))(t)
	signed := func(payload string) func(*Bundle) {
		return func(b *Bundle) {
			b.Envelope.Payload = []byte(payload)
			b.Envelope.Signatures[0].Sig = must(k.Sign(PAE(PayloadType, []byte(payload))))(t)
		}
	}
	for want, f := range map[string]func(*Bundle){
		"media type":                func(b *Bundle) { b.MediaType = "application/vnd.dev.sigstore.bundle+json;version=0.1" },
		"payload is of type":        func(b *Bundle) { b.Envelope.PayloadType = "text/plain" },
		"2 signatures":              func(b *Bundle) { b.Envelope.Signatures = append(b.Envelope.Signatures, b.Envelope.Signatures[0]) },
		"0 signatures":              func(b *Bundle) { b.Envelope.Signatures = nil },
		"not exactly one of":        func(b *Bundle) { b.Material.PublicKey = nil },
		"signed with a certificate": func(b *Bundle) { b.Material = Material{Certificate: &Certificate{[]byte{1}}} },
		"does not fit the key":      func(b *Bundle) { b.Envelope.Payload[len(b.Envelope.Payload)-1]++ },
		"names no subject":          signed(`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{}}`),
		"has no SHA-256":            signed(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha1":"00"}}],"predicateType":"x","predicate":{}}`),
		"its type is":               signed(`{"_type":"x","subject":[],"predicateType":"x","predicate":{}}`),
		"something stands behind":   signed(`{"_type":"https://in-toto.io/Statement/v1"} {}`),
	} {
		if _, err := VerifyBundle(change(t, bundle, f), k.Public()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
	for want, text := range map[string]string{
		"unknown field":           strings.Replace(string(bundle), `"mediaType"`, `"messageSignature":{},"mediaType"`, 1),
		"something stands behind": string(bundle) + "{}",
		"more than any":           strings.Repeat(" ", maxBundle+1),
	} {
		if _, err := VerifyBundle([]byte(text), k.Public()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error about %q, got %v", want, err)
		}
	}
}

func TestVerifyImage(t *testing.T) {
	k := must(Load(kinds(t)["ecdsa-sec1"], nil))(t)
	digest, other := "sha256:"+strings.Repeat("ab", 32), "sha256:"+strings.Repeat("cd", 32)
	s, err := k.Image(t.Context(), "localhost:5000/bee", digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := VerifyImage(s, k.Public(), digest); err != nil {
		t.Error(err)
	}
	if err := VerifyImage(s, k.Public(), other); err == nil || !strings.Contains(err.Error(), "another image") {
		t.Error(err)
	}
	if err := VerifyImage(&ImageSignature{bytes.ReplaceAll(s.Payload, []byte("abab"), []byte("cdcd")), s.Annotations}, k.Public(), other); !errors.Is(err, ErrSignature) {
		t.Error(err)
	}
	about := must(ParseStatement(must(ImageStatement(digest))(t)))(t)
	if !about.CoversImage(digest) || about.CoversImage(other) || about.CoversImage(strings.Repeat("ab", 32)) || about.CoversImage("sha256:ab") {
		t.Error("the statement is about another image")
	}
	for _, bad := range []string{"", "sha256:ab", "sha512:" + strings.Repeat("ab", 32), strings.ToUpper(digest), strings.Repeat("ab", 32)} {
		if _, err := k.Image(t.Context(), "x", bad); err == nil {
			t.Errorf("the digest %q is taken", bad)
		}
	}
}

// Nothing but what the key signed may come out, whatever goes in.
func FuzzVerifyBundle(f *testing.F) {
	k := must(Load(kinds(f)["ed25519-pkcs8"], nil))(f)
	statement := must(FileStatement("blob", sha256.Sum256(nil)))(f)
	bundle := must(k.Statement(f.Context(), statement))(f)
	f.Add(bundle)
	f.Add(bytes.Replace(bundle, []byte("publicKey"), []byte("certificate"), 1))
	f.Add(bytes.Replace(bundle, []byte("sig"), []byte("SIG"), 1))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := VerifyBundle(text, k.Public())
		if (err == nil) != bytes.Equal(got, statement) {
			t.Errorf("%v, and %q came out", err, got)
		}
	})
}

func FuzzVerifyImage(f *testing.F) {
	k := must(Load(kinds(f)["ed25519-pkcs8"], nil))(f)
	digest := "sha256:" + strings.Repeat("ab", 32)
	good, err := k.Image(f.Context(), "bee", digest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good.Payload, good.Annotations[ImageAnnotation])
	f.Fuzz(func(t *testing.T, p []byte, s string) {
		if err := VerifyImage(&ImageSignature{p, map[string]string{ImageAnnotation: s}}, k.Public(), digest); err == nil && !bytes.Equal(p, good.Payload) {
			t.Errorf("%q is taken", p)
		}
	})
}

func FuzzParseKey(f *testing.F) {
	for _, file := range kinds(f) {
		f.Add(must(os.ReadFile(file))(f))
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY",
		Bytes: []byte(`{"kdf":{"name":"scrypt","params":{"N":2,"r":1,"p":1},"salt":"AA=="},"cipher":{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"ciphertext":"AAAA"}`)}))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKey(text, func() ([]byte, error) { return nil, errors.New("none") })
		if err == nil {
			sig, err := k.Sign(text)
			if err == nil {
				err = Verify(k.Public(), text, sig)
			}
			if err != nil {
				t.Error(err)
			}
		}
		var pub crypto.PublicKey
		if pub, err = ParsePublic(text); err == nil && checkPublic(pub) != nil {
			t.Error("a public key that is not taken came out")
		}
	})
}
