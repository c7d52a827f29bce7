package link

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kozo/internal/memnet"
	"kozo/internal/wire"
)

// way is a target of a test: how long it takes to answer, and to connect after
// that, or to fail.
type way struct {
	rank     int
	answers  time.Duration // never, if 0
	connects time.Duration // after it was dialled; never, if 0
	err      error         // instead of a connection
	opens    time.Duration // when it can be reached; until then it refuses
	deaf     bool          // it connects although nobody wants it any more
	hello    time.Duration // how long it takes to say hello; for ever, if negative

	made   time.Time
	dials  atomic.Int32
	under  atomic.Int32
	got    atomic.Int32 // connections
	closed atomic.Int32
}

// hole swallows everything.
func hole(rank int) *way { return &way{rank: rank} }

// refusing says no after some time.
func refusing(rank int, after time.Duration) *way {
	return &way{rank: rank, connects: after, err: errors.New("connection refused")}
}

// wayConn says when it is closed.
type wayConn struct {
	fakeConn
	way  *way
	once sync.Once
}

func (c *wayConn) Close(reason error) {
	c.once.Do(func() { c.way.closed.Add(1) })
	c.fakeConn.Close(reason)
}

func (w *way) dial(ctx context.Context, answered func()) (Conn, error) {
	w.dials.Add(1)
	w.under.Add(1)
	defer w.under.Add(-1)
	begun := time.Now()
	if begun.Sub(w.made) < w.opens {
		return nil, errors.New("cannot be reached")
	}
	wait := func(until time.Duration) error {
		if until == 0 {
			<-ctx.Done()
			return ctx.Err()
		}
		select {
		case <-time.After(until - time.Since(begun)):
			return nil
		case <-ctx.Done():
			if w.deaf {
				time.Sleep(until - time.Since(begun))
				return nil
			}
			return ctx.Err()
		}
	}
	if w.answers > 0 {
		if err := wait(w.answers); err != nil {
			return nil, err
		}
		answered()
	}
	if err := wait(w.connects); err != nil {
		return nil, err
	}
	if w.err != nil {
		return nil, w.err
	}
	w.got.Add(1)
	near, other := memnet.Pipe()
	go greeter(other, w.hello)
	return &wayConn{fakeConn: fakeConn{near}, way: w}, nil
}

// greeter is a peer at the other end of a stream. It says hello after a time, or
// never, if that is negative.
func greeter(stream io.ReadWriteCloser, after time.Duration) {
	defer stream.Close()
	r := wire.NewReader(stream, 1<<20)
	for {
		typ, payload, err := r.Next()
		switch {
		case err != nil:
			return
		case typ == wire.TypeHello && after >= 0:
			time.Sleep(after)
			_, err = stream.Write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}))
		case typ == wire.TypePing:
			p, _ := wire.ParsePing(payload)
			_, err = stream.Write(wire.AppendPong(nil, wire.Pong{ID: p.ID, Wall: p.Wall}))
		}
		if err != nil {
			return
		}
	}
}

// lent is the connection of a peer. Everything on it takes some time.
type lent struct {
	open   time.Duration
	hello  time.Duration
	err    error // of opening
	opens  atomic.Int32
	heard  atomic.Int32 // what arrived on its streams
	closed atomic.Bool
}

func (c *lent) Open(ctx context.Context) (io.ReadWriteCloser, error) {
	c.opens.Add(1)
	if c.err != nil {
		return nil, c.err
	}
	select {
	case <-time.After(c.open):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	near, other := memnet.Pipe()
	go greeter(counted{other, &c.heard}, c.hello)
	return near, nil
}

// counted counts what arrives.
type counted struct {
	io.ReadWriteCloser
	reads *atomic.Int32
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

func (c *lent) Close(error) { c.closed.Store(true) }

// ways runs a link with these targets, which are given 10 s each.
func ways(t *testing.T, change func(*Config), all ...*way) *Link {
	l, _ := dialled(t, func(cfg *Config) {
		cfg.Targets = nil
		for i, w := range all {
			w.made = time.Now()
			cfg.Targets = append(cfg.Targets, Target{
				Transport: "tcp", Endpoint: string(rune('1' + i)), Rank: w.rank, Timeout: 10 * time.Second, Dial: w.dial,
			})
		}
		if change != nil {
			change(cfg)
		}
	})
	return l
}

// upAfter lets time pass until the link is up.
func upAfter(t *testing.T, l *Link) time.Duration {
	t.Helper()
	begun := time.Now()
	for !isUp(l) {
		if time.Since(begun) > 10*time.Minute {
			t.Fatalf("not up: %+v", snapshot(l))
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	return time.Since(begun).Round(10 * time.Millisecond)
}
