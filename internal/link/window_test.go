package link

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/memnet"
	"kozo/internal/wire"
)

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

// However much there is to send, and however slowly it goes, a link moves when a
// better connection is there; what was stuck on the old one goes on the new one.
func TestALinkMovesInTheMiddleOfAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, worse, better, open := twoWays(t, func(cfg *Config) { cfg.QueueAge, cfg.QueueSize = time.Hour, 1<<20 })
		f := <-worse
		f.conn.(*memnet.Conn).Other().Shape(memnet.Conditions{Bandwidth: 1000})
		f.hello()
		f.write(helloOf(2, 0))
		ctx, stop := context.WithCancel(t.Context())
		var beside sync.WaitGroup
		defer beside.Wait()
		defer stop()
		beside.Go(func() {
			for ctx.Err() == nil {
				l.Offer(message("x"), nil, time.Now())
				time.Sleep(time.Millisecond)
			}
		})
		var mu sync.Mutex
		moved, arrived := false, uint64(0)
		beside.Go(func() {
			for {
				typ, _, err := f.reader.Next()
				if err != nil {
					return
				}
				mu.Lock()
				if typ == wire.TypeMessage && !moved {
					arrived++
					_, _ = f.conn.Write(wire.AppendAck(nil, wire.Ack{Seen: arrived}))
				}
				mu.Unlock()
			}
		})
		time.Sleep(25 * time.Second)
		open.Store(true)
		n := <-better
		h := n.hello()
		mu.Lock()
		moved = true
		seen := arrived
		mu.Unlock()
		n.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: h.Boot, Seen: seen}))
		n.want(wire.TypeMessage, wire.TypePing)
		if s := snapshot(l); s.Connects != 2 || s.Out.Delivered != seen || s.Out.InFlight == 0 || s.Out.Dropped["cut"] > 0 || !s.Out.Balanced() {
			t.Errorf("%d had arrived: %+v", seen, s)
		}
		if took := time.Since(*snapshot(l).Since); took > time.Second {
			t.Errorf("the first message came after %v", took)
		}
		_ = n.conn.Close()
	})
}
