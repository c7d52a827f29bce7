package link

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/wire"
)

// sharedConn is a connection that goes on when a stream on it ends: closing it
// only notes the reason.
type sharedConn struct{ closed atomic.Value }

func (c *sharedConn) Close(reason error) { c.closed.CompareAndSwap(nil, reason) }

func helloOf(boot byte, sent uint64) []byte {
	return wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{boot}, Sent: sent})
}

// manyFilters make a frame that is larger than what a line holds in memory.
func manyFilters() []kozo.Filter {
	filters := make([]kozo.Filter, wire.MaxFilters)
	for i := range filters {
		filters[i] = kozo.Filter{Type: strings.Repeat("x", 100)}
	}
	return filters
}

func TestReceiverStopsInTimeThoughThePeerReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var filters atomic.Pointer[[]kozo.Filter]
		filters.Store(new([]kozo.Filter))
		cfg := newInbound(&mailbox{}).cfg
		cfg.Interest = func() []kozo.Filter { return *filters.Load() }
		in := NewInbound(cfg)
		near, other := memnet.Pipe()
		f := newFar(t, other)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = in.Serve(ctx, near, &fakeConn{near}, false) }()
		f.write(helloOf(1, 0))
		f.hello()
		many := manyFilters()
		filters.Store(&many)
		in.Refresh()
		synctest.Wait() // it is in the write now
		begun := time.Now()
		cancel()
		in.Wait()
		if took := time.Since(begun); took > byeTimeout {
			t.Errorf("it took %v to stop", took)
		}
	})
}

func TestStreamThatIsReplacedDoesNotEndASharedConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbound(&mailbox{})
		conn := &sharedConn{}
		serve := func() *far {
			near, other := memnet.Pipe()
			// The peer is far away: it hears late that the stream was closed.
			near.(*memnet.Conn).Shape(memnet.Conditions{Latency: 2 * time.Second})
			ctx, cancel := context.WithCancel(t.Context())
			var serving sync.WaitGroup
			serving.Go(func() { _ = in.Serve(ctx, halfClosed{near.(*memnet.Conn)}, conn, true) })
			t.Cleanup(func() {
				cancel()
				_ = near.Close()
				serving.Wait()
			})
			return newFar(t, other)
		}
		old := serve()
		old.write(helloOf(1, 0))
		old.hello()
		next := serve()
		next.write(helloOf(1, 0))
		next.hello()
		old.write(wire.AppendPing(nil, wire.Ping{ID: 1})) // it was on its way
		time.Sleep(time.Minute)
		if reason := conn.closed.Load(); reason != nil {
			t.Errorf("the connection was closed: %v", reason)
		}
	})
}

// halfClosed is a stream whose Close ends writing, and not reading before the
// peer has closed it too, as that of an SSH channel.
type halfClosed struct{ *memnet.Conn }

func (s halfClosed) Close() error { return s.CloseWrite() }

func TestInterestThatChangesDuringTheHelloIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var wanted atomic.Int32
		cfg := newInbound(&mailbox{}).cfg
		var in *Inbound
		cfg.Interest = func() []kozo.Filter {
			all := make([]kozo.Filter, wanted.Load())
			if wanted.CompareAndSwap(0, 1) { // right after it was read
				in.Refresh()
			}
			return all
		}
		in = NewInbound(cfg)
		f, _ := served(t, in)
		f.write(helloOf(1, 0))
		if h := f.hello(); len(h.Interest) == 1 {
			return
		}
		filters, err := wire.ParseInterest(f.want(wire.TypeInterest, wire.TypeAck))
		if err != nil || len(filters) != 1 {
			t.Errorf("%v, %v", filters, err)
		}
	})
}
