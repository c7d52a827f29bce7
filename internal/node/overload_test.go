package node_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/memnet"
	"kozo/internal/status"
)

// TestOverload sends ten times what the line to one peer carries for half a
// minute, beside a moderate stream to another peer. It measures the memory of the
// process, so no other test runs beside it.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		const (
			line    = 100_000 // bytes a second
			content = 200
			rate    = 10 * line / (content + 40) // messages a second
			length  = 30 * time.Second
			most    = 500 // messages in the outbox
			size    = 256 << 10
		)
		w := newWorld(t, m, fmt.Sprintf("outgoingQueueLength: %d\noutgoingQueueSize: %d", most, size),
			spec{name: "a", roles: map[string]string{"source": ""}},
			spec{name: "slow", roles: map[string]string{"sink": `want: "event:flood"`}},
			spec{name: "other", roles: map[string]string{"sink": `want: "event:probe"`}})
		w.allUp()
		m.net.Shape(m.host("a"), m.host("slow"), memnet.Conditions{Bandwidth: line})
		before := heap()
		body := make([]byte, content)
		const turn = 10 * time.Millisecond
		sent, probes, grown, queued := 0, 0, uint64(0), uint64(0)
		for begun := time.Now(); time.Since(begun) < length; time.Sleep(turn) {
			for range rate * int(turn) / int(time.Second) {
				w.send("a", "flood", body)
				sent++
			}
			w.send("a", "probe", nil)
			probes++
			if probes%100 == 0 {
				l := w.link("a", "slow")
				if l.State != "up" || !l.Out.Balanced() || l.Out.Queued > most {
					t.Fatalf("after %v: %+v", time.Since(begun), l)
				}
				queued = max(queued, l.Out.Queued)
				// What has arrived is kept by the sinks of the test.
				kept := uint64(len(w.received("slow"))+len(w.received("other"))) * (2*content + 400)
				if now := heap(); now > before+kept {
					grown = max(grown, now-before-kept)
				}
			}
		}
		last := uint64(sent + probes - 1) // the sequence number of the last flood; a probe came after it
		w.until("the outbox to be empty", func() bool { l := w.link("a", "slow"); return l.Out.Queued+l.Out.InFlight == 0 })

		slow, arrived := w.link("a", "slow"), w.received("slow")
		if slow.Out.Sent != uint64(sent) || slow.Out.Delivered != uint64(len(arrived)) || !slow.Out.Balanced() ||
			status.Sum(slow.Out.Dropped) != uint64(sent-len(arrived)) || slow.Out.Dropped["queue full"] != uint64(sent-len(arrived)) {
			t.Errorf("%d sent, %d arrived, and the link says %+v", sent, len(arrived), slow.Out)
		}
		if n := len(arrived); n < sent/20 || n > sent/5 {
			t.Errorf("%d of %d arrived, over a line for a tenth of them", n, sent)
		}
		if queued < most/2 {
			t.Errorf("%d messages waited, with room for %d", queued, most)
		}
		// The ring, and what the connection holds in its buffers.
		if bound := uint64(2*size + 8*memnet.Buffer); grown > bound {
			t.Errorf("memory grew by %d bytes, and the queue holds %d", grown, size)
		}
		// Newest messages win: the last ones all arrived, in order.
		tail := arrived[max(0, len(arrived)-most/2):]
		for i, m := range tail {
			if i > 0 && m.Seq <= tail[i-1].Seq {
				t.Fatalf("number %d arrived after number %d", m.Seq, tail[i-1].Seq)
			}
		}
		// A probe takes a number after each turn's messages.
		span := uint64(len(tail)) + uint64(len(tail))/(rate*uint64(turn)/uint64(time.Second)) + 2
		if got := tail[len(tail)-1].Seq; got != last || last-tail[0].Seq > span {
			t.Errorf("the last %d that arrived are numbers %d to %d, and the last one sent is %d", len(tail), tail[0].Seq, got, last)
		}
		other := w.link("a", "other")
		if n := len(w.received("other")); n != probes || other.Out.Delivered != uint64(probes) || len(other.Out.Dropped) != 0 {
			t.Errorf("%d of %d messages to the other peer arrived: %+v", n, probes, other.Out)
		}
	})
}

func heap() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}
