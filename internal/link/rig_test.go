package link

import (
	"context"
	"io"
	"math"
	"net"
	"sync"
	"testing"
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

func newRig(t *testing.T, lives func() (out, back int), change func(*Config), targets ...Target) *rig {
	g := &rig{t: t, lives: lives}
	g.start()
	g.link, _ = dialled(t, func(cfg *Config) {
		cfg.QueueLength = 100_000
		change(cfg)
		if cfg.Targets = targets; len(targets) == 0 {
			cfg.Targets = []Target{{Transport: "tcp", Endpoint: "b:1", Timeout: 10 * time.Second, Dial: g.dial}}
		}
	})
	t.Cleanup(g.end)
	return g
}

const endless = math.MaxInt32

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
		_ = in.Serve(ctx, far, Line{Conn: &fakeConn{far}})
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
