package link

import (
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/wire"
)

// seqs reads messages until the stream ends, and says which they are.
func (f *far) seqs() <-chan string {
	got := make(chan string, 10_000)
	go func() {
		defer close(got)
		for {
			typ, payload, err := f.reader.Next()
			if err != nil {
				return
			}
			if typ != wire.TypeMessage {
				continue
			}
			var names wire.Names
			var m kozo.Message
			if _, err := names.Head(payload); err == nil && names.Parse(&m, payload) == nil {
				got <- m.Type
			}
		}
	}()
	return got
}

// While it waits for the hello on a better connection a link sends on the one that
// it has, and what the peer does not take there any more goes on the better one.
func TestTheOldConnectionIsUsedUntilTheBetterOneSaysHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, worse, better, open := twoWays(t, func(cfg *Config) { cfg.QueueLength = 100 })
		f := <-worse
		f.hello()
		f.write(helloOf(2, 0))
		old := f.seqs()
		name := byte('a')
		send := func(n int) {
			for range n {
				l.Offer(message(string(name)), nil, time.Now())
				name++
			}
			synctest.Wait()
		}
		want := func(from <-chan string, all string) {
			t.Helper()
			synctest.Wait()
			got := ""
			for len(from) > 0 {
				got += <-from
			}
			if got != all {
				t.Fatalf("got %q, want %q", got, all)
			}
		}
		send(2)
		f.write(wire.AppendAck(nil, wire.Ack{Seen: 1}))
		want(old, "ab")
		open.Store(true)
		n := <-better
		h := n.hello()
		if h.Sent != 1 {
			t.Errorf("the hello says %d", h.Sent)
		}
		time.Sleep(time.Second)
		send(4)
		want(old, "cdef")
		f.write(wire.AppendAck(nil, wire.Ack{Seen: 3})) // after the hello was said
		time.Sleep(time.Second)
		send(2) // the peer does not take them there any more
		n.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: h.Boot, Seen: 5}))
		next := n.seqs()
		synctest.Wait()
		want(next, "fgh")
		send(2)
		want(next, "ij")
		n.write(wire.AppendAck(nil, wire.Ack{Seen: 10}))
		synctest.Wait()
		if s := snapshot(l); s.Out.Delivered != 10 || s.Out.InFlight != 0 || !s.Out.Balanced() || s.Connects != 2 {
			t.Errorf("%+v", s)
		}
		_ = n.conn.Close()
	})
}

// The peer was started again: it counts from what the hello on the better connection
// said, whatever was confirmed on the old one since.
func TestAMoveToANewRunOfThePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, worse, better, open := twoWays(t, func(*Config) {})
		f := <-worse
		f.hello()
		f.write(helloOf(2, 0))
		old := f.seqs()
		open.Store(true)
		n := <-better
		h := n.hello()
		for range 3 {
			l.Offer(message("x"), nil, time.Now())
		}
		synctest.Wait()
		f.write(wire.AppendAck(nil, wire.Ack{Seen: 2}))
		synctest.Wait()
		n.write(helloOf(3, 0))
		next := n.seqs()
		synctest.Wait()
		l.Offer(message("y"), nil, time.Now())
		synctest.Wait()
		n.write(wire.AppendAck(nil, wire.Ack{Seen: h.Sent + 1}))
		synctest.Wait()
		s := snapshot(l)
		if len(old) != 3 || len(next) != 1 || s.Out.Delivered != 3 || s.Out.Dropped["cut"] != 1 || !s.Out.Balanced() {
			t.Errorf("%d and %d messages, %+v", len(old), len(next), s)
		}
		_ = n.conn.Close()
	})
}

// A better connection on which nobody says hello costs nothing.
func TestABetterConnectionThatSaysNothingHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, worse, better, open := twoWays(t, func(*Config) {})
		f := <-worse
		f.hello()
		f.write(helloOf(2, 0))
		old := f.seqs()
		open.Store(true)
		for begun := time.Now(); time.Since(begun) < 110*time.Second; time.Sleep(100 * time.Millisecond) {
			l.Offer(message("x"), nil, time.Now())
			synctest.Wait()
			if len(old) != 1 {
				t.Fatalf("%d messages arrived, not 1, %v after the better way opened", len(old), time.Since(begun))
			}
			<-old
		}
		if s := snapshot(l); len(better) == 0 || s.Connects != 1 || s.Targets[0].Error != errNoHello.Error() {
			t.Errorf("tried %d times, %+v", len(better), s)
		}
	})
}

// The peer ends the old connection when it has got the hello on the better one, and
// its answer may come later than that end; but nobody waits for it for long.
func TestAnOldConnectionThatEndsDuringAMove(t *testing.T) {
	for name, test := range map[string]struct {
		answers time.Duration // after the end
		again   bool          // the worse way is dialled again
	}{
		"the answer comes a bit later": {700 * time.Millisecond, false},
		"the answer comes too late":    {5 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, worse, better, open := twoWays(t, func(*Config) {})
				f := <-worse
				f.hello()
				f.write(helloOf(2, 0))
				open.Store(true)
				n := <-better
				n.hello()
				open.Store(false)
				time.Sleep(100 * time.Millisecond)
				_ = f.conn.Close()
				ended := time.Now()
				time.AfterFunc(test.answers, func() { _, _ = n.conn.Write(helloOf(2, 0)) })
				if test.again {
					next := <-worse
					if took := time.Since(ended); took > 1500*time.Millisecond {
						t.Errorf("dialled after %v", took)
					}
					next.hello()
					next.write(helloOf(2, 0))
					next.want(wire.TypePing)
				} else {
					n.want(wire.TypePing)
				}
				synctest.Wait()
				s := snapshot(l)
				if s.State != stateUp || s.Connects != 2 || (s.Endpoint == "b:1") != test.again {
					t.Errorf("%+v", s)
				}
				_ = n.conn.Close()
			})
		})
	}
}

// A connection that takes nothing more does not keep a link from moving.
func TestALinkMovesAwayFromAConnectionThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, worse, better, open := twoWays(t, func(cfg *Config) {
			cfg.QueueLength, cfg.QueueSize, cfg.Heartbeat = 1000, 4<<20, time.Hour
		})
		f := <-worse
		f.hello()
		f.write(helloOf(2, 0))
		f.conn.(*memnet.Conn).Other().Freeze(true)
		frame := wire.AppendFrame(nil, wire.TypeMessage, make([]byte, 30_000))
		for range 60 {
			l.Offer(frame, nil, time.Now())
		}
		time.Sleep(time.Second)
		open.Store(true)
		n := <-better
		h := n.hello()
		n.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: h.Boot}))
		begun := time.Now()
		n.want(wire.TypeMessage, wire.TypePing)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the first message came after %v", took)
		}
		go func() { _, _ = io.Copy(io.Discard, n.conn) }()
		synctest.Wait()
		_ = n.conn.Close()
	})
}

// halfOpen is a connection of the peer whose streams end when both sides close them.
type halfOpen struct{ peersConn }

func (c *halfOpen) Open(ctx context.Context) (io.ReadWriteCloser, error) {
	s, err := c.peersConn.Open(ctx)
	if err != nil {
		return nil, err
	}
	return halfClosed{s.(*memnet.Conn)}, nil
}

// What comes late on the old connection says nothing about the time on the new one.
func TestALatePongOfTheOldConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams := make(chan *far)
		l, _, better, open := twoWays(t, func(cfg *Config) {
			cfg.Targets = cfg.Targets[:1]
			cfg.Ride = func() Conn { return &halfOpen{peersConn{t: t, fars: streams}} }
		})
		f := <-streams
		f.hello()
		f.write(helloOf(2, 0))
		f.want(wire.TypePing)
		p, err := wire.ParsePing(f.want(wire.TypePing))
		if err != nil {
			t.Fatal(err)
		}
		open.Store(true)
		n := <-better
		n.hello()
		n.write(helloOf(2, 0))
		synctest.Wait()
		for id := range p.ID + 10 {
			f.write(wire.AppendPong(nil, wire.Pong{ID: id, Wall: time.Now().Add(time.Hour).UnixNano()}))
		}
		synctest.Wait()
		if s := snapshot(l); s.Connects != 2 || s.RoundTrip != 0 || s.Skew != 0 {
			t.Errorf("%+v", s)
		}
		_ = f.conn.Close()
		p, err = wire.ParsePing(n.want(wire.TypePing))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		n.write(wire.AppendPong(nil, wire.Pong{ID: p.ID, Wall: time.Now().UnixNano()}))
		synctest.Wait()
		if s := snapshot(l); s.RoundTrip != 0.1 {
			t.Errorf("%+v", s)
		}
		_ = n.conn.Close()
	})
}

// However much there is to send, a link that rides moves at the next chunk, and
// leaves the connection of the peer to it.
func TestWhoRidesMovesInTheMiddleOfAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams := make(chan *far)
		lent := &halfOpen{peersConn{t: t, fars: streams}}
		l, _, better, open := twoWays(t, func(cfg *Config) {
			cfg.Targets = cfg.Targets[:1]
			cfg.QueueLength, cfg.QueueSize = 10_000, 1<<20
			cfg.Ride = func() Conn { return lent }
		})
		f := <-streams
		f.conn.(*memnet.Conn).Other().Shape(memnet.Conditions{Bandwidth: 100_000})
		f.hello()
		f.write(helloOf(2, 0))
		flood, stop := context.WithCancel(t.Context())
		var beside sync.WaitGroup
		defer beside.Wait()
		defer stop()
		beside.Go(func() {
			frame := wire.AppendFrame(nil, wire.TypeMessage, make([]byte, 1000))
			for flood.Err() == nil {
				l.Offer(frame, nil, time.Now())
				time.Sleep(time.Millisecond)
			}
		})
		beside.Go(func() {
			defer f.conn.Close()
			for seen := uint64(0); ; {
				typ, _, err := f.reader.Next()
				if err != nil {
					return
				}
				if typ == wire.TypeMessage {
					seen++
					_, _ = f.conn.Write(wire.AppendAck(nil, wire.Ack{Seen: seen}))
				}
			}
		})
		time.Sleep(25 * time.Second)
		open.Store(true)
		n := <-better
		n.hello()
		n.write(helloOf(2, 0))
		_ = n.conn.SetReadDeadline(time.Now().Add(leaveTimeout)) // what was written there comes first
		n.want(wire.TypeMessage, wire.TypePing)
		_ = n.conn.SetReadDeadline(time.Time{})
		beside.Go(func() { _, _ = io.Copy(io.Discard, n.conn) })
		time.Sleep(2 * leaveTimeout)
		if reason := lent.closed.Load(); reason != nil || !isUp(l) {
			t.Errorf("up: %v; the connection of the peer was closed: %v", isUp(l), reason)
		}
		_ = n.conn.Close()
	})
}
