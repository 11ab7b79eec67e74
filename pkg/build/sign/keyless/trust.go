package keyless

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Trust is whom to believe and whom to expect. Every field is needed.
type Trust struct {
	Authorities []Authority // Fulcios
	Logs        []Log       // Rekors
	Identity    string      // of the signer: an e-mail address or a URI, whole
	Issuer      string      // of the signer's token
}

// Authority gives certificates.
type Authority struct {
	Root          *x509.Certificate
	Intermediates []*x509.Certificate
	Valid         Period
}

// Log promises to keep what it is told.
type Log struct {
	Key   crypto.PublicKey
	Valid Period
}

// Period is when somebody is to be believed. A zero end is open.
type Period struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

func (p Period) has(t time.Time) bool {
	return !t.Before(p.Start) && (p.End.IsZero() || !t.After(p.End))
}

// trustedRoot is Sigstore's form of a trust root, as TUF repositories give it and
// `cosign trusted-root create` makes it (protobuf-specs,
// protos/sigstore_trustroot.proto, as JSON).
type trustedRoot struct {
	Logs []struct {
		Key struct {
			Raw   []byte `json:"rawBytes"`
			Valid Period `json:"validFor"`
		} `json:"publicKey"`
	} `json:"tlogs"`
	Authorities []struct {
		Chain struct {
			Certificates []struct {
				Raw []byte `json:"rawBytes"`
			} `json:"certificates"`
		} `json:"certChain"`
		Valid Period `json:"validFor"`
	} `json:"certificateAuthorities"`
}

// ParseTrust reads a trusted_root.json. Logs whose keys are of another kind are
// passed over: Verify says that it does not know them.
func ParseTrust(text []byte, identity, issuer string) (Trust, error) {
	t := Trust{Identity: identity, Issuer: issuer}
	var root trustedRoot
	if err := json.Unmarshal(text, &root); err != nil {
		return t, fmt.Errorf("parse the trusted root: %w", err)
	}
	for _, a := range root.Authorities {
		x := Authority{Valid: a.Valid}
		for i, c := range a.Chain.Certificates {
			cert, err := x509.ParseCertificate(c.Raw)
			if err != nil {
				return t, fmt.Errorf("parse the trusted root: %w", err)
			}
			if i == len(a.Chain.Certificates)-1 {
				x.Root = cert
			} else {
				x.Intermediates = append(x.Intermediates, cert)
			}
		}
		if x.Root != nil {
			t.Authorities = append(t.Authorities, x)
		}
	}
	for _, l := range root.Logs {
		if key, err := x509.ParsePKIXPublicKey(l.Key.Raw); err == nil {
			t.Logs = append(t.Logs, Log{key, l.Key.Valid})
		}
	}
	if len(t.Authorities) == 0 || len(t.Logs) == 0 {
		return t, errors.New("parse the trusted root: it names no certificate authority or no log: is it a trusted_root.json?")
	}
	return t, t.check()
}

func (t Trust) check() error {
	if len(t.Authorities) == 0 || len(t.Logs) == 0 || t.Identity == "" || t.Issuer == "" {
		return errors.New("keyless needs certificate authorities, logs, an identity and an issuer to expect")
	}
	return nil
}

// log finds the key of a log: its identifier is the key's SHA-256.
func (t Trust) log(id []byte) (Log, error) {
	for _, l := range t.Logs {
		der, err := x509.MarshalPKIXPublicKey(l.Key)
		if err != nil {
			return Log{}, err
		}
		if sum := sha256.Sum256(der); bytes.Equal(id, sum[:]) {
			return l, nil
		}
	}
	return Log{}, errors.New("the entry is of another log")
}

// chain checks that one of the authorities gave the certificate, which was good
// at that time.
func (t Trust) chain(leaf *x509.Certificate, at time.Time) error {
	var errs []error
	for _, a := range t.Authorities {
		if !a.Valid.has(at) {
			errs = append(errs, fmt.Errorf("%s is not believed for %s", a.Root.Subject.CommonName, at.UTC().Format(time.RFC3339)))
			continue
		}
		o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}
		o.Roots.AddCert(a.Root)
		for _, c := range a.Intermediates {
			o.Intermediates.AddCert(c)
		}
		_, err := leaf.Verify(o)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
