package hwreport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// State is which of its three forms a Field has.
type State uint8

// The forms of a Field. The zero Field is unknown.
const (
	IsUnknown State = iota // could not be learnt; Reason says why
	IsAbsent               // the machine has no such thing, or does not tell
	IsValue
)

// NotCollected is the reason of a Field that nobody filled.
const NotCollected = "not collected"

// A Field is what is known of one property. In JSON it is exactly one of
//
//	{"value": …}   {"absent": true}   {"unknown": "reason"}
type Field[T any] struct {
	value  T
	state  State
	reason string
}

// Value is a Field whose value is known.
func Value[T any](v T) Field[T] { return Field[T]{value: v, state: IsValue} }

// Absent is a Field of something that is not there.
func Absent[T any]() Field[T] { return Field[T]{state: IsAbsent} }

// Unknown is a Field that could not be learnt.
func Unknown[T any](reason string) Field[T] { return Field[T]{reason: reason} }

// State returns which form the Field has.
func (f Field[T]) State() State { return f.state }

// Get returns the value, and whether there is one.
func (f Field[T]) Get() (T, bool) { return f.value, f.state == IsValue }

// Or returns the value, or def where there is none.
func (f Field[T]) Or(def T) T {
	if f.state == IsValue {
		return f.value
	}
	return def
}

// Reason says why the Field is unknown; empty for the other forms.
func (f Field[T]) Reason() string {
	if f.state == IsUnknown && f.reason == "" {
		return NotCollected
	}
	return f.reason
}

// String is for people: the value, "-" or "?".
func (f Field[T]) String() string {
	switch f.state {
	case IsValue:
		return fmt.Sprint(f.value)
	case IsAbsent:
		return "-"
	}
	return "?"
}

// MarshalJSON implements json.Marshaler.
func (f Field[T]) MarshalJSON() ([]byte, error) {
	switch f.state {
	case IsAbsent:
		return []byte(`{"absent":true}`), nil
	case IsUnknown:
		return wrap(`{"unknown":`, f.Reason())
	}
	return wrap(`{"value":`, f.value)
}

func wrap(open string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(open)+len(b)+1)
	return append(append(append(out, open...), b...), '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler. Anything but one of the three
// forms is an error.
func (f *Field[T]) UnmarshalJSON(b []byte) error {
	var form struct {
		Value   json.RawMessage `json:"value"`
		Absent  *bool           `json:"absent"`
		Unknown *string         `json:"unknown"`
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&form); err != nil {
		return fmt.Errorf("field is none of value, absent, unknown: %w", err)
	}
	*f = Field[T]{}
	forms := 0
	if form.Value != nil {
		forms++
		f.state = IsValue
		if bytes.Equal(form.Value, []byte("null")) {
			return errors.New("the value of a field is null")
		}
		if err := json.Unmarshal(form.Value, &f.value); err != nil {
			return err
		}
	}
	if form.Absent != nil {
		forms++
		f.state = IsAbsent
		if !*form.Absent {
			return errors.New("a field says absent: false")
		}
	}
	if form.Unknown != nil {
		forms++
		f.reason = *form.Unknown
		if f.reason == "" {
			return errors.New("a field is unknown without a reason")
		}
	}
	if forms != 1 {
		return errors.New("field is not exactly one of value, absent, unknown")
	}
	return nil
}

// settable is implemented by every *Field[T].
type settable interface{ fill(reason string) }

func (f *Field[T]) fill(reason string) {
	if f.state == IsUnknown && f.reason == "" {
		f.reason = reason
	}
}

// Fill gives every Field below v (a pointer to a struct) that nobody filled
// the reason why it is unknown: a collector was given up, or failed half-way.
func Fill(v any, reason string) { fill(reflect.ValueOf(v), reason) }

func fill(v reflect.Value, reason string) {
	switch v.Kind() {
	case reflect.Pointer:
		if s, ok := v.Interface().(settable); ok {
			s.fill(reason)
			return
		}
		if !v.IsNil() {
			fill(v.Elem(), reason)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i).Addr(), reason)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i).Addr(), reason)
		}
	}
}
