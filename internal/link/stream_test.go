package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
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
type sharedConn struct{ closed atomic.Pointer[error] }

func (c *sharedConn) Close(reason error) { c.closed.CompareAndSwap(nil, &reason) }

// peersConn is a connection on which streams can be opened that end in a test.
type peersConn struct {
	sharedConn
	t    *testing.T
	fars chan<- *far
}

func (c *peersConn) Open(ctx context.Context) (io.ReadWriteCloser, error) {
	near, other := memnet.Pipe()
	select {
	case c.fars <- newFar(c.t, other):
		return near, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func helloOf(boot byte, sent uint64) []byte {
	return wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{boot}, Sent: sent})
}

// opening is the hello of an opener.
func opening(boot byte, stream, sent uint64) []byte {
	return wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{boot}, Stream: stream, Sent: sent})
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
		go func() { _ = in.Serve(ctx, near, Line{Conn: &fakeConn{near}}) }()
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
			serving.Go(func() { _ = in.Serve(ctx, halfClosed{near.(*memnet.Conn)}, Line{Conn: conn, Shared: true}) })
			t.Cleanup(func() {
				cancel()
				_ = near.Close()
				serving.Wait()
			})
			return newFar(t, other)
		}
		old := serve()
		old.write(opening(1, 1, 0))
		old.hello()
		next := serve()
		next.write(opening(1, 2, 0))
		next.hello()
		old.write(wire.AppendPing(nil, wire.Ping{ID: 1})) // it was on its way
		time.Sleep(time.Minute)
		if reason := conn.closed.Load(); reason != nil {
			t.Errorf("the connection was closed: %v", *reason)
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
		_ = f.conn.SetReadDeadline(time.Now().Add(time.Minute))
		filters, err := wire.ParseInterest(f.want(wire.TypeInterest, wire.TypeAck))
		if err != nil || len(filters) != 1 {
			t.Errorf("%v, %v", filters, err)
		}
	})
}

// twoWays runs a link with a target that is better than the one of dialled, and
// that can be reached only once the test says so.
func twoWays(t *testing.T, change func(*Config)) (l *Link, worse, better <-chan *far, open *atomic.Bool) {
	open = &atomic.Bool{}
	fast := make(chan *far, 16)
	l, worse = dialled(t, func(cfg *Config) {
		cfg.Targets[0].Rank = 1
		cfg.Targets = append([]Target{{
			Transport: "fast", Endpoint: "b:2", Timeout: 10 * time.Second,
			Dial: func(_ context.Context, _ func()) (Conn, error) {
				if !open.Load() {
					return nil, errors.New("cannot be reached")
				}
				near, other := memnet.Pipe()
				fast <- newFar(t, other)
				return &fakeConn{near}, nil
			},
		}}, cfg.Targets...)
		change(cfg)
	})
	return l, worse, fast, open
}

func TestTheOldConnectionIsKeptAliveWhileABetterOneIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, worse, better, open := twoWays(t, func(cfg *Config) { cfg.Heartbeat = time.Second })
		f := <-worse
		f.hello()
		f.write(helloOf(2, 0))
		open.Store(true)
		begun := time.Now()
		for last := begun; time.Since(begun) < 5*time.Minute; last = time.Now() {
			f.want(wire.TypePing)
			if silence := time.Since(last); silence > 2*time.Second {
				t.Fatalf("a silence of %v, %v after the better way opened", silence, time.Since(begun))
			}
		}
		if len(better) == 0 { // it was accepted there, and said hello to in vain
			t.Error("the better way was not tried")
		}
		if s := snapshot(l); s.State != stateUp || s.Connects != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestALinkThatRidesDoesNotWaitForAKickWhileItsPeerIsConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fars := make(chan *far)
		l, _ := dialled(t, func(cfg *Config) {
			cfg.Targets = nil
			cfg.Ride = func() Conn { return &peersConn{t: t, fars: fars} }
		})
		begun := time.Now()
		for range 3 { // streams that end at once; the connection of the peer stays
			_ = (<-fars).conn.Close()
		}
		f := <-fars
		f.hello()
		f.write(helloOf(2, 0))
		f.want(wire.TypePing)
		if took := time.Since(begun); took > 10*time.Second || !isUp(l) {
			t.Errorf("up: %v, after %v", isUp(l), took)
		}
		_ = f.conn.Close()
	})
}

func TestTheConnectionToAnEarlierRunOfThePeerEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, nil)
		f := <-fars
		f.hello()
		f.write(helloOf(2, 0))
		f.want(wire.TypePing)
		time.Sleep(time.Minute) // it lasted; then the peer loses power and comes back
		l.Arrived(wire.Boot{2}) // the run that the link knows
		synctest.Wait()
		if !isUp(l) {
			t.Fatal("the link did not outlive a stream of the same run")
		}
		begun := time.Now()
		l.Arrived(wire.Boot{3})
		f = <-fars
		f.hello()
		f.write(helloOf(3, 0))
		synctest.Wait()
		if took := time.Since(begun); took > 0 || !isUp(l) {
			t.Errorf("up: %v, after %v", isUp(l), took)
		}
	})
}

func TestALinkThatComesAndGoesDoesNotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l, fars := dialled(t, func(cfg *Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		for begun := time.Now(); time.Since(begun) < 24*time.Hour; {
			f := <-fars
			f.hello()
			f.write(helloOf(2, 0))
			f.want(wire.TypePing)
			_ = f.conn.Close()
		}
		synctest.Wait()
		if n := bytes.Count(log.Bytes(), []byte("\n")); n > 40 || l.state.connects < 1000 {
			t.Errorf("%d lines for %d connections", n, l.state.connects)
		}
		f := <-fars
		f.hello()
		f.write(helloOf(2, 0))
		for begun := time.Now(); time.Since(begun) < steady; {
			f.want(wire.TypePing)
		}
		log.Reset()
		_ = f.conn.Close()
		synctest.Wait()
		if !strings.Contains(log.String(), "link down") {
			t.Errorf("the end of a connection that lasted is not in the log: %s", log.String())
		}
	})
}

func TestWhatAnOlderStreamBroughtComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var box mailbox
		cfg := newInbound(&box).cfg
		keep, slow := cfg.Deliver, make(chan struct{})
		cfg.Deliver = func(m ...kozo.Message) bool {
			if m[0].Type == "one" { // as if the machine had other things to do
				<-slow
			}
			return keep(m...)
		}
		in := NewInbound(cfg)
		old, _ := served(t, in)
		old.write(opening(1, 1, 0))
		old.hello()
		old.write(message("one"))
		synctest.Wait()
		next, _ := served(t, in)
		next.write(opening(1, 2, 1), message("two"))
		synctest.Wait()
		close(slow)
		if h := next.hello(); h.Seen != 1 {
			t.Errorf("seen %d", h.Seen)
		}
		next.want(wire.TypeAck)
		if len(box.got) != 2 || box.got[0].Type != "one" || !inboundStatus(in).Balanced() {
			t.Errorf("%v, %+v", box.got, inboundStatus(in))
		}
	})
}

func TestALateHelloDoesNotReplaceANewerStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbound(&mailbox{})
		f, done := served(t, in)
		f.write(opening(1, 3, 3), message("four"))
		f.hello()
		f.want(wire.TypeAck)
		for stream := range uint64(4) { // the current one too, if somebody plays it again
			late, lateDone := served(t, in)
			late.write(opening(1, stream, 3))
			if err := <-lateDone; !errors.Is(err, errOvertaken) {
				t.Errorf("the late one, %d: %v", stream, err)
			}
		}
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("the newer one ended: %v", err)
		default:
		}
	})
}

func TestWhoRidesHasPatienceWithABusyConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fars := make(chan *far)
		conn := &peersConn{t: t, fars: fars}
		l, _ := dialled(t, func(cfg *Config) {
			cfg.Targets = nil
			cfg.Ride = func() Conn { return conn }
		})
		f := <-fars
		f.hello()
		time.Sleep(45 * time.Second) // the answer waits behind a bulk transfer of the peer
		if reason := conn.closed.Load(); reason != nil {
			t.Fatalf("the connection of the peer was closed: %v", *reason)
		}
		f.write(helloOf(2, 0))
		f.want(wire.TypePing)
		if !isUp(l) {
			t.Error("not up")
		}
		_ = f.conn.Close()
		f = <-fars
		f.hello()
		time.Sleep(rideTimeout) // but it does not wait for ever
		synctest.Wait()
		if conn.closed.Load() == nil {
			t.Error("a peer that does not answer was left alone")
		}
		_ = f.conn.Close()
	})
}

func TestLinkThatProbesForABetterTargetCanBeStopped(t *testing.T) {
	for range 20 { // whether the end of the probing is seen first is a matter of chance
		synctest.Test(t, func(t *testing.T) {
			l, fars := dialled(t, func(cfg *Config) {
				cfg.QueueSize = 1 << 20
				worse := cfg.Targets[0]
				worse.Rank = 1
				better := worse
				better.Rank = 0
				better.Dial = func(_ context.Context, _ func()) (Conn, error) { return nil, errors.New("nobody there") }
				cfg.Targets = []Target{better, worse}
			})
			f := <-fars
			f.hello()
			f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}))
			// The link is in the middle of a write when it is told to stop, and
			// can go on a moment later.
			large := kozo.Message{Kind: kozo.Event, Type: "large", Time: time.Now()}
			large.Body, _ = kozo.Pack(make([]byte, 60_000))
			for range 10 {
				l.Offer(wire.AppendMessage(nil, &large), nil, time.Now())
				synctest.Wait()
			}
			go func() {
				time.Sleep(byeTimeout / 2)
				_, _ = io.Copy(io.Discard, f.conn)
			}()
		})
	}
}

func isUp(l *Link) bool { return snapshot(l).State == stateUp }
