package sign

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
)

// MediaType is that of the bundles written and read here
// (https://github.com/sigstore/protobuf-specs, protos/sigstore_bundle.proto, in
// the JSON form of Protocol Buffers).
const MediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// Suffix is what the bundle of a file has after the file's name.
const Suffix = ".sigstore.json"

// maxBundle bounds what is parsed, in bytes. A provenance statement names every
// input; a few hundred of them are some 100 KB.
const maxBundle = 32 << 20

// Bundle is a Sigstore bundle with a DSSE envelope in it.
type Bundle struct {
	MediaType string   `json:"mediaType"`
	Material  Material `json:"verificationMaterial"`
	Envelope  Envelope `json:"dsseEnvelope"`
}

// Material is what a bundle says about who signed: one of PublicKey and
// Certificate, and the transparency log's entries.
type Material struct {
	PublicKey   *PublicKeyHint  `json:"publicKey,omitempty"`
	Certificate *Certificate    `json:"certificate,omitempty"`
	Entries     []LogEntry      `json:"tlogEntries,omitempty"`
	Timestamps  json.RawMessage `json:"timestampVerificationData,omitempty"` // RFC 3161; not looked at
}

// PublicKeyHint names a key without giving it.
type PublicKeyHint struct {
	Hint string `json:"hint"`
}

// Certificate is one X.509 certificate, DER.
type Certificate struct {
	Raw []byte `json:"rawBytes"`
}

// LogEntry is an entry of Rekor; 64-bit numbers are strings in the JSON form of
// Protocol Buffers (protos/sigstore_rekor.proto).
type LogEntry struct {
	Index       string          `json:"logIndex"`
	LogID       LogID           `json:"logId"`
	KindVersion KindVersion     `json:"kindVersion"`
	Time        string          `json:"integratedTime"` // seconds since 1970
	Promise     *Promise        `json:"inclusionPromise,omitempty"`
	Proof       *InclusionProof `json:"inclusionProof,omitempty"`
	Body        []byte          `json:"canonicalizedBody"`
}

// LogID names a log by the SHA-256 of its public key.
type LogID struct {
	KeyID []byte `json:"keyId"`
}

// KindVersion is the type of an entry: dsse 0.0.1.
type KindVersion struct {
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

// Promise is the log's signature over an entry, made when it took it.
type Promise struct {
	Timestamp []byte `json:"signedEntryTimestamp"`
}

// InclusionProof is a path in the log's Merkle tree (RFC 6962, section 2.1.1).
type InclusionProof struct {
	Index      string     `json:"logIndex"`
	Root       []byte     `json:"rootHash"`
	Size       string     `json:"treeSize"`
	Hashes     [][]byte   `json:"hashes"`
	Checkpoint Checkpoint `json:"checkpoint"`
}

// Checkpoint is a signed note of the log.
type Checkpoint struct {
	Envelope string `json:"envelope"`
}

// Envelope is DSSE, version 1 (https://github.com/secure-systems-lab/dsse).
type Envelope struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []Signature `json:"signatures"`
}

// Signature is one of an envelope.
type Signature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid,omitempty"`
}

// PAE is what DSSE signs: the payload with its type and both lengths
// (protocol.md, PAE).
func PAE(payloadType string, payload []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload))
	b.Write(payload)
	return b.Bytes()
}

// File makes the detached bundle of a file: sign its name and SHA-256. It
// belongs beside the file, under its name and Suffix.
func (k *Key) File(ctx context.Context, name string, digest [32]byte) ([]byte, error) {
	statement, err := FileStatement(name, digest)
	if err != nil {
		return nil, err
	}
	return k.Statement(ctx, statement)
}

// Statement makes a bundle of an in-toto statement, which must be one that
// ParseStatement reads.
func (k *Key) Statement(_ context.Context, statement []byte) ([]byte, error) {
	if _, err := ParseStatement(statement); err != nil {
		return nil, err
	}
	sig, err := k.Sign(PAE(PayloadType, statement))
	if err != nil {
		return nil, err
	}
	h, err := hint(k.Public())
	if err != nil {
		return nil, err
	}
	return Bundle{
		Material: Material{PublicKey: &PublicKeyHint{h}},
		Envelope: Envelope{Payload: statement, PayloadType: PayloadType, Signatures: []Signature{{Sig: sig}}},
	}.Marshal()
}

// Marshal writes the bundle as one line of JSON, always the same for the same
// content.
func (b Bundle) Marshal() ([]byte, error) {
	b.MediaType = MediaType
	text, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	return append(text, '\n'), nil
}

// Parse reads a bundle and refuses every one that leaves open what was signed
// or how: another version, a field that is not known, another payload than an
// in-toto statement, no signature or several.
func Parse(text []byte) (*Bundle, error) {
	if len(text) > maxBundle {
		return nil, fmt.Errorf("parse bundle: it has %d bytes, more than any", len(text))
	}
	var b Bundle
	if err := strict(text, &b); err != nil {
		return nil, fmt.Errorf("parse bundle: %w", err)
	}
	switch {
	case b.MediaType != MediaType:
		return nil, fmt.Errorf("parse bundle: its media type is %q, not %s", b.MediaType, MediaType)
	case b.Envelope.PayloadType != PayloadType:
		return nil, fmt.Errorf("parse bundle: its payload is of type %q, not %s", b.Envelope.PayloadType, PayloadType)
	case len(b.Envelope.Signatures) != 1:
		return nil, fmt.Errorf("parse bundle: it has %d signatures where one was expected", len(b.Envelope.Signatures))
	case (b.Material.PublicKey == nil) == (b.Material.Certificate == nil):
		return nil, errors.New("parse bundle: it names not exactly one of a public key and a certificate")
	}
	return &b, nil
}

// VerifyBundle checks that pub's key signed the bundle and returns the
// statement in it, which is the only thing of a bundle to go by. What it covers
// is for ParseStatement and Covers to say. A signature that is not the key's
// gives an error that wraps ErrSignature.
func VerifyBundle(text []byte, pub crypto.PublicKey) (statement []byte, err error) {
	b, err := Parse(text)
	if err != nil {
		return nil, err
	}
	if b.Material.PublicKey == nil {
		return nil, errors.New("verify bundle: it was signed with a certificate (keyless), not with a key; name the identity to expect instead of a key")
	}
	if err := Verify(pub, PAE(b.Envelope.PayloadType, b.Envelope.Payload), b.Envelope.Signatures[0].Sig); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	if _, err := ParseStatement(b.Envelope.Payload); err != nil {
		return nil, fmt.Errorf("verify bundle: %w", err)
	}
	return b.Envelope.Payload, nil
}

// VerifyFile checks that pub's key signed a file of this name and digest.
func VerifyFile(bundle []byte, pub crypto.PublicKey, name string, digest [32]byte) error {
	text, err := VerifyBundle(bundle, pub)
	if err != nil {
		return err
	}
	s, err := ParseStatement(text)
	if err != nil {
		return err
	}
	if !s.Covers(name, digest) {
		return fmt.Errorf("verify %s: the bundle is signed, but for another file: it does not name %s with SHA-256 %x", name, name, digest)
	}
	return nil
}
