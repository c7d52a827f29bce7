package kozo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"kozo"
)

// drawValue draws a value that a body can hold, in the types that Value returns.
func drawValue(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		most := 8
		if depth == 0 {
			most = 6
		}
		switch rapid.IntRange(0, most).Draw(t, "type") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return rapid.Int64().Draw(t, "int")
		case 3:
			return rapid.Uint64Range(math.MaxInt64+1, math.MaxUint64).Draw(t, "uint")
		case 4:
			return rapid.Float64().Draw(t, "float")
		case 5:
			return rapid.String().Draw(t, "string")
		case 6:
			return rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		case 7:
			return rapid.SliceOfN(drawValue(depth-1), 0, 20).Draw(t, "list")
		default:
			return rapid.MapOfN(rapid.String(), drawValue(depth-1), 0, 20).Draw(t, "map")
		}
	})
}

// TestBodyKeepsValues: what was packed is what comes out, and Check has nothing
// against it. Equal values have equal bodies.
func TestBodyKeepsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawValue(3).Draw(t, "value")
		body, err := kozo.Pack(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := body.Check(); err != nil {
			t.Fatalf("Check: %v", err)
		}
		got, err := body.Value()
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("packed %#v, got %#v, %v", v, got, err)
		}
		again, err := kozo.Pack(got)
		if err != nil || !bytes.Equal(again, body) {
			t.Fatalf("packed again % x, was % x, %v", again, body, err)
		}
		text, err := body.MarshalJSON()
		if err != nil || !json.Valid(text) {
			t.Fatalf("JSON %q, %v", text, err)
		}
	})
}

func TestPackTakes(t *testing.T) {
	type reading struct {
		Celsius float32 `json:"celsius"`
		Sensor  string  `json:"sensor"`
	}
	packed, _ := kozo.Pack("inside")
	for _, test := range []struct {
		name     string
		in, want any
	}{
		{"int8", int8(-5), int64(-5)},
		{"uint32", uint32(math.MaxUint32), int64(math.MaxUint32)},
		{"small uint64", uint64(7), int64(7)},
		{"greatest int64", uint64(math.MaxInt64), int64(math.MaxInt64)},
		{"beyond int64", uint64(math.MaxInt64) + 1, uint64(math.MaxInt64) + 1},
		{"greatest", uint64(math.MaxUint64), uint64(math.MaxUint64)},
		{"least", int64(math.MinInt64), int64(math.MinInt64)},
		{"float32", float32(0.5), 0.5},
		{"float32 without bounds", float32(math.Inf(-1)), math.Inf(-1)},
		{"strings", []string{"a", "b"}, []any{"a", "b"}},
		{"map of strings", map[string]string{"k": "v"}, map[string]any{"k": "v"}},
		{"numbers", []uint64{math.MaxUint64}, []any{uint64(math.MaxUint64)}},
		{"struct", reading{21.5, "attic"}, map[string]any{"celsius": 21.5, "sensor": "attic"}},
		{"struct in list", []any{reading{1, "a"}}, []any{map[string]any{"celsius": int64(1), "sensor": "a"}}},
		{"JSON number", json.Number("9223372036854775808"), uint64(9223372036854775808)},
		{"JSON float", json.Number("1.5e3"), 1500.0},
		{"body", packed, "inside"},
		{"duration", time.Second, int64(time.Second)},
		{"nil pointer", (*reading)(nil), nil},
		{"bytes in map", map[string]any{"b": []byte{0xff}}, map[string]any{"b": []byte{0xff}}},
		{"empty list", []any(nil), []any{}},
	} {
		body, err := kozo.Pack(test.in)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if got, err := body.Value(); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, %v; want %#v", test.name, got, err, test.want)
		}
	}
	if body, err := kozo.Pack(nil); len(body) != 0 || err != nil {
		t.Errorf("nothing packs as % x, %v", body, err)
	}
}

func TestPackRefuses(t *testing.T) {
	for _, test := range []struct {
		in   any
		want string
	}{
		{make(chan int), "a chan int cannot be the content of a message: json: unsupported type: chan int"},
		{[]any{1, func() {}}, "a func() cannot be the content of a message: json: unsupported type: func()"},
		{[]float64{math.NaN()}, "a []float64 cannot be the content of a message: json: unsupported value: NaN"},
		{json.Number("1e999"), "the number 1e999 is out of range"},
		{nested(kozo.MaxDepth + 1), kozo.ErrDepth.Error()},
		{[]any{[]any{nested(kozo.MaxDepth - 1)}}, kozo.ErrDepth.Error()},
	} {
		if _, err := kozo.Pack(test.in); err == nil || err.Error() != test.want {
			t.Errorf("%T: got %v, want %s", test.in, err, test.want)
		}
	}
}

// nested returns so many lists inside each other, with an empty innermost one.
func nested(depth int) []any {
	v := []any{}
	for range depth - 1 {
		v = []any{v}
	}
	return v
}

// Exactly MaxDepth lists or maps can be inside each other, whichever way the
// body is looked at, and whether or not there is something in the innermost one.
func TestBodyDepth(t *testing.T) {
	for _, shape := range []struct{ name, open, end, leaf string }{
		{"lists", "\x91", "\x90", "\x91\x01"},
		{"maps", "\x81\xa1k", "\x80", "\x81\xa1k\x01"},
	} {
		for _, leaf := range []string{shape.end, shape.leaf} {
			deepest := kozo.Body(strings.Repeat(shape.open, kozo.MaxDepth-1) + leaf)
			v, err := deepest.Value()
			if err != nil || deepest.Check() != nil {
				t.Errorf("%s: %d deep: %v, %v", shape.name, kozo.MaxDepth, deepest.Check(), err)
			}
			if again, err := kozo.Pack(v); err != nil || !bytes.Equal(again, deepest) {
				t.Errorf("%s: packed again: %v", shape.name, err)
			}
			deeper := kozo.Body(shape.open + string(deepest))
			if _, err := deeper.Value(); !errors.Is(err, kozo.ErrDepth) || !errors.Is(deeper.Check(), kozo.ErrDepth) {
				t.Errorf("%s: one deeper: %v, %v", shape.name, deeper.Check(), err)
			}
		}
	}
}

// What a body must not contain: Check and Value say the same about it, and
// neither allocates for what is only announced.
func TestBodyHostile(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       error
	}{
		{"two values", "\x01\x02", kozo.ErrBody},
		{"nothing known", "\xc1", kozo.ErrBody},
		{"extension", "\xd4\x01\x01", kozo.ErrBody},
		{"time extension", "\xd6\xff\x00\x00\x00\x00", kozo.ErrBody},
		{"time extension of msgp", "\xc7\x0c\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", kozo.ErrBody},
		{"complex extension", "\xd7\x03\x00\x00\x00\x00\x00\x00\x00\x00", kozo.ErrBody},
		{"number as key", "\x81\x01\x01", kozo.ErrBody},
		{"bytes as key", "\x81\xc4\x01k\x01", kozo.ErrBody},
		{"nil as key", "\x81\xc0\x01", kozo.ErrBody},
		{"key without value", "\x81\xa1k", kozo.ErrBody},
		{"short integer", "\xcd\x01", kozo.ErrBody},
		{"short float", "\xcb\x00", kozo.ErrBody},
		{"short string", "\xa5four", kozo.ErrBody},
		{"short bytes", "\xc4\x05four", kozo.ErrBody},
		{"short header", "\xdd\x00\x00", kozo.ErrBody},
		{"huge list", "\xdd\xff\xff\xff\xff\x01", kozo.ErrBody},
		{"huge map", "\xdf\xff\xff\xff\xff\x01", kozo.ErrBody},
		{"huge map, with a key", "\xdf\x7f\xff\xff\xff\xa1k\x01", kozo.ErrBody},
		{"large list in lists", strings.Repeat("\xdd\x00\x00\x00\x20", 20), kozo.ErrBody},
		{"abyss", strings.Repeat("\x91", 1<<16), kozo.ErrDepth},
		{"abyss of maps", strings.Repeat("\x81\xa0", 1<<16), kozo.ErrDepth},
		{"no text", "\xa2\xc3\x28", kozo.ErrBodyText},
		{"no text in a list", "\x92\xa1a\xa1\xff", kozo.ErrBodyText},
		{"no text as key", "\x81\xa1\xff\x01", kozo.ErrBodyText},
		{"half a surrogate", "\xa3\xed\xa0\x80", kozo.ErrBodyText},
	} {
		body := kozo.Body(test.body)
		if err := body.Check(); !errors.Is(err, test.want) {
			t.Errorf("%s: Check: %v, want %v", test.name, err, test.want)
		}
		if v, err := body.Value(); !errors.Is(err, test.want) {
			t.Errorf("%s: Value: %v, %v, want %v", test.name, v, err, test.want)
		}
		if got := body.Text(); !strings.Contains(got, "bytes that are not a value)") {
			t.Errorf("%s: Text: %q", test.name, got)
		}
		if _, err := body.MarshalJSON(); err == nil {
			t.Errorf("%s: it has a JSON form", test.name)
		}
		if n := testing.AllocsPerRun(10, func() { _ = body.Check() }); n > 0 {
			t.Errorf("%s: Check allocates %v times", test.name, n)
		}
	}
}

// Every body that can be sent has a form for every reader: what is no text when
// it is packed becomes text then, and stays bytes where it was bytes.
func TestPackMendsText(t *testing.T) {
	for _, v := range []any{
		"caf\xe9", []any{"\xff"}, []string{"\xff"}, map[string]any{"\xfe": 1}, map[string]string{"k": "\xff"},
		struct{ Name string }{"\xff"},
	} {
		body, err := kozo.Pack(v)
		if err != nil || body.Check() != nil {
			t.Errorf("%q: %v, %v", v, err, body.Check())
		}
		if text := body.Text(); !strings.Contains(text, "\uFFFD") {
			t.Errorf("%q became %q", v, text)
		}
	}
	if m := kozo.NewLog(kozo.Warn, "caf\xe9"); m.Body.Text() != "caf\uFFFD" {
		t.Errorf("the log says %q", m.Body.Text())
	}
}

func TestBodyText(t *testing.T) {
	for _, test := range []struct {
		in         any
		text, json string
	}{
		{nil, "", "null"},
		{"plain \"text\" <b>\n", "plain \"text\" <b>\n", `"plain \"text\" \u003cb\u003e\n"`},
		{"", "", `""`},
		{true, "true", "true"},
		{uint64(math.MaxUint64), "18446744073709551615", "18446744073709551615"},
		{int64(math.MinInt64), "-9223372036854775808", "-9223372036854775808"},
		{0.1, "0.1", "0.1"},
		{math.NaN(), `"NaN"`, `"NaN"`},
		{[]any{math.Inf(1), map[string]any{"x": math.Inf(-1)}}, `["+Inf",{"x":"-Inf"}]`, `["+Inf",{"x":"-Inf"}]`},
		{[]byte{0xff}, `"/w=="`, `"/w=="`},
		{[]byte{}, `""`, `""`},
		{map[string]any{"b": "a < b", "a": nil}, `{"a":null,"b":"a < b"}`, `{"a":null,"b":"a \u003c b"}`},
	} {
		body, err := kozo.Pack(test.in)
		if err != nil {
			t.Fatal(err)
		}
		text, err := body.MarshalJSON()
		if body.Text() != test.text || string(text) != test.json || err != nil {
			t.Errorf("%v: text %s, JSON %s, %v", test.in, body.Text(), text, err)
		}
	}
	single := kozo.Body{0xca, 0x3f, 0, 0, 0} // a float of 32 bits, as other programs send
	if single.Text() != "0.5" {
		t.Errorf("half is %s", single.Text())
	}
}

func TestBodyFromJSON(t *testing.T) {
	var body kozo.Body
	if err := body.UnmarshalJSON([]byte(`{"big":9223372036854775808,"int":-3,"float":1.0,"list":[null,"é"]}`)); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"big": uint64(9223372036854775808), "int": int64(-3), "float": 1.0, "list": []any{nil, "é"}}
	if got, err := body.Value(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, %v", got, err)
	}
	for text, want := range map[string]string{
		`1 2`:    "there is something after the JSON value",
		`{"a":`:  "unexpected EOF",
		`1e999`:  "the number 1e999 is out of range",
		deepJSON: kozo.ErrDepth.Error(),
	} {
		if err := body.UnmarshalJSON([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.20s: %v, want %s", text, err, want)
		}
	}
}

var deepJSON = strings.Repeat("[", kozo.MaxDepth+1) + strings.Repeat("]", kozo.MaxDepth+1)

// FuzzBody: whatever a body is, the ways to look at it agree, and what they make
// of it is in proportion to its length.
func FuzzBody(f *testing.F) {
	for _, v := range []any{
		nil, true, 1, -200, uint64(math.MaxUint64), 0.5, "text", []byte("bytes"),
		[]any{1, "two", []any{}}, map[string]any{"k": map[string]any{"": 1}},
	} {
		body, err := kozo.Pack(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(body))
	}
	f.Add([]byte("\xdd\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x82\xa1k\x01\xa1k\x02")) // one key twice
	f.Add([]byte("\xa1\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		body := kozo.Body(data)
		v, err := body.Value()
		if checked := body.Check(); !errors.Is(checked, err) || !errors.Is(err, checked) {
			t.Fatalf("% x: Check says %v, Value %v", data, checked, err)
		}
		text := body.Text()
		if !utf8.ValidString(text) || len(text) > 64+32*len(data) {
			t.Fatalf("% x: Text is %q", data, text)
		}
		if err != nil {
			return
		}
		if n := count(v); n > len(data)+1 {
			t.Fatalf("% x: %d values", data, n)
		}
		if len(data) > 0 {
			if rest, err := msgp.Skip(data); err != nil || len(rest) > 0 {
				t.Fatalf("% x: another decoder leaves %d bytes, %v", data, len(rest), err)
			}
		}
		again, err := kozo.Pack(v)
		if err != nil || again.Check() != nil {
			t.Fatalf("% x: cannot be packed again: %v, %v", data, err, again.Check())
		}
		asJSON, err := body.MarshalJSON()
		if err != nil || !json.Valid(asJSON) {
			t.Fatalf("% x: JSON %q, %v", data, asJSON, err)
		}
		if err := again.UnmarshalJSON(asJSON); err != nil || again.Check() != nil {
			t.Fatalf("% x: from its JSON: %v, %v", data, err, again.Check())
		}
	})
}

func count(v any) int {
	n := 1
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			n += count(e)
		}
	case map[string]any:
		for _, e := range v {
			n += count(e)
		}
	}
	return n
}
