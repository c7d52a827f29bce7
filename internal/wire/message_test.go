package wire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"kozo"
)

// payload returns the payload of the only frame in b.
func payload(t testing.TB, want Type, b []byte) []byte {
	t.Helper()
	r := NewReader(bytes.NewReader(b), len(b))
	typ, p, err := r.Next()
	if err != nil || typ != want || r.Buffered() {
		t.Fatalf("the frame is a %v, %v, and more follows: %v", typ, err, r.Buffered())
	}
	return p
}

func sameMessage(a, b *kozo.Message) bool {
	return a.Kind == b.Kind && a.From == b.From && a.Type == b.Type && a.Channel == b.Channel &&
		a.Time.Equal(b.Time) && a.Seq == b.Seq && bytes.Equal(a.Body, b.Body)
}

func tick(t testing.TB, data any) kozo.Message {
	t.Helper()
	m, err := kozo.NewEvent("tick", data)
	if err != nil {
		t.Fatal(err)
	}
	m.From.Role, m.Time, m.Seq = "timer1", time.Unix(1764000000, 123456789), 1234
	return m
}

func drawMessage(t *rapid.T) kozo.Message {
	text := rapid.StringN(0, -1, kozo.MaxField)
	m := kozo.Message{
		Kind:    kozo.Kind(rapid.IntRange(1, 3).Draw(t, "kind")),
		Type:    rapid.StringN(1, -1, kozo.MaxField).Draw(t, "type"),
		Channel: text.Draw(t, "channel"),
		From:    kozo.RoleRef{Role: kozo.RoleName(rapid.StringN(1, -1, kozo.MaxName).Draw(t, "role"))},
		Seq:     rapid.Uint64().Draw(t, "seq"),
	}
	if rapid.Bool().Draw(t, "has a time") {
		m.Time = time.Unix(0, rapid.Int64().Draw(t, "time"))
	}
	body, err := kozo.Pack(rapid.OneOf(
		rapid.Just(any(nil)),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.IntRange(0, 70000), func(n int) any { return bytes.Repeat([]byte("x"), n) }),
		rapid.Map(rapid.MapOf(rapid.String(), rapid.Int64()), func(m map[string]int64) any {
			v := map[string]any{}
			for k, i := range m {
				v[k] = i
			}
			return v
		}),
	).Draw(t, "data"))
	if err != nil {
		t.Fatal(err)
	}
	m.Body = body
	return m
}

func TestMessageRoundTrip(t *testing.T) {
	var names Names
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b := AppendMessage([]byte("before"), &m)
		r := NewReader(bytes.NewReader(b[len("before"):]), len(b))
		typ, p, err := r.Next()
		if err != nil || typ != TypeMessage || r.Buffered() || string(b[:6]) != "before" {
			t.Fatalf("%v, %v", typ, err)
		}
		if got, err := ParseMessage(p, &names); err != nil || !sameMessage(&got, &m) {
			t.Fatalf("%+v became %+v, %v", m, got, err)
		}
		if got, err := ParseMessage(p, nil); err != nil || !sameMessage(&got, &m) {
			t.Fatalf("without names %+v became %+v, %v", m, got, err)
		}
	})
}

// The length of a frame is estimated before it is known; it must be right
// wherever the estimate is not, and have the shortest form.
func TestLengthIsShortest(t *testing.T) {
	for _, around := range []int{128, 16384} {
		for size := around - 60; size < around+10; size++ {
			m := tick(t, nil)
			m.Body = msgp.AppendBytes(nil, make([]byte, max(size, 0)))
			m.Time, m.Seq = time.Time{}, 1
			b := AppendMessage(nil, &m)
			p := payload(t, TypeMessage, b)
			if head := len(b) - len(p) - 1; head != uvarintLen(uint64(len(p))+1) {
				t.Fatalf("the length %d has %d bytes", len(p)+1, head)
			}
			if got, err := ParseMessage(p, nil); err != nil || !sameMessage(&got, &m) {
				t.Fatalf("%d bytes do not survive: %v", size, err)
			}
		}
	}
}

// An estimate that is too small makes room for the length afterwards.
func TestLengthGrows(t *testing.T) {
	for _, size := range []int{0, 126, 127, 128, 16383, 16384} {
		want := bytes.Repeat([]byte("x"), size)
		b, start, room := begin([]byte("before"), TypeBye, 0)
		b = end(append(b, want...), start, room, 0)
		if got := payload(t, TypeBye, b[len("before"):]); !bytes.Equal(got, want) {
			t.Errorf("%d bytes became %q", size, got)
		}
	}
}

func TestMessageTimes(t *testing.T) {
	for _, test := range []struct{ in, out time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 0)},
		{time.Date(1970, 1, 1, 0, 0, 0, -1, time.UTC), time.Unix(0, -1)},
		{time.Date(2500, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MaxInt64)},
		{time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MinInt64)},
	} {
		m := tick(t, 1)
		m.Time = test.in
		got, err := ParseMessage(payload(t, TypeMessage, AppendMessage(nil, &m)), nil)
		if err != nil || !got.Time.Equal(test.out) {
			t.Errorf("%v became %v, %v", test.in, got.Time, err)
		}
	}
}

// pack makes a payload of values; a msgp.Raw is taken as it is.
func pack(t testing.TB, fields ...any) []byte {
	t.Helper()
	b := msgp.AppendArrayHeader(nil, uint32(len(fields)))
	for _, f := range fields {
		var err error
		if raw, ok := f.(msgp.Raw); ok {
			b = append(b, raw...)
		} else if b, err = msgp.AppendIntf(b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestMessageErrors(t *testing.T) {
	long := strings.Repeat("x", 256)
	deep := msgp.Raw(append(bytes.Repeat([]byte{0x91}, kozo.MaxDepth+1), 1))
	for _, test := range []struct {
		name    string
		payload []byte
		want    error
		part    string
	}{
		{"empty", nil, ErrShort, "kind"},
		{"no array", []byte{1}, ErrValue, "kind"},
		{"a map", []byte{0x87, 1, 1, 1, 1, 1, 1, 1}, ErrValue, "kind"},
		{"6 fields", pack(t, 1, "r", "t", "", 1, 1), ErrShort, "kind"},
		{"a huge array", []byte{0xdd, 0xff, 0xff, 0xff, 0xff, 1}, ErrShort, "kind"},
		{"kind 0", pack(t, 0, "r", "t", "", 1, 1, nil), ErrRange, "kind"},
		{"kind 4", pack(t, 4, "r", "t", "", 1, 1, nil), ErrRange, "kind"},
		{"kind 257", pack(t, 257, "r", "t", "", 1, 1, nil), ErrRange, "kind"},
		{"kind -1", pack(t, -1, "r", "t", "", 1, 1, nil), ErrRange, "kind"},
		{"no role", pack(t, 1, "", "t", "", 1, 1, nil), ErrRange, "role"},
		{"long role", pack(t, 1, long[:65], "t", "", 1, 1, nil), ErrRange, "role"},
		{"no type", pack(t, 1, "r", "", "", 1, 1, nil), ErrRange, "type"},
		{"long type", pack(t, 1, "r", long, "", 1, 1, nil), ErrRange, "type"},
		{"type of bytes", pack(t, 1, "r", []byte("t"), "", 1, 1, nil), ErrValue, "type"},
		{"type not UTF-8", pack(t, 1, "r", "\xff", "", 1, 1, nil), ErrText, "type"},
		{"long channel", pack(t, 1, "r", "t", long, 1, 1, nil), ErrRange, "channel"},
		{"a string of 4 GiB", pack(t, 1, "r", "t", msgp.Raw("\xdb\xff\xff\xff\xff"), 1, 1, nil), ErrRange, "channel"},
		{"time 2^63", pack(t, 1, "r", "t", "", uint64(1)<<63, 1, nil), ErrRange, "time"},
		{"time as text", pack(t, 1, "r", "t", "", "now", 1, nil), ErrValue, "time"},
		{"sequence -1", pack(t, 1, "r", "t", "", 1, -1, nil), ErrRange, "sequence number"},
		{"sequence 1.5", pack(t, 1, "r", "t", "", 1, 1.5, nil), ErrValue, "sequence number"},
		{"no body", pack(t, 1, "r", "t", "", 1, 1, msgp.Raw{}), ErrShort, "body"},
		{"half a body", pack(t, 1, "r", "t", "", 1, 1, msgp.Raw("\xa5half")), ErrShort, "body"},
		{"body of 4 GiB", pack(t, 1, "r", "t", "", 1, 1, msgp.Raw("\x92\xdb\xff\xff\xff\xff")), ErrShort, "body"},
		{"body of no type", pack(t, 1, "r", "t", "", 1, 1, msgp.Raw{0xc1}), ErrValue, "body"},
		{"body with an extension", pack(t, 1, "r", "t", "", 1, 1, msgp.Raw{0xd4, 1, 1}), kozo.ErrBody, "body"},
		{"map with a number as key", pack(t, 1, "r", "t", "", 1, 1, msgp.Raw{0x81, 1, 1}), kozo.ErrBody, "body"},
		{"deep body", pack(t, 1, "r", "t", "", 1, 1, deep), kozo.ErrDepth, "body"},
		{"abyss", pack(t, 1, "r", "t", "", 1, 1, msgp.Raw(bytes.Repeat([]byte{0x91}, 1<<20))), ErrDepth, "body"},
		{"rest", append(pack(t, 1, "r", "t", "", 1, 1, nil), 0), ErrAfter, "end"},
		{"bad extra field", pack(t, 1, "r", "t", "", 1, 1, nil, msgp.Raw{0xc1}), ErrValue, "end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMessage(test.payload, new(Names))
			if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), " "+test.part+": ") {
				t.Errorf("parsed as %+v, %v; want %v in %s", m, err, test.want, test.part)
			}
		})
	}
}

// A log message needs no type, a message may have fields of a later version,
// and every encoding of an integer counts.
func TestMessageLeniency(t *testing.T) {
	for _, p := range [][]byte{
		pack(t, 3, "r", "", "", 1, 1, "text"),
		pack(t, 3, "r", "", "", 1, 1, "text", 5, map[string]any{"new": []any{"field", 1.5}}, nil),
		pack(t, msgp.Raw{0xcf, 0, 0, 0, 0, 0, 0, 0, 3}, msgp.Raw("\xda\x00\x01r"), "", "",
			msgp.Raw{0xd0, 1}, msgp.Raw{0xd2, 0, 0, 0, 1}, "text"),
		pack(t, msgp.Raw{0xd3, 0, 0, 0, 0, 0, 0, 0, 3}, "r", "", "",
			msgp.Raw{0xcc, 1}, msgp.Raw{0xcd, 0, 1}, "text"),
	} {
		m, err := ParseMessage(p, nil)
		if err != nil || m.Kind != kozo.Log || m.From.Role != "r" || m.Time.UnixNano() != 1 || m.Seq != 1 || m.Body.Text() != "text" {
			t.Errorf("% x became %+v, %v", p, m, err)
		}
	}
	m, err := ParseMessage(pack(t, 1, "r", "t", "", msgp.Raw{0xd1, 0xff, 0x00}, 1, nil), nil)
	if err != nil || m.Time.UnixNano() != -256 || m.Body != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

// skip agrees with the msgp package about where every kind of value ends.
func TestSkip(t *testing.T) {
	for lead := range 256 {
		for _, next := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x03", "\x03\x00\x00\x00", "\x01\x02\x03\x04"} {
			b := append([]byte{byte(lead)}, next+strings.Repeat("\x05", 2000)...)
			want, wantErr := msgp.Skip(b)
			d := decoder{b: b}
			d.skip(1)
			if (d.err != nil) != (wantErr != nil) || d.err == nil && len(d.b) != len(want) {
				t.Errorf("% x…: %d bytes are left, %v; msgp says %d, %v", b[:5], len(d.b), d.err, len(want), wantErr)
			}
			for cut := range 12 {
				if cut < len(b)-len(want) && wantErr == nil {
					d := decoder{b: b[:cut]}
					if d.skip(1); !errors.Is(d.err, ErrShort) {
						t.Errorf("% x cut after %d: %v", b[:5], cut, d.err)
					}
				}
			}
		}
	}
}

func TestMessageSize(t *testing.T) {
	m := tick(t, make([]byte, 100))
	if n := len(AppendMessage(nil, &m)); n > 140 {
		t.Errorf("a message of 100 bytes has %d on the wire, should be at most 140", n)
	}
}

func TestMessageAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := tick(t, map[string]any{"a": 1, "b": "two"})
	m.Channel = "kitchen"
	b := AppendMessage(nil, &m)
	p := payload(t, TypeMessage, b)
	if n := testing.AllocsPerRun(1000, func() { b = AppendMessage(b[:0], &m) }); n != 0 {
		t.Errorf("AppendMessage allocates %v times", n)
	}
	var names Names
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := ParseMessage(p, &names); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("ParseMessage allocates %v times", n)
	}
}

// The table of names is bounded whatever a peer sends, and a name in use is
// soon back in it.
func TestNamesAreBounded(t *testing.T) {
	var names Names
	for i := range 20000 {
		s := fmt.Sprintf("%x", i)
		if i > 15000 { // long enough to reach the bound in bytes first
			s = strings.Repeat("x", 240) + s
		}
		m, err := ParseMessage(pack(t, 1, "r", s, "c"+s, 1, 1, nil), &names)
		if err != nil || m.Type != s {
			t.Fatalf("%q became %q, %v", s, m.Type, err)
		}
		if len(names.known) > maxNames || names.bytes > maxNameBytes {
			t.Fatalf("%d names with %d bytes", len(names.known), names.bytes)
		}
		if i%100 == 0 {
			bytes := 0
			for k := range names.known {
				bytes += len(k)
			}
			if bytes != names.bytes {
				t.Fatalf("%d bytes are counted as %d", bytes, names.bytes)
			}
		}
	}
	if _, ok := names.known["r"]; !ok {
		t.Error("a name that is in every message is not in the table")
	}
}

// What is parsed does not change with the buffer it came from; only the body
// lives there.
func TestStringsDoNotAlias(t *testing.T) {
	m := tick(t, nil)
	for _, names := range []*Names{nil, new(Names)} {
		p := payload(t, TypeMessage, AppendMessage(nil, &m))
		got, err := ParseMessage(p, names)
		if err != nil {
			t.Fatal(err)
		}
		clear(p)
		if !sameMessage(&got, &m) {
			t.Errorf("after its buffer was cleared the message is %+v", got)
		}
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	m := tick(b, make([]byte, 100))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMessage(buf[:0], &m)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkParseMessage(b *testing.B) {
	m := tick(b, make([]byte, 100))
	p := payload(b, TypeMessage, AppendMessage(nil, &m))
	var names Names
	b.ReportAllocs()
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := ParseMessage(p, &names); err != nil {
			b.Fatal(err)
		}
	}
}
