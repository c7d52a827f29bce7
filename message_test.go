package kozo_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kozo"
	"kozo/internal/wire"
)

func TestKindText(t *testing.T) {
	for kind, word := range map[kozo.Kind]string{
		kozo.AnyKind: "", kozo.Event: "event", kozo.Order: "order", kozo.Log: "log",
	} {
		text, err := kind.MarshalText()
		if string(text) != word || err != nil {
			t.Errorf("%d is written %q, %v", kind, text, err)
		}
		back := kozo.Kind(99)
		if err := back.UnmarshalText([]byte(word)); err != nil || back != kind {
			t.Errorf("%q is read as %d, %v", word, back, err)
		}
		if kind.Valid() != (kind != kozo.AnyKind) {
			t.Errorf("Valid of %q is %v", word, kind.Valid())
		}
	}
	k := kozo.Order
	err := k.UnmarshalText([]byte("Event"))
	if want := `"Event" is not a kind of message; use event, order or log`; err == nil || err.Error() != want || k != kozo.Order {
		t.Errorf("got %v, %v", k, err)
	}
	if unknown := kozo.Kind(9); unknown.Valid() || unknown.String() != "kind(9)" {
		t.Errorf("9 is %s", unknown)
	}
}

func TestMessageCheck(t *testing.T) {
	long := strings.Repeat("x", kozo.MaxField+1)
	for _, test := range []struct {
		name string
		m    kozo.Message
		want error
	}{
		{"event", kozo.Message{Kind: kozo.Event, Type: "tick"}, nil},
		{"order with channel", kozo.Message{Kind: kozo.Order, Type: "switch", Channel: "lamp 構"}, nil},
		{"log without level", kozo.Message{Kind: kozo.Log}, nil},
		{"longest", kozo.Message{Kind: kozo.Event, Type: long[1:], Channel: long[1:]}, nil},
		{"control characters", kozo.Message{Kind: kozo.Event, Type: "a\x00\n\x1b[2J", Channel: "\u202e"}, nil},
		{"no kind", kozo.Message{Type: "tick"}, kozo.ErrKind},
		{"unknown kind", kozo.Message{Kind: 4, Type: "tick"}, kozo.ErrKind},
		{"event without type", kozo.Message{Kind: kozo.Event}, kozo.ErrType},
		{"order without type", kozo.Message{Kind: kozo.Order, Channel: "c"}, kozo.ErrType},
		{"long type", kozo.Message{Kind: kozo.Event, Type: long}, kozo.ErrField},
		{"long channel", kozo.Message{Kind: kozo.Log, Channel: long}, kozo.ErrField},
		{"type that is no text", kozo.Message{Kind: kozo.Event, Type: "caf\xe9"}, kozo.ErrFieldText},
		{"channel that is no text", kozo.Message{Kind: kozo.Event, Type: "t", Channel: "\xff"}, kozo.ErrFieldText},
	} {
		if err := test.m.Check(); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// TestSendableIsReceivable: a message that passes the checks of the sending node
// parses on the receiving one, and no other does.
func TestSendableIsReceivable(t *testing.T) {
	anyText := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3), func(b []byte) string { return string(b) }),
		rapid.Map(rapid.IntRange(250, 260), func(n int) string { return strings.Repeat("x", n) }))
	anyBody := rapid.OneOf(
		rapid.Map(drawValue(2), func(v any) kozo.Body { b, _ := kozo.Pack(v); return b }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) kozo.Body { return b }))
	rapid.Check(t, func(t *rapid.T) {
		m := kozo.Message{
			Kind: kozo.Kind(rapid.IntRange(0, 5).Draw(t, "kind")),
			Type: anyText.Draw(t, "type"), Channel: anyText.Draw(t, "channel"),
			From: kozo.RoleRef{Role: "timer1"}, Seq: rapid.Uint64().Draw(t, "seq"),
			Body: anyBody.Draw(t, "body"),
		}
		sendable := errors.Join(m.Check(), m.Body.Check())
		_, payload, err := wire.NewReader(strings.NewReader(string(wire.AppendMessage(nil, &m))), 1<<20).Next()
		if err != nil {
			t.Fatal(err)
		}
		got, received := wire.ParseMessage(payload, nil)
		if (sendable == nil) != (received == nil) {
			t.Fatalf("sent: %v, received: %v", sendable, received)
		}
		if len(m.Body) == 0 || string(m.Body) == "\xc0" {
			m.Body = nil // none and nil are one
		}
		if received == nil && !reflect.DeepEqual(got, m) {
			t.Fatalf("sent %#v, received %#v", m, got)
		}
	})
}

func TestMessageJSON(t *testing.T) {
	body, err := kozo.Pack(map[string]any{"n": 1})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 5, 0, 0, 120, time.UTC)
	for _, test := range []struct {
		m    kozo.Message
		want string
	}{
		{kozo.Message{Kind: kozo.Log}, `{"kind":"log"}`},
		{
			kozo.Message{
				Kind: kozo.Order, Type: "switch", Channel: "lamp", From: kozo.RoleRef{Node: "clock", Role: "timer1"},
				Time: at, Seq: 7, Body: body,
			},
			`{"kind":"order","type":"switch","channel":"lamp","node":"clock","role":"timer1",` +
				`"time":"2026-11-23T05:00:00.00000012Z","seq":7,"data":{"n":1}}`,
		},
		{kozo.Message{Kind: kozo.Event, Type: "t", Time: time.Unix(0, 0).UTC()}, `{"kind":"event","type":"t","time":"1970-01-01T00:00:00Z"}`},
	} {
		text, err := json.Marshal(test.m)
		if string(text) != test.want || err != nil {
			t.Errorf("got  %s, %v\nwant %s", text, err, test.want)
		}
		back := kozo.Message{Type: "old", Seq: 99, Body: kozo.Body{1}}
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, test.m) {
			t.Errorf("%s is read as %#v, %v", text, back, err)
		}
	}

	var m kozo.Message
	if err := json.Unmarshal([]byte(`{"kind":"event","type":"t","data":null,"later":[1]}`), &m); err != nil || len(m.Body) != 0 {
		t.Errorf("nothing is read as % x, %v", m.Body, err)
	}
	for text, want := range map[string]string{
		`{"kind":"shout"}`:                `"shout" is not a kind of message`,
		`{"kind":"event","seq":-1}`:       "seq",
		`{"kind":"event","time":"later"}`: "later",
		`{"data":` + deepJSON + `}`:       kozo.ErrDepth.Error(),
	} {
		if err := json.Unmarshal([]byte(text), &m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	if _, err := json.Marshal(kozo.Message{Kind: kozo.Event, Type: "t", Body: kozo.Body{0xc1}}); !errors.Is(err, kozo.ErrBody) {
		t.Errorf("a bad body is written, %v", err)
	}
}

// FuzzMessageJSON: what a program says a message is can be refused, but what is
// taken can be written and read again.
func FuzzMessageJSON(f *testing.F) {
	f.Add([]byte(`{"kind":"event","type":"tick","data":{"a":[1,2.5,"x",null]}}`))
	f.Add([]byte(`{"kind":"order","type":"switch","channel":"lamp","node":"n","role":"r","time":"2026-11-23T05:00:00+01:00","seq":3}`))
	f.Add([]byte(`{"kind":"log","data":18446744073709551615}`))
	f.Add([]byte(`{"kind":"log","type":"\ud800","data":"\ud800"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var m, again kozo.Message
		if json.Unmarshal(text, &m) != nil {
			return
		}
		if err := m.Body.Check(); err != nil {
			t.Fatalf("%s: the body: %v", text, err)
		}
		written, err := json.Marshal(m)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("%s was written as %s: %v", text, written, err)
		}
		if !again.Time.Equal(m.Time) {
			t.Fatalf("%s: the time %v became %v", text, m.Time, again.Time)
		}
		again.Time = m.Time
		v1, _ := m.Body.Value()
		v2, _ := again.Body.Value()
		m.Body, again.Body = nil, nil
		if !reflect.DeepEqual(m, again) || !sameJSON(v1, v2) {
			t.Fatalf("%s was written as %s and read as %#v %v", text, written, again, v2)
		}
	})
}

// sameJSON says whether two values are one in JSON, where 1.0 is 1.
func sameJSON(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}
