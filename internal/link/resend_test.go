package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/status"
	"kozo/internal/wire"
)

// rig is a link and its peer, which notes what it gets, and can be started again.
// What lies between them is cut, filled up and closed as a test wants.
type rig struct {
	t    *testing.T
	link *Link

	mu     sync.Mutex
	closed bool                   // nobody can dial
	lives  func() (out, back int) // how many bytes the next connection lasts each way; called with the lock
	lines  []*memnet.Conn
	boot   byte // of the peer
	in     *Inbound
	ctx    context.Context // of the present run of the peer
	stop   context.CancelFunc
	ended  []status.Inbound // of earlier runs
	got    []uint64
	sent   uint64
}

func newRig(t *testing.T, lives func() (out, back int), change func(*Config)) *rig {
	g := &rig{t: t, lives: lives}
	g.start()
	g.link, _ = dialled(t, func(cfg *Config) {
		cfg.QueueLength = 100_000
		change(cfg)
		cfg.Targets = []Target{{Transport: "tcp", Endpoint: "b:1", Timeout: 10 * time.Second, Dial: g.dial}}
	})
	t.Cleanup(g.end)
	return g
}

const endless = 1 << 60

// start begins a run of the peer.
func (g *rig) start() {
	g.boot++
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.in = NewInbound(InboundConfig{
		Peer: "a", Since: time.Now(), Heartbeat: 10 * time.Second, Boot: wire.Boot{9, g.boot}, MaxFrame: 1 << 20,
		Interest: func() []kozo.Filter { return nil }, OnHello: func(*wire.Hello) {}, Log: quiet(),
		Deliver: func(messages ...kozo.Message) bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			for _, m := range messages {
				g.got = append(g.got, m.Seq)
			}
			return true
		},
	})
}

// end ends the run of the peer.
func (g *rig) end() {
	g.stop()
	g.in.Wait()
	g.ended = append(g.ended, inboundStatus(g.in))
}

// restart ends the run of the peer as a loss of power does, and begins another one.
func (g *rig) restart() {
	g.cut()
	g.end()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.start()
}

func (g *rig) dial(context.Context, func()) (Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, io.ErrClosedPipe
	}
	near, far := memnet.Pipe()
	g.lines = append(g.lines, near.(*memnet.Conn))
	out, back := g.lives()
	in, ctx := g.in, g.ctx
	go func() {
		far := &frail{Conn: far, left: back}
		_ = in.Serve(ctx, far, &fakeConn{far}, false, 0)
	}()
	return &fakeConn{&frail{Conn: near, left: out}}, nil
}

// cut ends all connections; what is on its way is lost.
func (g *rig) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.lines {
		c.Reset()
	}
	g.lines = nil
}

// close says whether nobody can dial.
func (g *rig) close(closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = closed
}

// send offers messages of random sizes up to a limit.
func (g *rig) send(n int, size func() int) {
	for range n {
		g.sent++
		m := kozo.Message{Kind: kozo.Event, Type: "x", From: kozo.RoleRef{Role: "r"}, Time: time.Now(), Seq: g.sent}
		m.Body, _ = kozo.Pack(make([]byte, size()))
		g.link.Offer(wire.AppendMessage(nil, &m), nil, time.Now())
	}
}

// check says whether what is known now can be.
func (g *rig) check(when string) status.Ledger {
	g.t.Helper()
	g.mu.Lock()
	for i := 1; i < len(g.got); i++ {
		if g.got[i] <= g.got[i-1] {
			g.t.Fatalf("%s: message %d came after %d", when, g.got[i], g.got[i-1])
		}
	}
	g.mu.Unlock()
	out := snapshot(g.link).Out
	if !out.Balanced() || out.Sent != g.sent {
		g.t.Fatalf("%s: %d were sent: %+v", when, g.sent, out)
	}
	return out
}

// settle waits until every message has its fate, and compares what the link says
// with what has arrived.
func (g *rig) settle(restarted bool) status.Ledger {
	g.t.Helper()
	for begun := time.Now(); ; time.Sleep(time.Second) {
		out, state := g.check("at the end"), snapshot(g.link).State
		if out.Queued+out.InFlight == 0 && (state == stateUp || state == stateIdle) {
			break
		}
		if time.Since(begun) > 10*time.Minute {
			g.t.Fatalf("it does not settle: %+v", snapshot(g.link))
		}
	}
	out := g.check("at the end")
	received := inboundStatus(g.in).Received
	for _, in := range g.ended {
		received += in.Received
	}
	if got := uint64(len(g.got)); received != got || out.Delivered > got || out.Delivered != got && !restarted {
		g.t.Fatalf("%d arrived, %d were counted: %+v", got, received, out)
	}
	return out
}

// frail is an end of a connection that breaks within a write.
type frail struct {
	net.Conn
	left int // bytes until then
}

func (f *frail) Write(b []byte) (int, error) {
	if len(b) < f.left {
		f.left -= len(b)
		return f.Conn.Write(b)
	}
	n, _ := f.Conn.Write(b[:f.left])
	f.left = 0
	_ = f.Conn.Close()
	return n, io.ErrClosedPipe
}

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
		go func() { _ = in.Serve(t.Context(), halfClosed{near.(*memnet.Conn)}, &sharedConn{}, true, 0) }()
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

// TestNumbersOfAPeerThatLies gives both halves of a link numbers that cannot be.
func TestNumbersOfAPeerThatLies(t *testing.T) {
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			number := func() uint64 {
				return []uint64{0, 1, uint64(r.IntN(100)), r.Uint64(), 1<<64 - 1, 1 << 63}[r.IntN(6)]
			}
			l, fars := dialled(t, nil)
			for range 20 {
				f := <-fars
				f.hello()
				f.write(wire.AppendHello(nil, &wire.Hello{
					Version: wire.Version, Boot: wire.Boot{byte(2 + r.IntN(2))}, KnownBoot: wire.Boot{byte(r.IntN(3))},
					Seen: number(), Sent: number(), Stream: number(),
				}))
				go func() { _, _ = io.Copy(io.Discard, f.conn) }()
				for range r.IntN(10) {
					l.Offer(message("x"), nil, time.Now())
					time.Sleep(time.Second)
					f.write(wire.AppendAck(nil, wire.Ack{Seen: number()}), wire.AppendPong(nil, wire.Pong{ID: number(), Seen: number()}))
					if out := snapshot(l).Out; !out.Balanced() || out.Delivered > out.Sent || out.InFlight > out.Sent {
						t.Fatalf("%+v", out)
					}
				}
				_ = f.conn.Close()
			}
			in := newInbound(&mailbox{})
			for range 20 {
				f, _ := served(t, in)
				f.write(wire.AppendHello(nil, &wire.Hello{
					Version: wire.Version, Boot: wire.Boot{byte(1 + r.IntN(2))}, Stream: number(), Sent: number(),
				}), message("x"), wire.AppendPing(nil, wire.Ping{ID: number()}), message("y"))
				synctest.Wait()
				if s := inboundStatus(in); !s.Balanced() {
					t.Fatalf("%+v", s)
				}
			}
		})
	}
}

// What is on its way is bounded: a link whose peer confirms nothing keeps its
// window full, asks once, and goes on when it gets an answer.
func TestALinkWritesNoMoreThanItCanKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, func(cfg *Config) { cfg.QueueLength, cfg.QueueSize = 100, 8<<10 })
		f := <-fars
		f.hello()
		f.write(helloOf(2, 0))
		frame := wire.AppendFrame(nil, wire.TypeMessage, make([]byte, 498))
		for range 30 {
			l.Offer(frame, nil, time.Now())
			synctest.Wait()
		}
		out := snapshot(l).Out
		if kept := out.InFlight * 500; kept > 8<<10 || kept < 4<<10 || out.Dropped["queue full"] > 0 {
			t.Fatalf("%+v", out)
		}
		var last wire.Ping
		for n := uint64(0); n < 30; {
			typ, payload := f.read()
			if typ == wire.TypeMessage {
				n++
				continue
			}
			last, _ = wire.ParsePing(payload)
			if n == out.InFlight { // it is full
				f.write(wire.AppendPong(nil, wire.Pong{ID: last.ID, Seen: n}))
				synctest.Wait()
				out.InFlight += snapshot(l).Out.InFlight
			}
		}
		synctest.Wait()
		f.write(wire.AppendAck(nil, wire.Ack{Seen: 30}))
		synctest.Wait()
		if s := snapshot(l); s.Out.Delivered != 30 || s.RoundTrip != 0 {
			t.Errorf("%+v", s)
		}
		// One that must wait for a small one asks, rather than wait for the ack.
		l.Offer(frame[:0:0], frame, time.Now())
		synctest.Wait()
		l.Offer(wire.AppendFrame(nil, wire.TypeMessage, make([]byte, 8000)), nil, time.Now())
		f.want(wire.TypeMessage, wire.TypePing)
		p, err := wire.ParsePing(f.want(wire.TypePing))
		f.write(wire.AppendPong(nil, wire.Pong{ID: p.ID, Seen: 31}))
		if payload := f.want(wire.TypeMessage); err != nil || len(payload) != 8000 {
			t.Errorf("%d bytes, %v", len(payload), err)
		}
		if waited := time.Since(*snapshot(l).Since); waited > 0 {
			t.Errorf("it waited for %v", waited)
		}
	})
}
