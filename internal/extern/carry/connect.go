package carry

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"time"

	"kozo/internal/extern/protocol"
)

// handOver is how long a program may take from its answer to the connection
// that it has announced.
const handOver = 5 * time.Second

// Target is what to connect to.
type Target struct {
	Endpoint string
	Index    int // of the endpoint, among those of the remote block
	Remote   protocol.Block
}

// Connect asks for a connection. If ctx ends before, what comes of it is closed.
func (c *Carrier) Connect(ctx context.Context, to Target) (net.Conn, error) {
	r := c.ask(true, func(id json.RawMessage, socket, token string) any {
		line := protocol.Connect{
			Op: "connect", ID: id, Endpoint: to.Endpoint, Index: to.Index, Remote: to.Remote,
			Socket: socket, Token: token,
		}
		if end, ok := ctx.Deadline(); ok {
			line.Timeout = max(0, time.Until(end).Seconds())
		}
		return line
	})
	conn, err := c.await(ctx, r)
	if err != nil {
		c.forget(r)
		return nil, err
	}
	conn.name(to.Endpoint)
	return conn, nil
}

// await waits for the connection that a request wants. The answer may come
// before it or after it.
func (c *Carrier) await(ctx context.Context, r *request) (*Conn, error) {
	var late <-chan time.Time
	reply := r.reply
	for {
		select {
		case conn := <-r.taken:
			c.settled(r)
			return conn, nil
		case l := <-reply:
			if l.Op == "error" {
				return nil, failure(l)
			}
			timer := time.NewTimer(handOver)
			defer timer.Stop()
			late, reply = timer.C, nil
		case <-late:
			return nil, errors.New("the program says that it has connected, and has not handed the connection over")
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.life.Done():
			return nil, context.Cause(c.life)
		}
	}
}

// answer waits for the answer to a request that wants no connection.
func (c *Carrier) answer(ctx context.Context, r *request) (*protocol.Line, error) {
	select {
	case l := <-r.reply:
		if l.Op == "error" {
			return nil, failure(l)
		}
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.life.Done():
		return nil, context.Cause(c.life)
	}
}
