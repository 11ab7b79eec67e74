package hwreport

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// secretKeys are the properties that tell one machine from its sisters, or
// where it is.
var secretKeys = map[string]bool{
	"serial": true, "uuid": true, "asset_tag": true, "wwn": true, "mac": true, "permanent_mac": true, "addresses": true, "hostname": true, "boot_id": true,
	"board_serial": true, "product_serial": true, "chassis_serial": true, "product_asset_tag": true, "eui64": true, "nguid": true, "subsystem_nqn": true,
	"sas_address": true, "address_mac": true, "gateway": true, "lan_address": true, "chassis_id": true, "port_id": true, "management_address": true,
	"system_name": true, "guid": true, "serial_number": true, "vpd_serial": true, "port_guid": true, "node_guid": true, "iqn": true, "targets": true, "boot_nic": true, "nbft": true, "cluster_uuid": true,
}

// hiddenKeys are the properties that tell what somebody ran. They are hidden
// where they stand and not looked for elsewhere: the name of a program is a word
// like others.
var hiddenKeys = map[string]bool{"process": true, "pid": true}

// minSecret is the length from which on a secret is looked for inside other
// text; a shorter one ("0", "None") would be found everywhere.
const minSecret = 5

// Secrets lists the texts of a report that Redact hides, the longest first.
func Secrets(r *Report) ([]string, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	set := map[string]bool{}
	collect(v, false, set)
	var list []string
	for s := range set {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return list, nil
}

func collect(v any, secret bool, set map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if k == "unknown" {
				continue // a reason is no secret
			}
			collect(e, secret && k == "value" || secretKeys[k], set)
		}
	case []any:
		for _, e := range v {
			collect(e, secret, set)
		}
	case string:
		if secret && v != "" {
			set[v] = true
			if addr, _, ok := strings.Cut(v, "/"); ok { // an address with its prefix
				set[addr] = true
			}
		}
	}
}

// Redact returns the report with keyed hashes (HMAC-SHA-256) instead of what
// tells one machine from its sisters. The same key makes the same hashes: two
// redacted reports can still be compared.
func Redact(r *Report, key []byte) (*Report, error) {
	secrets, err := Secrets(r)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	var pairs []string
	for _, s := range secrets {
		if len(s) >= minSecret {
			pairs = append(pairs, s, Hash(key, s), tidy(s), Hash(key, s))
		}
	}
	v = replaced(v, false, strings.NewReplacer(pairs...), key)
	if b, err = json.Marshal(v); err != nil {
		return nil, fmt.Errorf("redact: %w", err)
	}
	return Decode(b)
}

// Hash is what stands for a secret.
func Hash(key []byte, s string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return "redacted-" + hex.EncodeToString(h.Sum(nil)[:8])
}

func replaced(v any, secret bool, r *strings.Replacer, key []byte) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if hiddenKeys[k] {
				v[k] = hidden(e, key)
				continue
			}
			v[k] = replaced(e, secret && k == "value" || secretKeys[k], r, key)
		}
		return v
	case []any:
		for i, e := range v {
			v[i] = replaced(e, secret, r, key)
		}
		return v
	case string:
		if secret && v != "" && len(v) < minSecret {
			return Hash(key, v)
		}
		return r.Replace(v)
	}
	return v
}

// hidden stands for a value of hiddenKeys: a hash of a text, 0 for a number.
func hidden(v any, key []byte) any {
	switch v := v.(type) {
	case map[string]any:
		if e, ok := v["value"]; ok {
			v["value"] = hidden(e, key)
		}
		return v
	case string:
		return Hash(key, v)
	case float64:
		return 0
	}
	return v
}

// RedactNVML hides, in an answer of nvmlreport, what hiddenKeys name. What is no
// such answer is left out whole.
func RedactNVML(b, key []byte) []byte {
	n, err := DecodeNVML(b)
	if err != nil {
		return []byte("left out: it could not be decoded and may hold anything\n")
	}
	for _, d := range n.Devices.Or(nil) {
		list := d.Processes.Or(nil)
		for i := range list {
			list[i].PID = 0
			if name, ok := list[i].Name.Get(); ok {
				list[i].Name = Value(Hash(key, name))
			}
		}
	}
	if b, err = json.Marshal(n); err != nil {
		return []byte("left out: " + err.Error() + "\n")
	}
	return append(b, '\n')
}
