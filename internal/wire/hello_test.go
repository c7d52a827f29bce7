package wire

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"kozo"
)

func sameHello(a, b *Hello) bool {
	return a.Version == b.Version && a.Program == b.Program && a.Boot == b.Boot && a.Sent == b.Sent && a.Stream == b.Stream &&
		a.KnownBoot == b.KnownBoot && a.Seen == b.Seen && a.Digest == b.Digest &&
		slices.Equal(a.Interest, b.Interest)
}

func drawFilters(t *rapid.T) []kozo.Filter {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kozo.Filter {
		return kozo.Filter{
			Kind:    kozo.Kind(rapid.IntRange(0, 3).Draw(t, "kind")),
			Type:    rapid.StringN(0, -1, kozo.MaxField).Draw(t, "type"),
			Channel: rapid.StringN(0, -1, kozo.MaxField).Draw(t, "channel"),
			Role:    kozo.RoleName(rapid.StringN(0, -1, kozo.MaxName).Draw(t, "role")),
			Node:    kozo.NodeName(rapid.StringN(0, -1, kozo.MaxName).Draw(t, "node")),
		}
	}), 0, 20).Draw(t, "filters")
}

func TestHelloRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Hello{
			Version:  rapid.Uint64Min(1).Draw(t, "version"),
			Program:  rapid.StringN(0, -1, MaxProgram).Draw(t, "program"),
			Boot:     Boot{1, rapid.Byte().Draw(t, "boot")},
			Sent:     rapid.Uint64().Draw(t, "sent"),
			Stream:   rapid.Uint64().Draw(t, "stream"),
			Seen:     rapid.Uint64().Draw(t, "seen"),
			Digest:   Digest{15: rapid.Byte().Draw(t, "digest")},
			Interest: drawFilters(t),
		}
		h.KnownBoot[15] = rapid.Byte().Draw(t, "known boot")
		b := AppendHello(nil, &h)
		r := NewReader(strings.NewReader(string(b)), len(b))
		typ, p, err := r.Next()
		if typ != TypeHello || err != nil || r.Buffered() {
			t.Fatalf("%v, %v", typ, err)
		}
		if got, err := ParseHello(p); err != nil || !sameHello(&got, &h) {
			t.Fatalf("%+v became %+v, %v", h, got, err)
		}
		filters, err := ParseInterest(AppendInterest(nil, h.Interest)[lengthOf(AppendInterest(nil, h.Interest))+1:])
		if err != nil || !slices.Equal(filters, h.Interest) {
			t.Fatalf("%v became %v, %v", h.Interest, filters, err)
		}
	})
}

// lengthOf returns how many bytes the length of a frame has.
func lengthOf(frame []byte) int {
	n := 1
	for frame[n-1] >= 0x80 {
		n++
	}
	return n
}

// What the bounds do not allow is left out so that the peer is told the truth.
func TestHelloKeepsToItsBounds(t *testing.T) {
	h := Hello{
		Version: 1, Boot: Boot{1}, Program: "kozo \xff " + strings.Repeat("構", 300),
		Interest: make([]kozo.Filter, MaxFilters+1),
	}
	for i := range h.Interest {
		h.Interest[i].Type = fmt.Sprint(i)
	}
	got, err := ParseHello(payload(t, TypeHello, AppendHello(nil, &h)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Interest, []kozo.Filter{{}}) {
		t.Errorf("%d filters became %v; only one for everything is true", len(h.Interest), got.Interest)
	}
	if len(got.Program) > MaxProgram || !strings.HasPrefix(got.Program, "kozo \uFFFD 構構") {
		t.Errorf("the program is %q", got.Program)
	}
	filters, err := ParseInterest(payload(t, TypeInterest, AppendInterest(nil, h.Interest)))
	if err != nil || !slices.Equal(filters, []kozo.Filter{{}}) {
		t.Errorf("%v, %v", filters, err)
	}
}

func TestHelloErrors(t *testing.T) {
	boot, none := make([]byte, 16), make([]byte, 16)
	boot[0] = 1
	everything := []any{0, "", "", "", ""}
	tooMany := make([]any, MaxFilters+1)
	for i := range tooMany {
		tooMany[i] = everything
	}
	for _, test := range []struct {
		name    string
		payload []byte
		want    error
		part    string
	}{
		{"empty", nil, ErrShort, "version"},
		{"8 fields", pack(t, 1, "p", boot, 0, 1, none, 0, none), ErrShort, "version"},
		{"version 0", pack(t, 0, "p", boot, 0, 1, none, 0, none, []any{}), ErrRange, "version"},
		{"long program", pack(t, 1, strings.Repeat("p", 256), boot, 0, 1, none, 0, none, []any{}), ErrRange, "program"},
		{"short boot", pack(t, 1, "p", boot[:15], 0, 1, none, 0, none, []any{}), ErrRange, "boot"},
		{"no boot", pack(t, 1, "p", none, 0, 1, none, 0, none, []any{}), ErrRange, "boot"},
		{"boot of text", pack(t, 1, "p", string(boot), 0, 1, none, 0, none, []any{}), ErrValue, "boot"},
		{"sent -1", pack(t, 1, "p", boot, -1, 1, none, 0, none, []any{}), ErrRange, "sent"},
		{"stream as text", pack(t, 1, "p", boot, 0, "1", none, 0, none, []any{}), ErrValue, "stream"},
		{"known boot of nil", pack(t, 1, "p", boot, 0, 1, nil, 0, none, []any{}), ErrValue, "known boot"},
		{"seen as text", pack(t, 1, "p", boot, 0, 1, none, "0", none, []any{}), ErrValue, "seen"},
		{"short digest", pack(t, 1, "p", boot, 0, 1, none, 0, none[:15], []any{}), ErrRange, "digest"},
		{"digest of text", pack(t, 1, "p", boot, 0, 1, none, 0, string(none), []any{}), ErrValue, "digest"},
		{"too many filters", pack(t, 1, "p", boot, 0, 1, none, 0, none, tooMany), ErrRange, "interest"},
		{"a filter with 4 fields", pack(t, 1, "p", boot, 0, 1, none, 0, none, []any{everything[:4]}), ErrShort, "interest"},
		{"kind 256", pack(t, 1, "p", boot, 0, 1, none, 0, none, []any{[]any{256, "", "", "", ""}}), ErrRange, "interest"},
		{"long node", pack(t, 1, "p", boot, 0, 1, none, 0, none, []any{[]any{0, "", "", "", strings.Repeat("n", 65)}}), ErrRange, "interest"},
		{"rest", append(pack(t, 1, "p", boot, 0, 1, none, 0, none, []any{}), 0), ErrAfter, "end"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, err := ParseHello(test.payload)
			if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), " "+test.part+": ") {
				t.Errorf("parsed as %+v, %v; want %v in %s", h, err, test.want, test.part)
			}
		})
	}
	// Of a later version: more fields, in the filters too, and another kind.
	h, err := ParseHello(pack(t, 7, "p", boot, 0, 1, none, 0, none,
		[]any{[]any{9, "t", "", "", "", "new"}}, "new", []any{1}))
	if err != nil || h.Version != 7 || len(h.Interest) != 1 || h.Interest[0].Match(&kozo.Message{Kind: kozo.Event, Type: "t"}) {
		t.Errorf("%+v, %v", h, err)
	}
}

// The memory for a hello is a small multiple of its length, whatever is in it.
func TestHelloMemory(t *testing.T) {
	boot := make([]byte, 16)
	boot[0] = 1
	filters := make([]any, MaxFilters)
	for i := range filters {
		filters[i] = []any{0, "", "", "", ""}
	}
	for name, p := range map[string][]byte{
		"filters":      pack(t, 1, "p", boot, 0, boot, 0, boot, filters),
		"huge filters": pack(t, 1, "p", boot, 0, boot, 0, boot, msgp.Raw("\xdd\xff\xff\xff\xff")),
		"cut filters":  pack(t, 1, "p", boot, 0, boot, 0, boot, msgp.Raw("\xdc\x10\x00"+strings.Repeat("\xc0", MaxFilters))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = ParseHello(p)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 40*uint64(len(p))+4096 {
			t.Errorf("%s: %d bytes for a hello of %d", name, used, len(p))
		}
	}
}

func TestControlRoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := rapid.Uint64()
		ping := Ping{ID: u.Draw(t, "id"), Wall: rapid.Int64().Draw(t, "wall")}
		b := AppendPing(nil, ping)
		if got, err := ParsePing(b[2:]); err != nil || got != ping || int(b[0]) != len(b)-1 || Type(b[1]) != TypePing {
			t.Fatalf("%+v became %+v, %v", ping, got, err)
		}
		pong := Pong{ID: ping.ID, Wall: ping.Wall, Seen: u.Draw(t, "seen")}
		b = AppendPong(nil, pong)
		if got, err := ParsePong(b[2:]); err != nil || got != pong || int(b[0]) != len(b)-1 || Type(b[1]) != TypePong {
			t.Fatalf("%+v became %+v, %v", pong, got, err)
		}
		ack := Ack{Seen: pong.Seen}
		b = AppendAck(nil, ack)
		if got, err := ParseAck(b[2:]); err != nil || got != ack || int(b[0]) != len(b)-1 || Type(b[1]) != TypeAck {
			t.Fatalf("%+v became %+v, %v", ack, got, err)
		}
		reason := rapid.StringN(0, -1, MaxReason).Draw(t, "reason")
		b = AppendBye(nil, reason)
		if got, err := ParseBye(b[lengthOf(b)+1:]); err != nil || got != reason {
			t.Fatalf("%q became %q, %v", reason, got, err)
		}
	})
}

func TestControlErrors(t *testing.T) {
	parsers := map[string]func([]byte) error{
		"ping":     func(p []byte) error { _, err := ParsePing(p); return err },
		"pong":     func(p []byte) error { _, err := ParsePong(p); return err },
		"ack":      func(p []byte) error { _, err := ParseAck(p); return err },
		"bye":      func(p []byte) error { _, err := ParseBye(p); return err },
		"interest": func(p []byte) error { _, err := ParseInterest(p); return err },
	}
	good := map[string][]any{
		"ping": {1, 2}, "pong": {1, 2, 3}, "ack": {1}, "bye": {"x"}, "interest": {[]any{}},
	}
	for name, parse := range parsers {
		fields := good[name]
		if err := parse(pack(t, fields...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := parse(pack(t, append(slices.Clone(fields), "new", nil)...)); err != nil {
			t.Errorf("%s of a later version: %v", name, err)
		}
		for what, test := range map[string]struct {
			payload []byte
			want    error
		}{
			"empty":     {nil, ErrShort},
			"few":       {pack(t, fields[1:]...), ErrShort},
			"bool":      {pack(t, append([]any{true}, fields[1:]...)...), ErrValue},
			"rest":      {append(pack(t, fields...), 1), ErrAfter},
			"bad extra": {pack(t, append(slices.Clone(fields), msgp.Raw{0xc1})...), ErrValue},
		} {
			if err := parse(test.payload); !errors.Is(err, test.want) {
				t.Errorf("%s, %s: %v; want %v", name, what, err, test.want)
			}
		}
	}
	if _, err := ParseBye(pack(t, strings.Repeat("x", MaxReason+1))); !errors.Is(err, ErrRange) {
		t.Errorf("a long reason: %v", err)
	}
	reason, err := ParseBye(payload(t, TypeBye, AppendBye(nil, "\xff"+strings.Repeat("ō", 300))))
	if err != nil || len(reason) > MaxReason || !strings.HasPrefix(reason, "\uFFFDōō") {
		t.Errorf("%q, %v", reason, err)
	}
}
