package protocol

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"kozo"
)

// The members that stand for what JSON does not have.
const (
	bytesKey = "$bytes"
	floatKey = "$float"
)

// AppendMessage appends a message as one line. The error is that of its body.
func AppendMessage(b []byte, m *kozo.Message) ([]byte, error) {
	b = append(b, `{"op":"`...)
	b = append(b, m.Kind.String()...)
	b = append(b, `","type":`...)
	b = appendString(b, m.Type)
	if m.Channel != "" {
		b = append(b, `,"channel":`...)
		b = appendString(b, m.Channel)
	}
	b = append(b, `,"node":`...)
	b = appendString(b, string(m.From.Node))
	b = append(b, `,"role":`...)
	b = appendString(b, string(m.From.Role))
	if !m.Time.IsZero() {
		b = append(b, `,"time":"`...)
		b = m.Time.UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	b = append(b, `,"seq":`...)
	b = strconv.AppendUint(b, m.Seq, 10)
	if len(m.Body) > 0 {
		v, err := m.Body.Value()
		if err != nil {
			return b, err
		}
		b = append(b, `,"data":`...)
		b = appendValue(b, v)
	}
	return append(b, "}\n"...), nil
}

// appendValue appends a value as kozo.Body.Value returns it.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case uint64:
		return strconv.AppendUint(b, v, 10)
	case float64:
		return appendFloat(b, v)
	case string:
		return appendString(b, v)
	case []byte:
		b = append(b, `{"`+bytesKey+`":"`...)
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, `"}`...)
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, e)
		}
		return append(b, ']')
	case map[string]any:
		b = append(b, '{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b = append(b, ',')
			}
			name := k
			if len(v) == 1 && strings.HasPrefix(k, "$") {
				name = "$" + k
			}
			b = append(appendString(b, name), ':')
			b = appendValue(b, v[k])
		}
		return append(b, '}')
	}
	return append(b, "null"...)
}

func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		b = append(b, `{"`+floatKey+`":"`...)
		b = strconv.AppendFloat(b, f, 'g', -1, 64)
		return append(b, `"}`...)
	}
	before := len(b)
	b = strconv.AppendFloat(b, f, 'g', -1, 64)
	if !bytes.ContainsAny(b[before:], ".e") {
		b = append(b, ".0"...) // not an integer where it is read
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendString quotes a string. What it has beside quotes, backslashes and
// control characters stays as it is.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[from:i]...), "\uFFFD"...)
				from = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[from:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// packJSON encodes what a program wrote as the content of a message.
func packJSON(text []byte) (kozo.Body, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, explain(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("there is something after the JSON value")
	}
	v, err := special(v, 0)
	if err != nil {
		return nil, err
	}
	return kozo.Pack(v)
}

// special replaces the objects that stand for what JSON does not have.
func special(v any, depth int) (any, error) {
	if depth > kozo.MaxDepth {
		return nil, kozo.ErrDepth
	}
	var err error
	switch v := v.(type) {
	case []any:
		for i := range v {
			if v[i], err = special(v[i], depth+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		if len(v) == 1 {
			for k, only := range v {
				if strings.HasPrefix(k, "$") {
					return dollar(k, only, depth)
				}
			}
		}
		for k := range v {
			if v[k], err = special(v[k], depth+1); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func dollar(key string, v any, depth int) (any, error) {
	text, isString := v.(string)
	switch {
	case strings.HasPrefix(key, "$$"):
		inner, err := special(v, depth+1)
		return map[string]any{key[1:]: inner}, err
	case key == bytesKey && isString:
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf(`%q is not base64 with padding, as {"$bytes":"…"} needs it`, short(text))
		}
		return data, nil
	case key == floatKey && isString:
		switch text {
		case "NaN":
			return math.NaN(), nil
		case "+Inf", "Inf":
			return math.Inf(1), nil
		case "-Inf":
			return math.Inf(-1), nil
		}
		return nil, fmt.Errorf(`{"$float":%q} is none of NaN, +Inf and -Inf`, short(text))
	}
	return nil, fmt.Errorf(`an object whose only member is %q means nothing; for the object itself the member is written %q`, short(key), "$"+short(key))
}

func short(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}

// AppendOptions appends the values of options as an object: first those that
// are described, in their order, then others.
func AppendOptions(b []byte, options []kozo.Option, values kozo.Values) []byte {
	b = append(b, '{')
	var names []string
	for _, o := range options {
		names = append(names, o.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		b = appendOption(b, values[name])
	}
	return append(b, '}')
}

func appendOption(b []byte, v any) []byte {
	switch v := v.(type) {
	case time.Duration:
		v2 := v.Seconds()
		return strconv.AppendFloat(b, v2, 'f', -1, 64)
	case kozo.Size:
		return strconv.AppendInt(b, int64(v), 10)
	case kozo.Port:
		return strconv.AppendInt(b, int64(v), 10)
	case kozo.Path:
		return appendString(b, string(v))
	case kozo.List:
		return appendStrings(b, v)
	case kozo.Paths:
		return appendStrings(b, v)
	}
	text, err := json.Marshal(v) // what YAML has
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, text...)
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}
