package keyless

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/bee-os/bee/pkg/build/sign"
)

// logEntry is what Rekor answers for one entry (openapi.yaml, LogEntry).
type logEntry struct {
	Body         []byte `json:"body"`
	Time         int64  `json:"integratedTime"`
	LogID        string `json:"logID"` // hex
	Index        int64  `json:"logIndex"`
	Verification struct {
		Timestamp []byte `json:"signedEntryTimestamp"`
		Proof     *struct {
			Index      int64    `json:"logIndex"`
			Root       string   `json:"rootHash"` // hex
			Size       int64    `json:"treeSize"`
			Hashes     []string `json:"hashes"` // hex
			Checkpoint string   `json:"checkpoint"`
		} `json:"inclusionProof"`
	} `json:"verification"`
}

// set is what Rekor signs when it takes an entry, in this order: canonical JSON
// (RFC 8785).
type set struct {
	Body  string `json:"body"` // base64
	Time  int64  `json:"integratedTime"`
	LogID string `json:"logID"`
	Index int64  `json:"logIndex"`
}

// log writes an entry.
func (s *Signer) log(ctx context.Context, kind string, spec any) (*sign.LogEntry, error) {
	var answer map[string]logEntry
	err := s.client.call(ctx, http.MethodPost, s.rekor+"/api/v1/log/entries", "", struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
		Spec    any    `json:"spec"`
	}{"0.0.1", kind, spec}, &answer)
	if err != nil {
		return nil, fmt.Errorf("write into Rekor: %w", err)
	}
	if len(answer) != 1 {
		return nil, fmt.Errorf("write into Rekor: the answer has %d entries", len(answer))
	}
	for _, e := range answer {
		out, err := e.convert(kind)
		if err != nil {
			return nil, fmt.Errorf("write into Rekor: read the answer: %w", err)
		}
		return out, nil
	}
	return nil, nil
}

// convert writes an entry as a bundle has it.
func (e logEntry) convert(kind string) (*sign.LogEntry, error) {
	id, err := hex.DecodeString(e.LogID)
	if err != nil || len(id) != sha256.Size {
		return nil, errors.New("its log has no name")
	}
	p := e.Verification.Proof
	if p == nil || len(e.Verification.Timestamp) == 0 {
		return nil, errors.New("it has no promise or no proof that it was taken")
	}
	root, err := hex.DecodeString(p.Root)
	if err != nil {
		return nil, err
	}
	proof := &sign.InclusionProof{Index: strconv.FormatInt(p.Index, 10), Root: root, Size: strconv.FormatInt(p.Size, 10), Hashes: [][]byte{}, Checkpoint: sign.Checkpoint{Envelope: p.Checkpoint}}
	for _, h := range p.Hashes {
		sum, err := hex.DecodeString(h)
		if err != nil {
			return nil, err
		}
		proof.Hashes = append(proof.Hashes, sum)
	}
	return &sign.LogEntry{
		Index: strconv.FormatInt(e.Index, 10), LogID: sign.LogID{KeyID: id}, KindVersion: sign.KindVersion{Kind: kind, Version: "0.0.1"},
		Time: strconv.FormatInt(e.Time, 10), Promise: &sign.Promise{Timestamp: e.Verification.Timestamp}, Proof: proof, Body: e.Body,
	}, nil
}

// numbers are those of an entry that are strings in a bundle.
func numbers(e sign.LogEntry) (index, at int64, err error) {
	index, err = strconv.ParseInt(e.Index, 10, 64)
	if err == nil {
		at, err = strconv.ParseInt(e.Time, 10, 64)
	}
	if err != nil || index < 0 || at <= 0 {
		return 0, 0, errors.New("read Rekor's entry: its index or time is no number")
	}
	return index, at, nil
}

// promised is what the log's key must have signed for an entry.
func promised(e sign.LogEntry) ([]byte, error) {
	index, at, err := numbers(e)
	if err != nil {
		return nil, err
	}
	return json.Marshal(set{base64.StdEncoding.EncodeToString(e.Body), at, hex.EncodeToString(e.LogID.KeyID), index})
}

// checkDSSE checks that an entry is about this envelope and this certificate:
// without that, somebody else's entry would do (Rekor, pkg/types/dsse, schema
// v0.0.1).
func checkDSSE(body []byte, e sign.Envelope, leafPEM []byte) error {
	var entry struct {
		Version string `json:"apiVersion"`
		Kind    string `json:"kind"`
		Spec    struct {
			Payload struct {
				Algorithm string `json:"algorithm"`
				Value     string `json:"value"`
			} `json:"payloadHash"`
			Signatures []struct {
				Signature []byte `json:"signature"`
				Verifier  []byte `json:"verifier"`
			} `json:"signatures"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(body, &entry); err != nil {
		return fmt.Errorf("read Rekor's entry: %w", err)
	}
	sum := sha256.Sum256(e.Payload)
	s := entry.Spec
	if entry.Version != "0.0.1" || entry.Kind != "dsse" || s.Payload.Algorithm != "sha256" || s.Payload.Value != hex.EncodeToString(sum[:]) ||
		len(s.Signatures) != 1 || !bytes.Equal(s.Signatures[0].Signature, e.Signatures[0].Sig) || !bytes.Equal(bytes.TrimSpace(s.Signatures[0].Verifier), bytes.TrimSpace(leafPEM)) {
		return errors.New("the entry in Rekor is about something else")
	}
	return nil
}
