package link

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
