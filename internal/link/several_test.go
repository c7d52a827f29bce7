package link

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/memnet"
	"kozo/internal/status"
)

// TestResendOverSeveralWays lets a link choose between ways that are all far and
// break: it gives up hellos that the peer has answered, or answers later, and
// moves. Nothing is lost, comes twice or out of order.
func TestResendOverSeveralWays(t *testing.T) {
	connects := uint64(0)
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 11))
			fate := rand.New(rand.NewPCG(seed, 12))
			trouble := true
			var g *rig
			made := make(chan struct{})
			var targets []Target
			for _, rank := range []int{0, 1, 1, 2} {
				targets = append(targets, Target{
					Transport: "tcp", Endpoint: "b", Rank: rank, Timeout: 10 * time.Second,
					Dial: func(ctx context.Context, answered func()) (Conn, error) {
						<-made
						g.mu.Lock()
						bad := trouble
						delay := time.Duration(fate.IntN(2000)) * time.Millisecond
						latency := time.Duration(fate.IntN(2000)) * time.Millisecond
						fails := fate.IntN(3) == 0
						g.mu.Unlock()
						if bad {
							time.Sleep(delay)
							if fails {
								return nil, io.ErrUnexpectedEOF
							}
						}
						c, err := g.dial(ctx, answered)
						if err == nil && bad {
							line := c.(*fakeConn).stream.(*frail).Conn.(*memnet.Conn)
							line.Shape(memnet.Conditions{Latency: latency})
							line.Other().Shape(memnet.Conditions{Latency: latency / 2})
						}
						return c, err
					},
				})
			}
			lives := func() (out, back int) {
				out, back = endless, endless
				if trouble && fate.IntN(4) == 0 {
					out = fate.IntN(5000)
				}
				if trouble && fate.IntN(6) == 0 {
					back = fate.IntN(200)
				}
				return out, back
			}
			g = newRig(t, lives, func(cfg *Config) {
				cfg.QueueAge, cfg.QueueSize, cfg.Retry = time.Hour, 1<<20, 2*time.Second
			}, targets...)
			close(made)
			for step := range 100 {
				switch r.IntN(8) {
				case 0:
					g.cut()
				case 1:
					g.mu.Lock()
					lines := g.lines
					g.mu.Unlock()
					for _, c := range lines {
						if r.IntN(3) == 0 {
							c.Reset()
						}
					}
				case 2, 3:
					time.Sleep(time.Duration(r.IntN(10_000)) * time.Millisecond)
				default:
					g.send(r.IntN(20), func() int { return r.IntN(150) })
					time.Sleep(time.Duration(r.IntN(300)) * time.Millisecond)
				}
				g.check(fmt.Sprint("step ", step))
			}
			g.mu.Lock()
			trouble = false
			g.mu.Unlock()
			g.cut()
			out := g.settle(false)
			if lost := status.Sum(out.Dropped); lost > 0 {
				t.Errorf("%d of %d were lost: %+v", lost, g.sent, out)
			}
			connects += snapshot(g.link).Connects
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d connections", connects)
}
