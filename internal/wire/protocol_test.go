package wire

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"kozo"
)

// TestProtocolPage compares the example of docs/protocol.md with what this
// package writes and reads.
func TestProtocolPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	octets := regexp.MustCompile(`^[0-9a-f]{2}( [0-9a-f]{2})*( |$)`)
	var blocks [][]byte
	for i, block := range strings.Split(string(page), "```hex\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		var b []byte
		for line := range strings.Lines(block) {
			text := strings.ReplaceAll(octets.FindString(strings.TrimSpace(line)), " ", "")
			octets, err := hex.DecodeString(text)
			if err != nil || len(octets) == 0 {
				t.Fatalf("block %d: %q does not begin with bytes", i, line)
			}
			b = append(b, octets...)
		}
		blocks = append(blocks, b)
	}

	var clock, scribe Boot
	for i := range clock {
		clock[i], scribe[i] = byte(0x10+i), byte(0xa0+i)
	}
	ours := map[string]string{"heartbeat": "9c56cc51b374c3ba"}
	theirs := map[string]string{"heartbeat": "7902699be42c8a8e", "system.scribe": "6b86b273ff34fce1"}
	opener := Hello{Version: Version, Program: "kozo 0.1.0", Boot: clock, Sent: 39, Stream: 3, Digest: DigestOf(ours)}
	ticks := kozo.Filter{Kind: kozo.Event, Type: "tick"}
	accepter := Hello{
		Version: Version, Program: "kozo 0.1.0", Boot: scribe, KnownBoot: clock, Seen: 40, Digest: DigestOf(theirs),
		Interest: []kozo.Filter{ticks, {Kind: kozo.Log, Node: "clock"}},
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m, err := kozo.NewEvent("tick", "hello")
	if err != nil {
		t.Fatal(err)
	}
	m.From.Role, m.Time, m.Seq = "timer1", start, 7
	second := start.Add(time.Second).UnixNano()
	want := [][]byte{
		AppendHello(nil, &opener),
		AppendHello(nil, &accepter),
		AppendBlocks(nil, theirs),
		AppendBlocks(nil, ours),
		AppendMessage(nil, &m),
		AppendPing(nil, Ping{ID: 1, Wall: second}),
		AppendPong(nil, Pong{ID: 1, Wall: second + 2e6, Seen: 41}),
		AppendAck(nil, Ack{Seen: 42}),
		AppendInterest(nil, []kozo.Filter{ticks}),
		AppendFrame(nil, 0x5a, []byte("grease")),
		AppendBye(nil, "the node is stopping"),
	}
	if len(blocks) != len(want) {
		t.Fatalf("the page has %d frames, this test %d", len(blocks), len(want))
	}
	for i := range want {
		if !bytes.Equal(blocks[i], want[i]) {
			t.Errorf("frame %d: the page has\n% x\nthe program writes\n% x", i, blocks[i], want[i])
		}
	}

	// What is on the page reads as it was meant.
	r := NewReader(bytes.NewReader(bytes.Join(blocks, nil)), 1000)
	for i := range want {
		typ, p, err := r.Next()
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		switch typ {
		case TypeHello:
			h, err := ParseHello(p)
			if err != nil || !sameHello(&h, []*Hello{&opener, &accepter}[i]) {
				t.Errorf("frame %d: %+v, %v", i, h, err)
			}
		case TypeMessage:
			if got, err := ParseMessage(p, nil); err != nil || !sameMessage(&got, &m) {
				t.Errorf("frame %d: %+v, %v", i, got, err)
			}
		}
	}
}
