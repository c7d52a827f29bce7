package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/wire"
)

// clogged is a stream on a connection that takes nothing more, like one whose
// cable was pulled while much was being sent: to close it is to send something,
// and waits for the end of the connection.
type clogged struct {
	net.Conn
	once  sync.Once
	ended chan struct{}
}

func (c *clogged) Close() error {
	<-c.ended
	return c.Conn.Close()
}

// cloggedConn is the connection under it.
type cloggedConn struct{ stream *clogged }

func (c cloggedConn) Close(error) {
	c.stream.once.Do(func() { close(c.stream.ended) })
	_ = c.stream.Conn.Close()
}

func TestAConnectionThatTakesNothingDoesNotStandInTheWay(t *testing.T) {
	for name, shared := range map[string]bool{"of the peer": false, "of this node": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				in := newInbound(&mailbox{})
				near, other := memnet.Pipe()
				old := &clogged{Conn: near, ended: make(chan struct{})}
				ctx, cancel := context.WithCancel(t.Context())
				var serving sync.WaitGroup
				serving.Go(func() { _ = in.Serve(ctx, old, Line{Conn: cloggedConn{old}, Shared: shared}) })
				f := newFar(t, other)
				f.write(opening(1, 1, 0))
				f.hello()

				begun := time.Now()
				next, _ := served(t, in)
				next.write(opening(1, 2, 0))
				time.AfterFunc(25*time.Second, func() { cloggedConn{old}.Close(nil) }) // the peer is silent there
				next.hello()
				next.write(message("x"))
				next.want(wire.TypeAck)
				if took := time.Since(begun); took > time.Second {
					t.Errorf("the new stream had to wait for %v", took)
				}
				cancel()
				serving.Wait()
			})
		})
	}
}

// A hello of an earlier run of the peer that was held up on its way does not replace
// the stream of the present one; but a later run does.
func TestALateHelloOfAnEarlierRunIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := func(begun, alive int) Line {
			base := time.Now()
			return Line{Begun: base.Add(time.Duration(begun) * time.Second), Alive: base.Add(time.Duration(alive) * time.Second)}
		}
		lines := []struct {
			run   byte
			line  Line
			stays bool
		}{
			{1, at(1, 2), true},    // the peer has dialled
			{1, at(10, 11), true},  // and again
			{2, at(20, 21), true},  // its next run
			{1, at(11, 12), false}, // a late stream of the one before
			{1, at(19, 18), false}, // one on a connection that this node has dialled
			{2, at(22, 15), true},  // the present run, on such a connection
			{1, at(19, 20), false}, // what is known of it is not forgotten by that
			{3, at(21, 22), true},  // there was no time between
		}
		in := newInbound(&mailbox{})
		var current <-chan error
		for i, l := range lines {
			f, done := servedOn(t, in, l.line)
			f.write(opening(l.run, uint64(i+1), 0))
			synctest.Wait()
			select {
			case err := <-done:
				if l.stays || !errors.Is(err, errOvertaken) {
					t.Errorf("stream %d: %v", i, err)
				}
			default:
				if !l.stays {
					t.Errorf("stream %d is served", i)
				}
				current = done
				f.hello()
			}
			select {
			case err := <-current:
				t.Errorf("the current stream has ended after stream %d: %v", i, err)
			default:
			}
		}
	})
}

// What the peer wants is said by its newest hello, even if the stream before it
// has just said something else, and that is still being noted.
func TestTheInterestOfTheOldConnectionIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var wants string
		_, worse, better, open := twoWays(t, func(cfg *Config) {
			cfg.OnInterest = func(filters []kozo.Filter) {
				if len(filters) == 0 {
					return
				}
				if filters[0].Type == "old" {
					time.Sleep(50 * time.Millisecond)
				}
				mu.Lock()
				defer mu.Unlock()
				wants = filters[0].Type
			}
		})
		f := <-worse
		f.hello()
		f.write(helloOf(2, 0))
		go func() { _, _ = io.Copy(io.Discard, f.conn) }()
		open.Store(true)
		n := <-better
		n.hello()
		f.write(wire.AppendInterest(nil, []kozo.Filter{{Type: "old"}}))
		synctest.Wait()
		n.write(wire.AppendHello(nil, &wire.Hello{
			Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: wire.Boot{1}, Interest: []kozo.Filter{{Type: "new"}},
		}))
		n.want(wire.TypePing)
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		if wants != "new" {
			t.Errorf("it wants %q", wants)
		}
		_ = n.conn.Close()
	})
}
