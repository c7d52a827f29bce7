package node_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"kozo"
	"kozo/internal/link"
	"kozo/internal/memnet"
	"kozo/internal/queue"
	"kozo/internal/rolehost"
	"kozo/internal/router"
	"kozo/internal/wire"
)

// allocations are how many times memory may be allocated for a message on each
// part of its way. Whoever makes a part do with less lowers its bound: what has
// been won is not to be lost again unnoticed. Parts that work off many messages
// together need a fraction of an allocation for each.
var allocations = []struct {
	part    string
	size    int     // of the content, in bytes
	most    float64 // allocations a message
	measure func(t *testing.T, size int) float64
}{
	{"from role to role, both nodes", 256, 0.2, wholePath},
	{"from role to role, both nodes", 4 << 10, 1.5, wholePath},
	{"role, router and outbox, peer away", 256, 0.01, toTheOutbox},
	{"link, from outbox to delivery", 256, 0.1, overTheLink},
	{"router and inbox, from delivery to role", 256, 0.01, toTheRole},
	{"codec, both ways", 256, 0.01, codec},
}

// TestAllocations is the check that make allocs runs.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, a := range allocations {
		// What happens beside, as a heartbeat, is not the message's: the best of
		// a few attempts counts.
		best := a.measure(t, a.size)
		for range 4 {
			if best > a.most {
				best = min(best, a.measure(t, a.size))
			}
		}
		t.Logf("%s, %d bytes: %.3f allocations a message, at most %v", a.part, a.size, best, a.most)
		if best > a.most {
			t.Errorf("%s: %.3f allocations for each message of %d bytes, and there may be %v; go test -bench . -benchmem -memprofile there shows where",
				a.part, best, a.size, a.most)
		}
	}
}

// allocated returns how many allocations this process makes while f runs, for
// each of n messages.
func allocated(n int, f func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// wholePath floods one node from another, over sockets.
func wholePath(t *testing.T, size int) float64 {
	place := newSockets(t)
	place.direct = true
	w := newWorld(t, place, "outgoingQueueLength: 100000\noutgoingQueueSize: 256MiB",
		spec{name: "a", roles: map[string]string{"source": ""}},
		spec{name: "b", roles: map[string]string{"counter": "messageQueueLength: 100000, messageQueueSize: 256MiB"}})
	defer w.stopAll()
	w.until("the link", func() bool { return w.up("a", "b") })
	env := w.envs[ref("source", "a")]
	m := event(t, size)
	const ahead = 10_000
	flood := func(n int) {
		until := w.counted.Load() + int64(n)
		for i := range n {
			for until-int64(n-i)-w.counted.Load() > ahead { // nothing is to be dropped
				time.Sleep(50 * time.Microsecond)
			}
			if err := env.Send(m); err != nil {
				t.Fatal(err)
			}
		}
		w.until("all messages", func() bool { return w.counted.Load() == until })
	}
	flood(10_000) // buffers grow
	const n = 30_000
	return allocated(n, func() { flood(n) })
}

func event(t *testing.T, size int) kozo.Message {
	t.Helper()
	m, err := kozo.NewEvent("flood", make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var everything = []kozo.Filter{{}}

// toTheOutbox sends to a peer that is away, whose outbox is full.
func toTheOutbox(t *testing.T, size int) float64 {
	out := router.New(wire.AppendHead)
	out.SetPeer("b", link.New(link.Config{
		Peer: "b", Policy: kozo.Constant, QueueLength: 1000, QueueSize: 1 << 20, QueueAge: time.Hour, Log: slog.New(slog.DiscardHandler),
	}), everything)
	s := rolehost.Sender{From: ref("source", "a"), Out: out.Outlet().Send}
	m := event(t, size)
	send := func(n int) {
		for range n {
			if err := s.Send(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	send(2000)
	return allocated(10_000, func() { send(10_000) })
}

// overTheLink carries messages from one link's outbox to where the other side
// gives them away, over a pipe.
func overTheLink(t *testing.T, size int) float64 {
	ctx, cancel := context.WithCancel(t.Context())
	log := slog.New(slog.DiscardHandler)
	var got atomic.Int64
	in := link.NewInbound(link.InboundConfig{
		Peer: "a", Boot: wire.Boot{2}, Heartbeat: time.Hour, MaxFrame: 1 << 20, Interest: func() []kozo.Filter { return everything }, Log: log,
		Deliver: func(m ...kozo.Message) bool { got.Add(int64(len(m))); return true }, OnHello: func(*wire.Hello) {},
	})
	out := link.New(link.Config{
		Peer: "b", Policy: kozo.Constant, Boot: wire.Boot{1}, Heartbeat: time.Hour, Retry: time.Second, MaxFrame: 1 << 20, Log: log,
		QueueLength: 100_000, QueueSize: 256 << 20, QueueAge: time.Hour,
		OnInterest: func([]kozo.Filter) {}, OnHello: func(*wire.Hello) {}, Ride: func() link.Conn { return nil },
		Targets: []link.Target{{Timeout: time.Second, Dial: func(_ context.Context, _ func()) (link.Conn, error) { return piped{ctx, in}, nil }}},
	})
	done := make(chan struct{})
	go func() {
		_ = out.Run(ctx)
		close(done)
	}()
	defer func() {
		cancel()
		<-done
		in.Wait()
	}()
	m := event(t, size)
	m.From.Role, m.Time = "source", time.Now()
	frame := wire.AppendMessage(nil, &m)
	carry := func(n int) {
		until := got.Load() + int64(n)
		now := time.Now()
		for range n {
			out.Offer(frame, nil, now)
		}
		for got.Load() < until {
			runtime.Gosched()
		}
	}
	carry(20_000)
	return allocated(20_000, func() { carry(20_000) })
}

// piped is a connection whose streams lead to the receiving half of a link.
type piped struct {
	ctx context.Context
	in  *link.Inbound
}

func (p piped) Open(context.Context) (io.ReadWriteCloser, error) {
	near, far := memnet.Pipe()
	go func() { _ = p.in.Serve(p.ctx, far, link.Line{Conn: p}) }() // ends with the other side
	return near, nil
}

func (piped) Close(error) {}

// toTheRole gives messages of a peer to a role that takes them.
func toTheRole(t *testing.T, size int) float64 {
	r := router.New(wire.AppendHead)
	inbox := queue.NewInbox(1000, 1<<20, router.Size)
	r.SetLocal("sink", local{inbox}, everything)
	messages := make([]kozo.Message, 64)
	for i := range messages {
		messages[i] = event(t, size)
	}
	deliver := func(times int) {
		for range times {
			if !r.Deliver(messages...) {
				t.Fatal("nobody wants it")
			}
			for range messages {
				if _, ok := inbox.TryTake(); !ok {
					t.Fatal("it did not arrive")
				}
			}
		}
	}
	deliver(20)
	return allocated(200*len(messages), func() { deliver(200) })
}

type local struct{ *queue.Inbox[kozo.Message] }

func codec(t *testing.T, size int) float64 {
	m := event(t, size)
	m.From.Role, m.Time = "source", time.Now()
	var names wire.Names
	var parsed kozo.Message
	head := len(wire.AppendMessage(nil, &m))
	b := make([]byte, 0, head)
	r := wire.NewReader(repeated{wire.AppendMessage(nil, &m)}, 1<<20)
	work := func(n int) {
		for range n {
			b = wire.AppendMessage(b[:0], &m)
			_, payload, err := r.Next()
			if err == nil {
				err = names.Parse(&parsed, payload)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	work(1000)
	return allocated(10_000, func() { work(10_000) })
}

// repeated reads the same bytes over and over, one time a read.
type repeated struct{ b []byte }

func (r repeated) Read(p []byte) (int, error) { return copy(p, r.b), nil }
