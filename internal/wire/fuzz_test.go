package wire

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"testing"

	"kozo"
)

// FuzzReader compares the reader, fed in pieces, with a parser that has all
// bytes.
func FuzzReader(f *testing.F) {
	ping := AppendPing(nil, Ping{ID: 1, Wall: 2})
	f.Add(ping, uint64(1), uint16(100))
	f.Add(AppendFrame(ping, FirstUnassigned+5, make([]byte, 200)), uint64(2), uint16(100))
	f.Add([]byte("\xff\xff\xff\xff\x0f\x02"), uint64(3), uint16(60000))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64, maxFrame uint16) {
		want, wantErr := parseAll(b, uint64(max(maxFrame, 1)))
		r := NewReader(&pieces{b, rand.New(rand.NewPCG(seed, 2))}, int(maxFrame))
		got, err := readAll(r)
		if err != wantErr || !equalFrames(got, want) {
			t.Fatalf("%d frames, %v; want %d, %v", len(got), err, len(want), wantErr)
		}
		if len(r.buf) > max(busyBuffer, 4*len(b)) {
			t.Fatalf("the buffer has %d bytes for %d", len(r.buf), len(b))
		}
		if err == io.EOF && r.Buffered() {
			t.Fatal("something is left after the end")
		}
	})
}

// FuzzMessage: what parses survives being sent on.
func FuzzMessage(f *testing.F) {
	m := tick(f, map[string]any{"a": []any{1, 2.5, "three", nil, true, []byte{4}}})
	m.Channel = "kitchen"
	f.Add(payload(f, TypeMessage, AppendMessage(nil, &m)))
	f.Add(pack(f, 3, "r", "", "", nil, 1, nil, "new"))
	f.Add(pack(f, 1, "r", "t", "", -1, 1, "\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		var names Names
		m, err := ParseMessage(p, &names)
		head, headErr := names.Head(p)
		if err == nil && (headErr != nil || !bytes.HasPrefix(p, head)) {
			t.Fatalf("the head is %x, %v", head, headErr)
		}
		// What is known from the message before changes nothing.
		again, err2 := ParseMessage(p, &names)
		alone, err3 := ParseMessage(p, nil)
		if !sameMessage(&again, &alone) || (err2 == nil) != (err3 == nil) || (err == nil) != (err3 == nil) {
			t.Fatalf("%+v, %v, %v; alone %+v, %v", again, err, err2, alone, err3)
		}
		if err != nil {
			return
		}
		if err := m.Check(); err != nil {
			t.Fatalf("a message that parses cannot be sent: %v", err)
		}
		if _, err := m.Body.Value(); err != nil {
			t.Fatalf("the body has no value: %v", err)
		}
		b := AppendMessage(nil, &m)
		if got, err := ParseMessage(payload(t, TypeMessage, b), &names); err != nil || !sameMessage(&got, &m) {
			t.Fatalf("%+v became %+v, %v", m, got, err)
		}
	})
}

// FuzzHello: what parses survives being sent on. The frames of both sides that
// hold filters are of the same parser.
func FuzzHello(f *testing.F) {
	h := Hello{
		Version: 1, Program: "kozo 0.1.0", Boot: Boot{1}, Sent: 5, KnownBoot: Boot{2}, Seen: 3,
		Digest:   Digest{15: 7},
		Interest: []kozo.Filter{{Kind: kozo.Event, Type: "tick"}, {Role: "timer1", Node: "clock"}},
	}
	f.Add(payload(f, TypeHello, AppendHello(nil, &h)))
	f.Add(payload(f, TypeHello, AppendHello(nil, &Hello{Version: 9, Boot: Boot{1}})))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := ParseHello(p)
		if err != nil {
			return
		}
		got, err := ParseHello(payload(t, TypeHello, AppendHello(nil, &h)))
		if err != nil || !sameHello(&got, &h) {
			t.Fatalf("%+v became %+v, %v", h, got, err)
		}
	})
}

// FuzzControl: the small frames.
func FuzzControl(f *testing.F) {
	f.Add(pack(f, 1, 2, 3, 4))
	f.Add(pack(f, "bye"))
	f.Add(pack(f, []any{[]any{1, "t", "c", "r", "n"}}))
	f.Add(pack(f, map[string]any{"heartbeat": "1a2b", "system.clock": "3c4d"}))
	f.Fuzz(func(t *testing.T, p []byte) {
		if v, err := ParsePing(p); err == nil {
			again(t, v, payload(t, TypePing, AppendPing(nil, v)), ParsePing)
		}
		if v, err := ParsePong(p); err == nil {
			again(t, v, payload(t, TypePong, AppendPong(nil, v)), ParsePong)
		}
		if v, err := ParseAck(p); err == nil {
			again(t, v, payload(t, TypeAck, AppendAck(nil, v)), ParseAck)
		}
		if v, err := ParseBye(p); err == nil {
			again(t, v, payload(t, TypeBye, AppendBye(nil, v)), ParseBye)
		}
		if v, err := ParseInterest(p); err == nil {
			b := AppendInterest(nil, v)
			w, err := ParseInterest(payload(t, TypeInterest, b))
			if err != nil || !bytes.Equal(b, AppendInterest(nil, w)) {
				t.Fatalf("%v became %v, %v", v, w, err)
			}
		}
		if v, err := ParseBlocks(p); err == nil {
			w, err := ParseBlocks(payload(t, TypeBlocks, AppendBlocks(nil, v)))
			if err != nil || !maps.Equal(v, w) {
				t.Fatalf("%v became %v, %v", v, w, err)
			}
		}
	})
}

func again[T comparable](t *testing.T, v T, p []byte, parse func([]byte) (T, error)) {
	t.Helper()
	if got, err := parse(p); err != nil || got != v {
		t.Fatalf("%+v became %+v, %v", v, got, err)
	}
}
