package hwreport

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemaID names the schema; the major version is part of it.
const schemaID = "https://bee-os.github.io/schema/hwreport-2.json"

// generateSchema makes the schema from the types.
func generateSchema() ([]byte, error) {
	g := generator{defs: map[string]any{}}
	root := g.object(reflect.TypeFor[Report]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = schemaID
	root["title"] = "bee hardware audit"
	root["$comment"] = "version " + Schema
	root["$defs"] = g.defs
	b, err := json.MarshalIndent(root, "", " ")
	if err != nil {
		return nil, fmt.Errorf("generate schema: %w", err)
	}
	return append(b, '\n'), nil
}

// enums are the words that a named type may have.
var enums = map[reflect.Type][]any{
	reflect.TypeFor[Status]():      {Running, OK, Failed, Timeout, Skipped},
	reflect.TypeFor[Severity]():    {Info, Warning, Failure},
	reflect.TypeFor[Verdict]():     {Fine, Warned, Broken, Incomplete},
	reflect.TypeFor[DiskVerdict](): {DiskOK, DiskWorn, DiskFailing, DiskFailed},
}

type generator struct{ defs map[string]any }

func (g generator) of(t reflect.Type) map[string]any {
	if words, ok := enums[t]; ok {
		return map[string]any{"type": "string", "enum": words}
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "minimum": 0}
	case strings.HasPrefix(t.Name(), "Field["):
		method, _ := reflect.PointerTo(t).MethodByName("Get")
		value := g.of(method.Type.Out(0))
		one := func(name string, v any) map[string]any {
			return map[string]any{"type": "object", "required": []string{name}, "properties": map[string]any{name: v}, "additionalProperties": false}
		}
		label := "field_" + strings.NewReplacer("[]", "list_", "int64", "integer", "float64", "number").Replace(typeLabel(method.Type.Out(0)))
		g.defs[label] = map[string]any{"oneOf": []any{one("value", value), one("absent", map[string]any{"const": true}), one("unknown", map[string]any{"type": "string", "minLength": 1})}}
		return map[string]any{"$ref": "#/$defs/" + label}
	}
	switch t.Kind() {
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int64, reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		return map[string]any{"type": "array", "items": g.of(t.Elem())}
	case reflect.Struct:
		if strings.HasPrefix(t.Name(), "Section[") {
			return g.object(t)
		}
		if _, ok := g.defs[t.Name()]; !ok {
			g.defs[t.Name()] = nil // one that holds itself ends here
			g.defs[t.Name()] = g.object(t)
		}
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	}
	panic("hwreport: no schema for " + t.String())
}

func (g generator) object(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || name == "-" || name == "" {
			continue
		}
		properties[name] = g.of(f.Type)
		if rest != "omitempty" {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// typeLabel names a type without its package.
func typeLabel(t reflect.Type) string {
	if t.Kind() == reflect.Slice {
		return "[]" + typeLabel(t.Elem())
	}
	return t.Name()
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
		t.Error("schema.json is not what the types say: go test -update writes it, and raise Schema if the change asks for it")
	}
}

// TestReportsFitTheSchema asks an independent validator.
func TestReportsFitTheSchema(t *testing.T) {
	v := Validator(t)
	r := &Report{Schema: Schema, Verdict: Fine, Findings: []Finding{}}
	for _, c := range r.Collectors() {
		c.Status, c.Source = OK, []string{}
	}
	Fill(r, "test")
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := v(b); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string][2]string{
		"an unknown word": {`"fine"`, `"great"`},
		"a field of two":  {`"unknown": "test"`, `"unknown": "test", "absent": true`},
		"a missing part":  {`"complete"`, `"whole"`},
	} {
		bad := strings.Replace(string(b), spoil[0], spoil[1], 1)
		if bad == string(b) {
			t.Fatalf("%s: nothing to spoil", name)
		}
		if err := v([]byte(bad)); err == nil {
			t.Errorf("%s: the schema lets it pass", name)
		}
	}
}

// Validator compiles the schema.
func Validator(t *testing.T) func([]byte) error {
	t.Helper()
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
	return func(b []byte) error {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(b)))
		if err != nil {
			return err
		}
		return s.Validate(v)
	}
}
