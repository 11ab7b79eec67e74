// Package keyless signs without a key that anybody keeps, as Sigstore does it:
// an identity token of the build's own CI gets a certificate from Fulcio for a
// key that lives for this run, and Rekor writes down when it signed. It speaks
// two documented REST interfaces (Fulcio's v2, Rekor's v1); the library that
// would do so brings 82 modules.
//
// It has been tried against servers made for the tests, whose bundles Debian's
// cosign verifies, and not against the public instances.
package keyless

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bee-os/bee/pkg/build/sign"
)

// audience is whom a token must be for.
const audience = "sigstore"

// Config says who asks whom.
type Config struct {
	Token         string // OIDC identity token; or
	RequestURL    string // where GitHub Actions gives one,
	RequestBearer string // and what it wants for it
	Fulcio, Rekor string // addresses, without a path
}

// FromEnv reads BEE_OIDC_TOKEN, or ACTIONS_ID_TOKEN_REQUEST_URL and
// ACTIONS_ID_TOKEN_REQUEST_TOKEN, and BEE_FULCIO_URL and BEE_REKOR_URL. wanted is
// false where neither address is set: then nobody asked for keyless signing.
func FromEnv(getenv func(string) string) (c Config, wanted bool, err error) {
	c = Config{getenv("BEE_OIDC_TOKEN"), getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"), getenv("BEE_FULCIO_URL"), getenv("BEE_REKOR_URL")}
	switch {
	case c.Fulcio == "" && c.Rekor == "":
		return c, false, nil
	case c.Fulcio == "" || c.Rekor == "":
		return c, true, errors.New("sign keyless: BEE_FULCIO_URL and BEE_REKOR_URL belong together")
	case c.Token == "" && (c.RequestURL == "" || c.RequestBearer == ""):
		return c, true, errors.New("sign keyless: there is no identity token; set BEE_OIDC_TOKEN, or in GitHub Actions give the job the permission id-token: write")
	}
	return c, true, nil
}

// Signer is a sign.Signer with a certificate.
type Signer struct {
	key    *sign.Key
	leaf   *x509.Certificate
	chain  []byte // PEM, above the leaf
	rekor  string
	client *client
	now    func() time.Time
}

var _ sign.Signer = (*Signer)(nil)

// New gets a certificate. It is good for some ten minutes, so ask for it when
// what is to be signed is ready.
func New(ctx context.Context, c Config) (*Signer, error) {
	s := &Signer{rekor: c.Rekor, client: newClient(), now: time.Now}
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	if s.key, err = sign.New(priv); err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	token, err := s.client.token(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.certify(ctx, c.Fulcio, token, priv); err != nil {
		return nil, fmt.Errorf("get a certificate from Fulcio: %w", err)
	}
	return s, nil
}

// token is the one given, or GitHub's for this job
// (https://docs.github.com/actions, "OpenID Connect reference").
func (c *client) token(ctx context.Context, config Config) (string, error) {
	if config.Token != "" {
		return config.Token, nil
	}
	u, err := url.Parse(config.RequestURL)
	if err != nil {
		return "", errors.New("get an identity token: ACTIONS_ID_TOKEN_REQUEST_URL is no address")
	}
	q := u.Query()
	q.Set("audience", audience)
	u.RawQuery = q.Encode()
	var answer struct {
		Value string `json:"value"`
	}
	if err := c.call(ctx, http.MethodGet, u.String(), config.RequestBearer, nil, &answer); err != nil {
		return "", fmt.Errorf("get an identity token: %w", err)
	}
	if answer.Value == "" {
		return "", errors.New("get an identity token: the answer has none")
	}
	return answer.Value, nil
}

// certify asks Fulcio (fulcio.proto, v2 CreateSigningCertificate). A signing
// request proves that the key is ours; its subject is empty, Fulcio fills it in
// from the token.
func (s *Signer) certify(ctx context.Context, fulcio, token string, priv *ecdsa.PrivateKey) error {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, priv)
	if err != nil {
		return err
	}
	type credentials struct {
		Token string `json:"oidcIdentityToken"`
	}
	type chain struct {
		Chain struct {
			Certificates []string `json:"certificates"`
		} `json:"chain"`
	}
	var answer struct {
		Embedded *chain `json:"signedCertificateEmbeddedSct"`
		Detached *chain `json:"signedCertificateDetachedSct"`
	}
	err = s.client.call(ctx, http.MethodPost, fulcio+"/api/v2/signingCert", token, struct {
		Credentials credentials `json:"credentials"`
		Request     []byte      `json:"certificateSigningRequest"`
	}{credentials{token}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}, &answer)
	if err != nil {
		return err
	}
	list := answer.Embedded
	if list == nil {
		list = answer.Detached
	}
	if list == nil || len(list.Chain.Certificates) == 0 {
		return errors.New("the answer has no certificate")
	}
	block, _ := pem.Decode([]byte(list.Chain.Certificates[0]))
	if block == nil || block.Type != "CERTIFICATE" {
		return errors.New("the answer has no certificate in PEM")
	}
	if s.leaf, err = x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("parse certificate: %w", err)
	}
	if !priv.PublicKey.Equal(s.leaf.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	for _, c := range list.Chain.Certificates[1:] {
		s.chain = append(s.chain, bytes.TrimRight([]byte(c), "\n")...)
		s.chain = append(s.chain, '\n')
	}
	return nil
}

func (s *Signer) leafPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.leaf.Raw})
}

// valid says early what everybody would find later.
func (s *Signer) valid() error {
	if now := s.now(); now.After(s.leaf.NotAfter) {
		return fmt.Errorf("sign keyless: the certificate ended at %s; sign right after it was made", s.leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// File makes the detached bundle of a file.
func (s *Signer) File(ctx context.Context, name string, digest [32]byte) ([]byte, error) {
	statement, err := sign.FileStatement(name, digest)
	if err != nil {
		return nil, err
	}
	return s.Statement(ctx, statement)
}

// Statement makes a bundle of an in-toto statement, with the certificate and
// Rekor's entry in it.
func (s *Signer) Statement(ctx context.Context, statement []byte) ([]byte, error) {
	if err := s.valid(); err != nil {
		return nil, err
	}
	if _, err := sign.ParseStatement(statement); err != nil {
		return nil, err
	}
	sig, err := s.key.Sign(sign.PAE(sign.PayloadType, statement))
	if err != nil {
		return nil, err
	}
	envelope := sign.Envelope{Payload: statement, PayloadType: sign.PayloadType, Signatures: []sign.Signature{{Sig: sig}}}
	text, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	type content struct {
		Envelope  string   `json:"envelope"`
		Verifiers [][]byte `json:"verifiers"`
	}
	entry, err := s.log(ctx, "dsse", struct {
		Content content `json:"proposedContent"`
	}{content{string(text), [][]byte{s.leafPEM()}}})
	if err != nil {
		return nil, err
	}
	if err := checkDSSE(entry.Body, envelope, s.leafPEM()); err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	return sign.Bundle{
		Material: sign.Material{Certificate: &sign.Certificate{Raw: s.leaf.Raw}, Entries: []sign.LogEntry{*entry}},
		Envelope: envelope,
	}.Marshal()
}

// Image signs an image as cosign does: certificate, chain and the log's promise
// go into annotations beside the signature (cosign, specs/SIGNATURE_SPEC.md).
func (s *Signer) Image(ctx context.Context, repository, digest string) (*sign.ImageSignature, error) {
	if err := s.valid(); err != nil {
		return nil, err
	}
	payload, err := sign.ImagePayload(repository, digest)
	if err != nil {
		return nil, err
	}
	sig, err := s.key.Sign(payload)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(payload)
	entry, err := s.log(ctx, "hashedrekord", map[string]any{
		"signature": map[string]any{"content": sig, "publicKey": map[string]any{"content": s.leafPEM()}},
		"data":      map[string]any{"hash": map[string]string{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return nil, err
	}
	index, at, err := numbers(*entry)
	if err != nil {
		return nil, err
	}
	promise, err := json.Marshal(struct {
		SET     []byte `json:"SignedEntryTimestamp"`
		Payload set    `json:"Payload"`
	}{entry.Promise.Timestamp, set{base64.StdEncoding.EncodeToString(entry.Body), at, hex.EncodeToString(entry.LogID.KeyID), index}})
	if err != nil {
		return nil, fmt.Errorf("sign keyless: %w", err)
	}
	return &sign.ImageSignature{Payload: payload, Annotations: map[string]string{
		sign.ImageAnnotation:              base64.StdEncoding.EncodeToString(sig),
		"dev.sigstore.cosign/certificate": string(s.leafPEM()),
		"dev.sigstore.cosign/chain":       string(s.chain),
		"dev.sigstore.cosign/bundle":      string(promise),
	}}, nil
}

// Public is the key of the certificate.
func (s *Signer) Public() crypto.PublicKey { return s.key.Public() }
