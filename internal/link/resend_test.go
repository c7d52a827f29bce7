package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/status"
	"kozo/internal/wire"
)

func fixed(n int) func() int { return func() int { return n } }

// TestACutAnywhereLosesNothing cuts the first connection after each byte of a
// stretch, in each direction, and the second one too, somewhere.
func TestACutAnywhereLosesNothing(t *testing.T) {
	stretch := func(t *testing.T, lives func(n int) (int, int)) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			g := newRig(t, func() (int, int) { n++; return lives(n) }, func(cfg *Config) { cfg.QueueSize = 4 << 10 })
			for i := range 8 {
				g.send(2, fixed(20*i))
				time.Sleep(100 * time.Millisecond)
			}
			if out := g.settle(false); out.Delivered != 16 {
				t.Errorf("%+v, got %v", out, g.got)
			}
		})
	}
	r := rand.New(rand.NewPCG(1, 1))
	for at := range 1900 {
		second := r.IntN(1900)
		stretch(t, func(n int) (int, int) {
			switch n {
			case 1:
				return at, endless
			case 2:
				return second, endless
			}
			return endless, endless
		})
		if at < 200 {
			stretch(t, func(n int) (int, int) {
				switch n {
				case 1:
					return endless, at
				case 2:
					return second, r.IntN(200)
				}
				return endless, endless
			})
		}
		if t.Failed() {
			t.Fatalf("cut at byte %d, and then %d", at, second)
		}
	}
}

// TestResendUnderTrouble lets all sorts of things happen between a link and its
// peer. With room for all, nothing is lost as long as both live; without, each
// loss has its number; and nothing ever comes twice or out of order.
func TestResendUnderTrouble(t *testing.T) {
	for seed := range uint64(150) {
		roomy, restarts := seed%3 != 0, seed%5 == 0
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			fate := rand.New(rand.NewPCG(seed, 8))
			trouble := true
			lives := func() (out, back int) {
				out, back = endless, endless
				if trouble && fate.IntN(3) == 0 {
					out = fate.IntN(20_000)
				}
				if trouble && fate.IntN(5) == 0 {
					back = fate.IntN(200)
				}
				return out, back
			}
			g := newRig(t, lives, func(cfg *Config) {
				cfg.QueueAge, cfg.QueueSize = time.Hour, 1<<20
				if roomy && seed%4 == 0 {
					cfg.Policy = kozo.OnDemand
				}
				if !roomy {
					cfg.QueueAge = time.Duration(1+r.IntN(4000)) * time.Millisecond
					cfg.QueueLength, cfg.QueueSize = 1+r.IntN(60), 1<<(9+r.IntN(8))
				}
			})
			for step := range 150 {
				switch r.IntN(12) {
				case 0, 1:
					g.cut()
				case 2:
					g.mu.Lock()
					for _, c := range g.lines { // slow, and far away
						for _, end := range []*memnet.Conn{c, c.Other()} {
							end.Shape(memnet.Conditions{Latency: time.Duration(r.IntN(300)) * time.Millisecond, Bandwidth: 1000 + r.IntN(100_000)})
						}
					}
					g.mu.Unlock()
				case 3:
					g.mu.Lock()
					lines := g.lines
					g.mu.Unlock()
					for _, c := range lines { // dead in one direction, until that is noticed
						if r.IntN(2) == 0 {
							c = c.Other()
						}
						c.BlackHole()
					}
					time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
					g.cut()
				case 4:
					if r.IntN(3) == 0 {
						g.close(true)
						g.cut()
						time.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
						g.close(false)
					}
				case 5:
					if restarts && r.IntN(3) == 0 {
						g.restart()
					}
				case 6, 7:
					time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
				default:
					g.send(r.IntN(20), func() int { return r.IntN(150) })
					time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
				}
				g.check(fmt.Sprint("step ", step))
			}
			g.mu.Lock()
			trouble = false
			g.mu.Unlock()
			g.cut()
			out := g.settle(restarts)
			if lost := status.Sum(out.Dropped); roomy && !restarts && lost > 0 {
				t.Errorf("%d of %d were lost: %+v", lost, g.sent, out)
			} else if restarts && roomy && lost != out.Dropped["cut"] {
				t.Errorf("more was lost than what was in flight to a run that ended: %+v", out)
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// A peer that was started again has perhaps worked off what was in flight to its
// earlier run, so this is not sent again; but what had not been sent is.
func TestAPeerThatWasStartedAgainGetsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, nil)
		f := <-fars
		f.hello()
		f.write(helloOf(2, 0))
		for range 3 {
			l.Offer(message("x"), nil, time.Now())
		}
		for range 3 {
			f.want(wire.TypeMessage, wire.TypePing)
		}
		_ = f.conn.Close()
		f = <-fars
		l.Offer(message("fresh"), nil, time.Now())
		if h := f.hello(); h.Sent != 0 || h.Stream != 2 {
			t.Errorf("%+v", h)
		}
		// The new run gets the hello, and its answer does not arrive.
		_ = f.conn.Close()
		f = <-fars
		if h := f.hello(); h.Sent != 0 || h.Stream != 3 {
			t.Errorf("%+v", h)
		}
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{3}, KnownBoot: wire.Boot{1}, Seen: 0}))
		var m kozo.Message
		if err := new(wire.Names).Parse(&m, f.want(wire.TypeMessage, wire.TypePing)); err != nil || m.Type != "fresh" {
			t.Errorf("it was sent %+v, %v", m, err)
		}
		f.write(wire.AppendAck(nil, wire.Ack{Seen: 1}))
		synctest.Wait()
		if out := snapshot(l).Out; out.Delivered != 1 || out.Dropped["cut"] != 3 || !out.Balanced() {
			t.Errorf("%+v", out)
		}
	})
}

// What was given up is not taken for delivered, if the answer to the hello that
// said so did not come.
func TestWhatWasGivenUpDoesNotArriveWithALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		lives := func() (out, back int) {
			if n++; n == 2 {
				return endless, 10 // within the hello
			}
			return endless, endless
		}
		g := newRig(t, lives, func(cfg *Config) { cfg.QueueAge = 2 * time.Second })
		time.Sleep(time.Second)
		g.mu.Lock()
		g.lines[0].BlackHole()
		g.mu.Unlock()
		g.send(5, fixed(10))
		g.close(true)
		synctest.Wait()
		g.cut()
		time.Sleep(3 * time.Second)
		g.close(false)
		if out := g.settle(false); out.Delivered != 0 || out.Dropped["cut"] != 5 || n != 3 {
			t.Errorf("after %d connections: %+v", n, out)
		}
	})
}

// A peer that has heard another run of this node in between has forgotten how much
// of this one's it got.
func TestAPeerThatHasHeardAnotherRunGetsNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, nil)
		f := <-fars
		f.hello()
		f.write(helloOf(2, 0))
		l.Offer(message("x"), nil, time.Now())
		f.want(wire.TypeMessage, wire.TypePing)
		_ = f.conn.Close()
		f = <-fars
		f.hello()
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: wire.Boot{7}, Seen: 0}))
		synctest.Wait()
		if out := snapshot(l).Out; out.Dropped["cut"] != 1 || out.InFlight != 0 {
			t.Errorf("%+v", out)
		}
	})
}

// What the old connection still says after a move counts no more, since what is
// in flight has other numbers then.
func TestALateConfirmationOfTheOldConnectionCountsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		worse := make(chan *far)
		var open atomic.Bool
		l, better := dialled(t, func(cfg *Config) {
			dial := cfg.Targets[0].Dial
			cfg.Targets[0].Dial = func(ctx context.Context, answered func()) (Conn, error) {
				if !open.Load() {
					return nil, errors.New("cannot be reached")
				}
				return dial(ctx, answered)
			}
			cfg.Ride = func() Conn { return openingConn{t, worse} }
		})
		f := <-worse
		f.hello()
		f.write(helloOf(2, 0))
		for range 5 {
			l.Offer(message("x"), nil, time.Now())
		}
		for range 5 {
			f.want(wire.TypeMessage, wire.TypePing)
		}
		go func() { _, _ = io.Copy(io.Discard, f.conn) }()
		open.Store(true)
		n := <-better
		if h := n.hello(); h.Sent != 0 || h.Stream != 2 {
			t.Errorf("%+v", h)
		}
		n.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: wire.Boot{1}, Seen: 3}))
		synctest.Wait()
		if _, err := f.conn.Write(wire.AppendAck(nil, wire.Ack{Seen: 5})); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		_ = f.conn.Close()
		for range 2 { // the fourth and the fifth one
			n.want(wire.TypeMessage, wire.TypePing)
		}
		synctest.Wait()
		if out := snapshot(l).Out; out.Delivered != 3 || out.InFlight != 2 {
			t.Errorf("%+v", out)
		}
		n.write(wire.AppendAck(nil, wire.Ack{Seen: 5}))
		synctest.Wait()
		if out := snapshot(l).Out; out.Delivered != 5 || out.InFlight != 0 {
			t.Errorf("%+v", out)
		}
		_ = n.conn.Close()
	})
}

// openingConn is a connection of the peer whose streams end when both sides have
// closed them.
type openingConn struct {
	t    *testing.T
	fars chan<- *far
}

func (c openingConn) Open(context.Context) (io.ReadWriteCloser, error) {
	near, other := memnet.Pipe()
	c.fars <- newFar(c.t, other)
	return halfClosed{near.(*memnet.Conn)}, nil
}

func (openingConn) Close(error) {}

// The receiver, for its part, says nothing on a stream that it did not say in its
// hello on the next one.
func TestAnOldStreamConfirmsNothingMoreAfterANewHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbound(&mailbox{})
		near, other := memnet.Pipe()
		old := newFar(t, other)
		go func() {
			_ = in.Serve(t.Context(), halfClosed{near.(*memnet.Conn)}, Line{Conn: &sharedConn{}, Shared: true})
		}()
		old.write(opening(1, 1, 0))
		old.hello()
		old.write(message("one"), message("two"))
		synctest.Wait()
		next, _ := served(t, in)
		next.write(opening(1, 2, 0))
		if h := next.hello(); h.Seen != 2 {
			t.Errorf("%+v", h)
		}
		old.write(message("three"), message("four"), wire.AppendPing(nil, wire.Ping{ID: 1}))
		for {
			typ, payload, err := old.reader.Next()
			if err != nil {
				break
			}
			if a, err := wire.ParseAck(payload); typ == wire.TypeAck && (err != nil || a.Seen > 2) {
				t.Errorf("an ack of %d, %v", a.Seen, err)
			}
			if p, err := wire.ParsePong(payload); typ == wire.TypePong && (err != nil || p.Seen > 2) {
				t.Errorf("a pong of %d, %v", p.Seen, err)
			}
		}
		_ = other.Close()
	})
}

// What waits while the peer is away for longer than messages may wait is given
// up; what of it has arrived is known when the peer is back.
func TestWhatIsInFlightExpiresWhileThePeerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, func(cfg *Config) { cfg.QueueAge = 10 * time.Second })
		f := <-fars
		f.hello()
		f.write(helloOf(2, 0))
		for i := range 4 {
			l.Offer(message(fmt.Sprint(i+1)), nil, time.Now())
			f.want(wire.TypeMessage, wire.TypePing)
			time.Sleep(4 * time.Second)
		}
		// Messages 1 to 4 were offered 16, 12, 8 and 4 seconds ago.
		_ = f.conn.Close()
		synctest.Wait()
		if out := snapshot(l).Out; out.InFlight != 2 || out.Dropped["cut"] != 2 || !out.Balanced() {
			t.Errorf("%+v", out)
		}
		f = <-fars
		if h := f.hello(); h.Sent != 2 {
			t.Errorf("%+v", h)
		}
		time.Sleep(3 * time.Second) // the third one becomes too old before it is sent again
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: wire.Boot{1}, Seen: 1}))
		var m kozo.Message
		if err := new(wire.Names).Parse(&m, f.want(wire.TypeMessage, wire.TypePing)); err != nil || m.Type != "4" {
			t.Errorf("%+v, %v", m, err)
		}
		f.write(wire.AppendAck(nil, wire.Ack{Seen: 3}))
		synctest.Wait()
		if out := snapshot(l).Out; out.Delivered != 2 || status.Sum(out.Dropped) != 2 || !out.Balanced() {
			t.Errorf("%+v", out)
		}
	})
}
