package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kozo"
)

// value draws what a body can hold.
func value(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		most := 8
		if depth == 0 {
			most = 6
		}
		switch rapid.IntRange(0, most).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Int64().Draw(t, "int")
		case 3:
			return rapid.Uint64Min(1<<63).Draw(t, "uint")
		case 4:
			return rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 3, 1e21, math.Inf(1), math.Inf(-1)})).Draw(t, "float")
		case 5:
			return rapid.String().Draw(t, "string")
		case 6:
			return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		case 7:
			return rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "list")
		}
		key := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"$bytes", "$float", "$$bytes", "$", "$x"}))
		return rapid.MapOfN(key, value(depth-1), 0, 4).Draw(t, "map")
	})
}

// TestRoundTrip says messages to a program that sends them back.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body, err := kozo.Pack(value(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		m := kozo.Message{
			Kind: kozo.Event, Type: "t" + rapid.StringN(0, 20, 60).Draw(t, "type"), Channel: rapid.StringN(0, 20, 60).Draw(t, "channel"),
			From: kozo.RoleRef{Node: "n", Role: "r"}, Time: time.Now(), Seq: 7, Body: body,
		}
		line, err := AppendMessage(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(line, []byte("\n")) != 1 || !bytes.HasPrefix(line, []byte(`{"op":"event","type":"`)) || !json.Valid(line) {
			t.Fatalf("not one line of JSON: %q", line)
		}
		l, err := Parse(line)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		back, err := l.Message()
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if back.Kind != m.Kind || back.Type != m.Type || back.Channel != m.Channel || !bytes.Equal(back.Body, m.Body) {
			t.Fatalf("%s came back as %+v %s, was %s", line, back, back.Body.Text(), m.Body.Text())
		}
	})
}

func TestValues(t *testing.T) {
	for text, want := range map[string]string{
		`{"$bytes":"a"}`: `"a" is not base64 with padding`,
		`{"$bytes":1}`:   `an object whose only member is "$bytes" means nothing`,
		`{"$float":"1"}`: `{"$float":"1"} is none of NaN, +Inf and -Inf`,
		`{"$ref":"x"}`:   `for the object itself the member is written "$$ref"`,
		`1e999`:          "out of range",
		strings.Repeat("[", 40) + strings.Repeat("]", 40):             "nested more than 32 deep",
		strings.Repeat(`{"$$a":`, 40) + "1" + strings.Repeat("}", 40): "nested more than 32 deep",
	} {
		if b, err := packJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", text, b.Text(), err, want)
		}
	}
}

func TestParseDescription(t *testing.T) {
	for _, c := range []struct{ text, want string }{ // want: of the error
		{`{"protocol":1,"kind":"role"}`, ""},
		{"", "it printed something that is not a description: nothing"},
		{"usage: x", "not a description"},
		{`[1]`, "not a description"},
		{`{"op":"hello","protocol":1}`, "a line of the protocol"},
		{`{"kind":"role"}`, `an object without "protocol":1`},
		{`{"protocol":2,"kind":"role"}`, "version 2 of the protocol, and this kozo speaks version 1"},
		{`{"protocol":1,"kind":"thing"}`, `"kind":"thing"; it is "role" or "transport"`},
		{`{"protocol":1,"kind":"role"`, "not JSON: unexpected end"},
		{`{"protocol":1,"kind":"role","options":[]}`, `"options" should be an object`},
		{`{"protocol":1,"kind":"role","options":{"a":{"type":"integer"}}}`, `option "a": there is no type of options named "integer"; the types are string, bool, int, number, duration, size, `},
		{`{"protocol":1,"kind":"role","options":{"a b":{}}}`, `option "a b": a name has only letters`},
		{`{"protocol":1,"kind":"role","options":{"a":{},"a":{}}}`, `option "a" is described twice`},
		{`{"protocol":1,"kind":"role","options":{"a":{"type":"int","default":"x"}}}`, `option "a": the default: expected a whole number`},
		{`{"protocol":1,"kind":"role","options":{"a":{"type":"int","default":[1]}}}`, `option "a": the default: [1] is not a plain value`},
		{`{"protocol":1,"kind":"role","options":{"a":{"type":"list","default":["x,y"]}}}`, `"x,y" contains ","`},
		{`{"protocol":1,"kind":"role","options":{"a":{"default":1,"min":"x"}}}`, `"x" cannot be a bound of a whole number`},
		{`{"protocol":1,"kind":"role","options":{"a":5}}`, `option "a": expected an object, found a JSON number`},
		{`{"protocol":1,"kind":"role","filters":["evnt:x"]}`, `filter "evnt:x": "evnt" is not a kind of message`},
		{`{"protocol":1,"kind":"role","options":{},"filters":[{"type":"$a"}]}`, `a filter has "$a", and there is no option "a"`},
		{`{"protocol":1,"kind":"role","options":{"a":{"type":"list","default":[]}},"filters":[{"type":"$a"}]}`, "an option of type list is not a word"},
		{`{"protocol":1,"kind":"role","version":1}`, `"version" should be a string, and is a JSON number`},
	} {
		d, err := ParseDescription([]byte(c.text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %+v, %v; want %q", c.text, d, err, c.want)
		}
		if noise := strings.Contains(c.want, "not a description") || strings.Contains(c.want, "of the protocol") && !strings.Contains(c.want, "version") || strings.Contains(c.want, "without"); noise != errors.Is(err, ErrNoDescription) {
			t.Errorf("%s: whether it is a description at all: %v", c.text, err)
		}
	}
}

// TestOptionTypes guesses types from defaults.
func TestOptionTypes(t *testing.T) {
	for text, want := range map[string]kozo.Option{
		`{}`:                    {Type: kozo.TypeAny, Required: true},
		`{"default":null}`:      {Type: kozo.TypeAny},
		`{"default":"x"}`:       {Type: kozo.TypeString, Default: "x"},
		`{"default":true}`:      {Type: kozo.TypeBool, Default: "true"},
		`{"default":9001}`:      {Type: kozo.TypeInt, Default: "9001"},
		`{"default":0.5}`:       {Type: kozo.TypeNumber, Default: "0.5"},
		`{"default":["a","b"]}`: {Type: kozo.TypeList, Default: "a,b"},
		`{"default":[1]}`:       {Type: kozo.TypeAny, Default: "[1]"},
		`{"default":{"a":1}}`:   {Type: kozo.TypeAny, Default: `{"a":1}`},
		`{"oneOf":["a"]}`:       {Type: kozo.TypeString, Required: true, OneOf: []string{"a"}},
		`{"type":"duration","default":"2m","max":3600}`: {Type: kozo.TypeDuration, Default: "2m", Max: "3600"},
	} {
		want.Name = "o"
		if got, err := parseOption("o", []byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestFill(t *testing.T) {
	d, err := ParseDescription([]byte(`{"protocol":1,"kind":"role","filters":["event:$a",{"kind":"order","channel":"$n","node":"$none"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := Fill(d.Filters, kozo.Values{"a": "tick", "n": 7, "none": nil})
	want := []kozo.Filter{{Kind: kozo.Event, Type: "tick"}, {Kind: kozo.Order, Channel: "7"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("filled: %v, want %v", got, want)
	}
	if d.Filters[0].Type != "$a" {
		t.Error("filling has changed the description")
	}
}

// FuzzParse reads what a program could say.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"op":"event","type":"t","data":{"$bytes":"AA=="},"id":1}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := Parse(line)
		if err != nil {
			return
		}
		_, _, _ = l.Wants()
		m, err := l.Message()
		if err != nil {
			return
		}
		if err := errors.Join(m.Check(), m.Body.Check()); err != nil {
			t.Fatalf("%s is taken for a message: %v", line, err)
		}
		back, err := AppendMessage(nil, &m)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		again, err := Parse(bytes.TrimSuffix(back, []byte("\n")))
		if err != nil {
			t.Fatalf("%s became %s: %v", line, back, err)
		}
		if m2, err := again.Message(); err != nil || !bytes.Equal(m2.Body, m.Body) {
			t.Fatalf("%s became %s: %v", line, back, err)
		}
	})
}

// FuzzDescription reads what a program could say about itself.
func FuzzDescription(f *testing.F) {
	f.Add([]byte(`{"protocol":1,"kind":"role","options":{"a":{"default":[1,"x"],"min":1}},"filters":["event:$a"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := ParseDescription(text)
		if err != nil {
			return
		}
		values := kozo.Values{}
		for _, o := range d.Options {
			if err := o.Check(); err != nil {
				t.Fatalf("%s: option %q: %v", text, o.Name, err)
			}
			if values[o.Name], err = o.DefaultValue(); err != nil {
				t.Fatalf("%s: option %q: %v", text, o.Name, err)
			}
		}
		Fill(d.Filters, values)
		if !json.Valid(AppendOptions(nil, d.Options, values)) {
			t.Fatalf("%s: the options are no JSON", text)
		}
	})
}
