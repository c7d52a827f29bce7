package node_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"kozo/internal/status"
)

// TestAFloodOutlivesCuts floods a node while its connections are cut again and
// again, over sockets: what the queues can hold arrives, once and in order.
func TestAFloodOutlivesCuts(t *testing.T) {
	long := 10 * time.Second
	if testing.Short() {
		long = time.Second
	}
	w := newWorld(t, newSockets(t), "connectionRetry: 1\noutgoingQueueLength: 1000000\noutgoingQueueSize: 256MiB\noutgoingQueueAge: 600",
		spec{name: "a", roles: map[string]string{"source": ""}},
		spec{name: "b", roles: map[string]string{"counter": "messageQueueLength: 1000000, messageQueueSize: 256MiB"}})
	defer w.stopAll()
	w.until("the link", func() bool { return w.up("a", "b") })
	env := w.envs[ref("source", "a")]
	m := event(t, 256)
	const ahead = 100_000
	r := rand.New(rand.NewPCG(1, 5))
	begun, sent := time.Now(), int64(0)
	for next := begun; time.Since(begun) < long; {
		if time.Now().After(next) {
			w.place.cut("a", "b")
			next = time.Now().Add(time.Duration(r.IntN(500)) * time.Millisecond)
		}
		if sent-w.counted.Load() > ahead {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		if err := env.Send(m); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	w.until("all messages", func() bool { return w.link("a", "b").Out.Delivered == uint64(sent) && w.counted.Load() >= sent })
	l := w.link("a", "b")
	if status.Sum(l.Out.Dropped) > 0 || w.counted.Load() != sent || w.astray.Load() > 0 {
		t.Errorf("%d were sent and %d came, %d not after the one before: %+v", sent, w.counted.Load(), w.astray.Load(), l.Out)
	}
	t.Logf("%d were sent over %d connections", sent, l.Connects)
	if int(l.Connects) < int(long/time.Second) {
		t.Errorf("it was cut only %d times", l.Connects-1)
	}
}
