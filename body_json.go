package kozo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Text returns the body for a person to read: a string as it is, anything else
// as JSON, nothing for an empty body.
func (b Body) Text() string {
	if len(b) == 0 {
		return ""
	}
	v, err := b.Value()
	if err != nil {
		return fmt.Sprintf("(%d bytes that are not a value)", len(b))
	}
	if s, ok := v.(string); ok {
		return s
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false) // nobody reads this in a browser
	if err := enc.Encode(finite(v)); err != nil {
		return fmt.Sprintf("(%d bytes that JSON cannot show)", len(b))
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// MarshalJSON writes the value as JSON: bytes as base64, a number that is not
// finite as a string.
func (b Body) MarshalJSON() ([]byte, error) {
	v, err := b.Value()
	if err != nil {
		return nil, err
	}
	return json.Marshal(finite(v))
}

// finite replaces the numbers that JSON does not have.
func finite(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case []any:
		for i := range v {
			v[i] = finite(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = finite(v[k])
		}
	}
	return v
}

// UnmarshalJSON encodes a JSON value. Integers stay integers.
func (b *Body) UnmarshalJSON(text []byte) error {
	v, err := plainJSON(text)
	if err != nil {
		return err
	}
	*b, err = Pack(v)
	return err
}

// plainJSON decodes JSON so that integers stay integers.
func plainJSON(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("there is something after the JSON value")
	}
	return v, nil
}
