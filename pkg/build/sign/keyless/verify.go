package keyless

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bee-os/bee/pkg/build/sign"
)

// Extensions of Fulcio's certificates that name who said who the signer is
// (fulcio, docs/oid-info.md). The second is the older form.
var (
	oidIssuer    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	oidIssuerOld = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
)

// Verify checks a bundle that a certificate signed: that Rekor's key promised
// the entry, that the entry is about this signature and certificate, that the
// certificate was good at the entry's time and is for the expected identity, and
// that its key signed the statement, which is returned.
//
// The log's promise is believed: that the entry can be found in the log today
// (the inclusion proof) and that the certificate was published (its SCT) are not
// checked here; `cosign verify-blob` does both.
func Verify(bundle []byte, t Trust) (statement []byte, err error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	b, err := sign.Parse(bundle)
	if err != nil {
		return nil, err
	}
	if b.Material.Certificate == nil || len(b.Material.Entries) != 1 {
		return nil, errors.New("verify bundle: it has no certificate, or not one entry of Rekor")
	}
	entry := b.Material.Entries[0]
	leaf, err := x509.ParseCertificate(b.Material.Certificate.Raw)
	if err != nil {
		return nil, fmt.Errorf("verify bundle: parse certificate: %w", err)
	}
	at, err := t.checkEntry(entry)
	if err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	if err := checkDSSE(entry.Body, b.Envelope, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	if err := t.chain(leaf, at); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	if err := t.checkIdentity(leaf); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	if err := sign.Verify(leaf.PublicKey, sign.PAE(b.Envelope.PayloadType, b.Envelope.Payload), b.Envelope.Signatures[0].Sig); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	if _, err := sign.ParseStatement(b.Envelope.Payload); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	return b.Envelope.Payload, nil
}

// checkEntry checks the log's promise and returns when it was made.
func (t Trust) checkEntry(e sign.LogEntry) (time.Time, error) {
	if e.Promise == nil {
		return time.Time{}, errors.New("the entry has no promise of Rekor")
	}
	log, err := t.log(e.LogID.KeyID)
	if err != nil {
		return time.Time{}, err
	}
	text, err := promised(e)
	if err != nil {
		return time.Time{}, err
	}
	if err := sign.Verify(log.Key, text, e.Promise.Timestamp); err != nil {
		return time.Time{}, fmt.Errorf("check the promise of Rekor: %w", err)
	}
	_, seconds, err := numbers(e)
	at := time.Unix(seconds, 0)
	if err == nil && !log.Valid.has(at) {
		err = fmt.Errorf("the log is not believed for %s, when the entry was made", at.UTC().Format(time.RFC3339))
	}
	return at, err
}

// checkIdentity compares the whole identity and the whole issuer.
func (t Trust) checkIdentity(c *x509.Certificate) error {
	names := slices.Clone(c.EmailAddresses)
	for _, u := range c.URIs {
		names = append(names, u.String())
	}
	if len(names) != 1 || names[0] != t.Identity {
		return fmt.Errorf("it was signed by %q, expected was %q", names, t.Identity)
	}
	issuer, err := issuerOf(c)
	if err != nil {
		return err
	}
	if issuer != t.Issuer {
		return fmt.Errorf("who signed was named by %q, expected was %q", issuer, t.Issuer)
	}
	return nil
}

func issuerOf(c *x509.Certificate) (string, error) {
	old := ""
	for _, e := range c.Extensions {
		switch {
		case e.Id.Equal(oidIssuer):
			var s string
			if rest, err := asn1.Unmarshal(e.Value, &s); err != nil || len(rest) > 0 {
				return "", errors.New("the certificate's issuer of the token cannot be read")
			}
			return s, nil
		case e.Id.Equal(oidIssuerOld):
			old = string(e.Value)
		}
	}
	return old, nil
}
