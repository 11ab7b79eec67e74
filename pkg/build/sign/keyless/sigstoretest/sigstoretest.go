// Package sigstoretest is a Sigstore for tests: Fulcio, Rekor and GitHub's giver of
// tokens on this machine. Only tests import it.
package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/bee-os/bee/pkg/build/sign"
)

// What the servers believe: the one token that is good, and whose it is.
const (
	Identity = "urn:example:bee:release"
	Issuer   = "urn:example:tokens"
	Token    = "the.Identity.token"
)

// Extensions of Fulcio's certificates that name the token's Issuer, now and as it
// was (fulcio, docs/oid-info.md).
var (
	oidIssuer    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	oidIssuerOld = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
)

// Sigstore is all the servers in one, at its URL.
type Sigstore struct {
	*httptest.Server
	Root  *x509.Certificate          // of Fulcio
	Fail  int                        // so many requests are answered with 503
	Asked int                        // requests
	Wrong func(entry map[string]any) // changes Rekor's answer; nil: nothing does

	t       *testing.T
	ca      *ecdsa.PrivateKey
	rekor   *ecdsa.PrivateKey
	entries int
}

func check[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// New starts the servers, which end with the test.
func New(t *testing.T) *Sigstore {
	t.Helper()
	f := &Sigstore{t: t, ca: check(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), rekor: check(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fake fulcio"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	f.Root = check(x509.ParseCertificate(check(x509.CreateCertificate(rand.Reader, template, template, f.ca.Public(), f.ca))(t)))(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", f.token)
	mux.HandleFunc("POST /api/v2/signingCert", f.fulcio)
	mux.HandleFunc("POST /api/v1/log/entries", f.log)
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Asked++
		if f.Fail > 0 {
			f.Fail--
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

// Rekor is the log's key.
func (f *Sigstore) Rekor() crypto.PublicKey { return f.rekor.Public() }

// TrustedRoot is whom to believe, in Sigstore's form (protobuf-specs,
// protos/sigstore_trustroot.proto).
func (f *Sigstore) TrustedRoot() []byte {
	der := check(x509.MarshalPKIXPublicKey(f.rekor.Public()))(f.t)
	id := sha256.Sum256(der)
	since := map[string]string{"start": "2020-01-01T00:00:00Z"}
	return check(json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
		"tlogs": []any{map[string]any{"baseUrl": f.URL, "hashAlgorithm": "SHA2_256", "logId": map[string]any{"keyId": id[:]},
			"publicKey": map[string]any{"rawBytes": der, "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": since}}},
		"certificateAuthorities": []any{map[string]any{"subject": map[string]string{"commonName": "fake fulcio", "organization": "bee"}, "uri": f.URL, "validFor": since,
			"certChain": map[string]any{"certificates": []any{map[string]any{"rawBytes": f.Root.Raw}}}}},
	}))(f.t)
}

func (f *Sigstore) token(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer the request's bearer" || r.URL.Query().Get("audience") != "sigstore" || r.URL.Query().Get("x") != "y" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	fmt.Fprintf(w, `{"value":%q}`, Token)
}

// fulcio gives a certificate to the one that holds the token and the key.
func (f *Sigstore) fulcio(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Credentials struct {
			Token string `json:"oidcIdentityToken"`
		} `json:"credentials"`
		Request []byte `json:"certificateSigningRequest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Credentials.Token != Token {
		http.Error(w, "no such token: "+q.Credentials.Token, http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode(q.Request)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		http.Error(w, "no PEM", http.StatusBadRequest)
		return
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		http.Error(w, "no request", http.StatusBadRequest)
		return
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, URIs: []*url.URL{check(url.Parse(Identity))(f.t)},
		ExtraExtensions: []pkix.Extension{{Id: oidIssuerOld, Value: []byte(Issuer)}, {Id: oidIssuer, Value: check(asn1.MarshalWithParams(Issuer, "utf8"))(f.t)}}}
	der := check(x509.CreateCertificate(rand.Reader, leaf, f.Root, csr.PublicKey, f.ca))(f.t)
	text := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	check(0, json.NewEncoder(w).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": []string{text(der), text(f.Root.Raw)}}}}))(f.t)
}

// Signed is Rekor's signature.
func (f *Sigstore) Signed(text []byte) []byte {
	sum := sha256.Sum256(text)
	return check(ecdsa.SignASN1(rand.Reader, f.rekor, sum[:]))(f.t)
}

// log writes an entry down as Rekor does, in a log of two entries.
func (f *Sigstore) log(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Version string          `json:"apiVersion"`
		Kind    string          `json:"kind"`
		Spec    json.RawMessage `json:"spec"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.Version != "0.0.1" {
		http.Error(w, "bad entry", http.StatusBadRequest)
		return
	}
	body, why := f.canonical(q.Kind, q.Spec)
	if why != "" {
		http.Error(w, why, http.StatusBadRequest)
		return
	}
	f.entries++
	der := check(x509.MarshalPKIXPublicKey(f.rekor.Public()))(f.t)
	id := sha256.Sum256(der)
	first, leaf := sha256.Sum256([]byte("\x00another entry")), sha256.Sum256(append([]byte{0}, body...))
	top := sha256.Sum256(append(append([]byte{1}, first[:]...), leaf[:]...)) // RFC 6962, section 2.1
	note := "fake.rekor - 1\n2\n" + base64.StdEncoding.EncodeToString(top[:]) + "\n"
	hint := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(id[:]))
	note += "\n\u2014 fake.rekor " + base64.StdEncoding.EncodeToString(append(hint, f.Signed([]byte(note))...)) + "\n"
	at := time.Now().Unix()
	text := fmt.Sprintf(`{"body":"%s","integratedTime":%d,"logID":"%x","logIndex":1}`, base64.StdEncoding.EncodeToString(body), at, id)
	entry := map[string]any{"body": body, "integratedTime": at, "logID": hex.EncodeToString(id[:]), "logIndex": 1, "verification": map[string]any{
		"signedEntryTimestamp": f.Signed([]byte(text)),
		"inclusionProof":       map[string]any{"logIndex": 1, "treeSize": 2, "rootHash": hex.EncodeToString(top[:]), "hashes": []string{hex.EncodeToString(first[:])}, "checkpoint": note},
	}}
	if f.Wrong != nil {
		f.Wrong(entry)
	}
	w.WriteHeader(http.StatusCreated)
	check(0, json.NewEncoder(w).Encode(map[string]any{"uuid": entry}))(f.t)
}

// canonical checks a proposed entry and gives its body.
func (f *Sigstore) canonical(kind string, spec []byte) (body []byte, why string) {
	switch kind {
	case "hashedrekord":
		return check(json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": kind, "spec": json.RawMessage(spec)}))(f.t), ""
	case "dsse":
	default:
		return nil, "unknown kind"
	}
	var s struct {
		Content struct {
			Envelope  string   `json:"envelope"`
			Verifiers [][]byte `json:"verifiers"`
		} `json:"proposedContent"`
	}
	var e sign.Envelope
	if json.Unmarshal(spec, &s) != nil || json.Unmarshal([]byte(s.Content.Envelope), &e) != nil || len(s.Content.Verifiers) != 1 {
		return nil, "bad content"
	}
	block, _ := pem.Decode(s.Content.Verifiers[0])
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || sign.Verify(cert.PublicKey, sign.PAE(e.PayloadType, e.Payload), e.Signatures[0].Sig) != nil {
		return nil, "bad signature"
	}
	hash := func(b []byte) map[string]string {
		return map[string]string{"algorithm": "sha256", "value": fmt.Sprintf("%x", sha256.Sum256(b))}
	}
	return check(json.Marshal(map[string]any{"apiVersion": "0.0.1", "kind": kind, "spec": map[string]any{
		"envelopeHash": hash([]byte(s.Content.Envelope)), "payloadHash": hash(e.Payload),
		"signatures": []map[string]any{{"signature": e.Signatures[0].Sig, "verifier": s.Content.Verifiers[0]}}}}))(f.t), ""
}
