// Package protocol has the lines that Kōzō and a program say to each other, as
// docs/protocol-programs.md specifies them, and the description that a program
// gives of itself.
package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"kozo"
)

// Version is the version of the protocol.
const Version = 1

// MaxLine is the longest line, in bytes, the line feed counted.
const MaxLine = 1 << 20

// The kinds of programs.
const (
	KindRole      = "role"
	KindTransport = "transport"
)

// The modes in which a transport is run. A role only has the first.
const (
	ModeRun   = "run"
	ModeQuery = "query"
)

// Line is what a program says. What is not in the line is empty, or nil where it
// matters.
type Line struct {
	Op string          `json:"op"`
	ID json.RawMessage `json:"id"` // nil, a number or a string

	// Of messages.
	Type    string          `json:"type"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`

	Protocol  json.RawMessage `json:"protocol"`  // hello
	Heartbeat float64         `json:"heartbeat"` // hello
	Window    int             `json:"window"`    // hello
	Filters   json.RawMessage `json:"filters"`   // hello, interest; see Wants

	Value json.RawMessage `json:"value"` // set
	Count uint64          `json:"count"` // ack
	N     uint64          `json:"n"`     // pong
	Level string          `json:"level"` // note
	Text  string          `json:"text"`  // note, print, error

	// Raw is the whole line, for members that are not above. It is valid as long
	// as what was parsed.
	Raw []byte `json:"-"`
}

// ErrNoObject is the error of a line that does not begin as an object does: it
// is noise and not part of the conversation.
var ErrNoObject = errors.New("the line is not a JSON object")

// Parse reads a line. The error says what is wrong with it, and how it should
// be; the line is there all the same if it is JSON, so that a request can be
// answered.
func Parse(line []byte) (*Line, error) {
	trimmed := bytes.TrimLeft(line, " \t")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, ErrNoObject
	}
	if !utf8.Valid(line) {
		return nil, errors.New(`the line is not valid UTF-8; bytes are written as {"$bytes":"…"}, in base64`)
	}
	l := &Line{Raw: line}
	err := json.Unmarshal(line, l)
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, explain(err)
	}
	if l.Op == "" {
		return nil, errors.New(`the line has no "op", which says what it is`)
	}
	if string(l.ID) == "null" {
		l.ID = nil
	}
	if len(l.ID) > 0 && l.ID[0] != '"' && l.ID[0] != '-' && (l.ID[0] < '0' || l.ID[0] > '9') {
		return nil, errors.New(`"id" is a number or a string`)
	}
	if len(l.ID) > maxID {
		return nil, fmt.Errorf(`"id" has more than %d bytes`, maxID)
	}
	if err != nil {
		return l, explain(err)
	}
	return l, nil
}

// maxID is how long an id can be.
const maxID = 256

// explain says in plain words why a line cannot be read.
func explain(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("the line is not JSON: %s, at byte %d", strings.TrimPrefix(syntax.Error(), "json: "), syntax.Offset)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field == "" {
		return fmt.Errorf("expected %s, found a JSON %s", jsonWord(wrong.Type.Kind().String()), wrong.Value)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%q should be %s, and is a JSON %s", wrong.Field, jsonWord(wrong.Type.Kind().String()), wrong.Value)
	}
	return err
}

func jsonWord(kind string) string {
	switch kind {
	case "string":
		return "a string"
	case "bool":
		return "true or false"
	case "slice", "array":
		return "a list"
	case "struct", "map":
		return "an object"
	case "uint64":
		return "a whole number that is not negative"
	case "int":
		return "a whole number"
	}
	return "a number"
}

// CheckVersion says whether we can speak with a program that has said hello.
func (l *Line) CheckVersion() error {
	if len(l.Protocol) == 0 {
		return fmt.Errorf(`its hello has no "protocol":%d`, Version)
	}
	if string(l.Protocol) != fmt.Sprint(Version) {
		return fmt.Errorf("it speaks version %s of the protocol, and this kozo speaks version %d", l.Protocol, Version)
	}
	return nil
}

// Message returns the message that a line event, order or log stands for. The
// error is in plain words.
func (l *Line) Message() (kozo.Message, error) {
	m := kozo.Message{Type: l.Type, Channel: l.Channel}
	if err := m.Kind.UnmarshalText([]byte(l.Op)); err != nil {
		return m, err
	}
	if err := m.Check(); err != nil {
		return m, err
	}
	if len(l.Data) == 0 {
		return m, nil
	}
	var err error
	m.Body, err = packJSON(l.Data)
	return m, err
}

// Filter is a filter in JSON: an object, or a string as kozo.ParseFilter reads
// it.
type Filter kozo.Filter

// UnmarshalJSON reads either form.
func (f *Filter) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		parsed, err := kozo.ParseFilter(s)
		if err != nil {
			return fmt.Errorf("filter %q: %w", s, err)
		}
		*f = Filter(parsed)
		return nil
	}
	var o kozo.Filter
	if err := json.Unmarshal(text, &o); err != nil {
		return fmt.Errorf("filter %s: %w", text, explain(err))
	}
	*f = Filter(o)
	return nil
}

// Wants returns the filters of a line, if it has some. Messages can match each of
// them.
func (l *Line) Wants() (filters []kozo.Filter, given bool, err error) {
	if len(l.Filters) == 0 || string(l.Filters) == "null" {
		return nil, false, nil
	}
	var list []Filter
	if err := json.Unmarshal(l.Filters, &list); err != nil {
		return nil, false, explain(err)
	}
	filters = make([]kozo.Filter, len(list))
	for i, f := range list {
		filters[i] = kozo.Filter(f)
		if err := filters[i].Check(); err != nil {
			return nil, false, fmt.Errorf("filter number %d: %w", i+1, err)
		}
	}
	return filters, true, nil
}

// Append appends a value as one line. v is a struct whose first member is "op";
// what it holds can always be encoded.
func Append(b []byte, v any) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return append(b, buf.Bytes()...)
}

// Hello is what Kōzō says first. What does not apply is left out.
type Hello struct {
	Op       string          `json:"op"`
	Protocol int             `json:"protocol"`
	Kind     string          `json:"kind"`
	Mode     string          `json:"mode"`
	Node     kozo.NodeName   `json:"node,omitempty"`
	Name     string          `json:"name,omitempty"`
	Type     string          `json:"type"`
	Options  json.RawMessage `json:"options,omitempty"`
	Filters  []kozo.Filter   `json:"filters,omitzero"`
	Storage  *bool           `json:"storage,omitempty"`
	MaxLine  int             `json:"maxLine"`
	Grease   json.RawMessage `json:"x-grease,omitempty"` // means nothing
}

// Grease is a line that means nothing, to see that it is ignored.
type Grease struct {
	Op     string         `json:"op"`
	ID     int            `json:"x-id"`
	Nested map[string]any `json:"x-nested"`
}

// Error is the answer to what cannot be done.
type Error struct {
	Op   string          `json:"op"`
	ID   json.RawMessage `json:"id,omitempty"`
	Text string          `json:"text"`
}

// Done is the answer to what was done.
type Done struct {
	Op string          `json:"op"`
	ID json.RawMessage `json:"id"`
}

// Value is the answer to get.
type Value struct {
	Op    string          `json:"op"`
	ID    json.RawMessage `json:"id,omitempty"`
	Found bool            `json:"found"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Counts is the answer to counts.
type Counts struct {
	Op      string                `json:"op"`
	ID      json.RawMessage       `json:"id,omitempty"`
	Offered uint64                `json:"offered"`
	Taken   uint64                `json:"taken"`
	Queued  uint64                `json:"queued"`
	Dropped map[kozo.Cause]uint64 `json:"dropped"`
	Sent    uint64                `json:"sent"`
}

// Ping asks for a sign of life.
type Ping struct {
	Op string `json:"op"`
	N  uint64 `json:"n"`
}

// Stop is the last line.
type Stop struct {
	Op string `json:"op"`
}
