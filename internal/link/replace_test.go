package link

import (
	"context"
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
				serving.Go(func() { _ = in.Serve(ctx, old, cloggedConn{old}, shared, 0) })
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
