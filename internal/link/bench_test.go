package link

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/wire"
)

// BenchmarkLink carries messages from the outbox of a link to where the other
// node gives them to its roles, over a pipe without encryption.
func BenchmarkLink(b *testing.B) {
	for _, size := range []int{64, 256, 4 << 10} {
		b.Run(fmt.Sprint("bytes=", size), func(b *testing.B) {
			var got atomic.Int64
			l := benchLink(b, func(m ...kozo.Message) bool { got.Add(int64(len(m))); return true })
			m, err := kozo.NewEvent("flood", make([]byte, size))
			if err != nil {
				b.Fatal(err)
			}
			m.From.Role, m.Time = "flood", time.Now()
			frame := wire.AppendMessage(nil, &m)
			b.ReportAllocs()
			b.SetBytes(int64(len(frame)))
			b.ResetTimer()
			for i := range b.N {
				for int64(i)-got.Load() > benchAhead {
					runtime.Gosched()
				}
				l.Offer(frame, nil, m.Time)
			}
			for got.Load() < int64(b.N) {
				runtime.Gosched()
			}
		})
	}
}

const benchAhead = 4096

// benchLink runs a link, and the receiving half of another one that gives away
// what arrives.
func benchLink(b *testing.B, deliver func(...kozo.Message) bool) *Link {
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	in := NewInbound(InboundConfig{
		Peer: "a", Boot: wire.Boot{2}, Heartbeat: time.Hour, MaxFrame: 1 << 20, Log: log,
		Interest: func() []kozo.Filter { return nil }, OnHello: func(*wire.Hello) {}, Deliver: deliver,
	})
	l := New(Config{
		Peer: "b", Boot: wire.Boot{1}, Policy: kozo.Constant, Heartbeat: time.Hour, Retry: time.Second, MaxFrame: 1 << 20, Log: log,
		QueueLength: 2 * benchAhead, QueueSize: 256 << 20, QueueAge: time.Hour,
		OnInterest: func([]kozo.Filter) {}, OnHello: func(*wire.Hello) {}, Ride: func() Conn { return nil },
		Targets: []Target{{Timeout: time.Second, Dial: func(_ context.Context, _ func()) (Conn, error) { return benchConn{ctx, in}, nil }}},
	})
	done := make(chan struct{})
	go func() {
		_ = l.Run(ctx)
		close(done)
	}()
	b.Cleanup(func() {
		cancel()
		<-done
		in.Wait()
	})
	return l
}

// benchConn is a connection whose streams lead to the receiving half.
type benchConn struct {
	ctx context.Context
	in  *Inbound
}

func (c benchConn) Open(context.Context) (io.ReadWriteCloser, error) {
	near, far := memnet.Pipe()
	go func() { _ = c.in.Serve(c.ctx, far, Line{Conn: c}) }() // ends with the other side
	return near, nil
}

func (benchConn) Close(error) {}
