package manifest

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaID names the schema; the version is part of it.
const schemaID = "https://bee-os.github.io/schema/build-manifest-1.json"

// patterns are what strings of a field, by its JSON name, must look like.
var patterns = map[string]string{
	"sha256":   "^[0-9a-f]{64}$",
	"fsverity": "^sha256:[0-9a-f]{64}$",
	"commit":   "^([0-9a-f]{40}|[0-9a-f]{64})?$",
}

func generateSchema() ([]byte, error) {
	defs := map[string]any{}
	root := object(defs, reflect.TypeFor[Manifest]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = schemaID
	root["title"] = "bee build manifest"
	root["$defs"] = defs
	root["properties"].(map[string]any)["schema"] = map[string]any{"const": Schema}
	root["properties"].(map[string]any)["name"] = map[string]any{"const": "bee"}
	b, err := json.MarshalIndent(root, "", " ")
	return append(b, '\n'), err
}

func object(defs map[string]any, t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		s := schemaOf(defs, f.Type)
		if p, ok := patterns[name]; ok && s["type"] == "string" {
			s["pattern"] = p
		}
		properties[name] = s
		if rest != "omitempty" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func schemaOf(defs map[string]any, t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[[]byte]():
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	case reflect.TypeFor[Means]():
		return map[string]any{"type": "string", "enum": []any{Signed, Measured, Hashed, Nothing}}
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(defs, t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(defs, t.Elem())}
	case reflect.Pointer:
		return schemaOf(defs, t.Elem())
	case reflect.Struct:
		if _, ok := defs[t.Name()]; !ok {
			defs[t.Name()] = object(defs, t)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	}
	panic("manifest: no schema for " + t.String())
}

// TestSchema holds the published schema against the types; go test -update
// writes it anew.
func TestSchema(t *testing.T) {
	want, err := generateSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(want) != JSONSchema {
		t.Error("schema.json is not what the types say: go test -update writes it; raise Schema if a reader must know of the change")
	}
}

// TestFitsTheSchema asks an independent validator.
func TestFitsTheSchema(t *testing.T) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(JSONSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(text string) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
	m, _ := made(t)
	full := string(must(m.Encode()))
	bare, err := New(Config{Date: m.Date, Family: "iso", Arch: "amd64", Go: "go1", BOM: config().BOM, Inputs: config().Inputs, Modules: config().Modules})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{full, string(must(bare.Encode()))} {
		if err := valid(text); err != nil {
			t.Error(err)
		}
	}
	for name, spoil := range map[string][2]string{
		"an unknown field":  {`"clean"`, `"cleaned"`},
		"an unknown means":  {`"signed"`, `"sealed"`},
		"a short digest":    {sumOf("{}"), "abcd"},
		"a list that is no": {`"tools": [`, `"tools": null, "x": [`},
	} {
		bad := strings.Replace(full, spoil[0], spoil[1], 1)
		if bad == full {
			t.Fatalf("%s: nothing to spoil", name)
		}
		if err := valid(bad); err == nil {
			t.Errorf("%s: the schema lets it pass", name)
		}
	}
}
