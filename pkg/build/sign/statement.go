package sign

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Names of types, as in-toto's Statement v1 and cosign 3 use them. They look
// like addresses; nobody fetches them.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateSign = "https://sigstore.dev/cosign/sign/v1" // says no more than: this was signed
	PayloadType   = "application/vnd.in-toto+json"
)

// Subject is what a statement speaks of.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // algorithm → hex
}

// Statement is an in-toto attestation
// (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md).
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// FileStatement says of one file that it was signed, and nothing else.
func FileStatement(name string, digest [32]byte) ([]byte, error) {
	text, err := json.Marshal(Statement{
		Type:          StatementType,
		Subject:       []Subject{{name, map[string]string{"sha256": hex.EncodeToString(digest[:])}}},
		PredicateType: PredicateSign,
		Predicate:     json.RawMessage("{}"),
	})
	if err != nil {
		return nil, fmt.Errorf("write statement for %s: %w", name, err)
	}
	return text, nil
}

// ParseStatement reads a statement. Fields that are not known are passed over,
// as the specification wants it. A statement that names no subject with a
// SHA-256 is refused: it would be about anything.
func ParseStatement(text []byte) (*Statement, error) {
	var s Statement
	if err := decode(json.NewDecoder(bytes.NewReader(text)), &s); err != nil {
		return nil, fmt.Errorf("parse statement: %w", err)
	}
	if s.Type != StatementType {
		return nil, fmt.Errorf("parse statement: its type is %q, not %s", s.Type, StatementType)
	}
	if len(s.Subject) == 0 || s.PredicateType == "" {
		return nil, errors.New("parse statement: it names no subject or no predicate type")
	}
	for _, u := range s.Subject {
		if sum, err := hex.DecodeString(u.Digest["sha256"]); err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("parse statement: the subject %q has no SHA-256", u.Name)
		}
	}
	return &s, nil
}

// Covers says whether the statement is about a file of this name and digest.
func (s *Statement) Covers(name string, digest [32]byte) bool {
	want := hex.EncodeToString(digest[:])
	for _, u := range s.Subject {
		if u.Name == name && u.Digest["sha256"] == want {
			return true
		}
	}
	return false
}

// CoversImage says whether the statement, which ImageStatement made, is about the
// image of this digest, "sha256:…".
func (s *Statement) CoversImage(digest string) bool {
	sum, err := hex.DecodeString(strings.TrimPrefix(digest, "sha256:"))
	return err == nil && checkDigest(digest) == nil && s.Covers("", [32]byte(sum))
}

// strict takes one JSON value with known fields, and nothing behind it.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return decode(d, v)
}

// decode takes one JSON value, and nothing behind it.
func decode(d *json.Decoder, v any) error {
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something stands behind the JSON value")
	}
	return nil
}
