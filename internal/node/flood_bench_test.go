package node_test

import (
	"testing"
	"time"

	"kozo"
)

// BenchmarkFlood sends messages of 256 bytes from a role of one node to a role
// of another, both in this process, over loopback. The sender waits when it is
// too far ahead, so that nothing is dropped.
func BenchmarkFlood(b *testing.B) {
	place := newSockets(b)
	place.direct = true
	w := newWorld(b, place, "outgoingQueueLength: 100000\noutgoingQueueSize: 64MiB",
		spec{name: "a", roles: map[string]string{"source": ""}},
		spec{name: "b", roles: map[string]string{"counter": "messageQueueLength: 100000, messageQueueSize: 64MiB"}})
	w.until("the link", func() bool { return w.up("a", "b") })
	env := w.envs[ref("source", "a")]
	m, err := kozo.NewEvent("flood", make([]byte, 256))
	if err != nil {
		b.Fatal(err)
	}
	const ahead = 20_000
	b.ReportAllocs()
	b.ResetTimer()
	start := w.counted.Load()
	for i := range b.N {
		for int64(i)-(w.counted.Load()-start) > ahead {
			time.Sleep(50 * time.Microsecond)
		}
		if err := env.Send(m); err != nil {
			b.Fatal(err)
		}
	}
	for w.counted.Load()-start < int64(b.N) {
		time.Sleep(50 * time.Microsecond)
	}
}
