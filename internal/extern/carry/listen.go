package carry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"time"

	"kozo"
	"kozo/internal/extern/protocol"
)

// A program that cannot accept is asked again after a pause, which grows.
const (
	firstAccept   = 100 * time.Millisecond
	slowestAccept = 5 * time.Second
)

// listener gets the connections that are made to the program while it is open.
// The requests for them outlive it, so that none is lost on its way when a
// listener takes the place of another.
type listener struct {
	c     *Carrier
	addr  addr
	conns chan *Conn
	life  context.Context // ends when the listener is closed, or with the run
	stop  context.CancelCauseFunc
}

var _ net.Listener = (*listener)(nil)

var errListens = errors.New("it is still open")

// Listen makes the program listen, the first time, and asks for the connections
// that are made to it.
func (c *Carrier) Listen(ctx context.Context, network string) (net.Listener, error) {
	l := &listener{c: c, conns: make(chan *Conn)}
	l.life, l.stop = context.WithCancelCause(c.life)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listener != nil {
		l.stop(errListens)
		return nil, errListens
	}
	c.listener = l
	if c.listens == "" {
		c.mu.Unlock()
		address, err := c.begin(ctx)
		c.mu.Lock()
		if err != nil {
			c.listener = nil
			l.stop(err)
			return nil, err
		}
		c.listens = cmp.Or(address, network)
		for range c.accepts {
			c.tasks.Go(c.serve)
		}
	}
	l.addr = addr{network: network, text: c.listens}
	return l, nil
}

// begin asks the program to listen, and returns the address that it names.
func (c *Carrier) begin(ctx context.Context) (string, error) {
	r := c.ask(false, func(id json.RawMessage, _, _ string) any {
		return protocol.Request{Op: "listen", ID: id}
	})
	line, err := c.answer(ctx, r)
	if err != nil {
		c.forget(r)
		return "", err
	}
	var answer struct {
		Address string `json:"address"`
	}
	if err := json.Unmarshal(line.Raw, &answer); err != nil {
		return "", errors.New(`"address" in the answer to listen is a string`)
	}
	return shorten(kozo.Printable(answer.Address)), nil
}

// serve asks for one connection after the other.
func (c *Carrier) serve() {
	pause := firstAccept
	for c.life.Err() == nil {
		r := c.ask(true, func(id json.RawMessage, socket, token string) any {
			return protocol.Accept{Op: "accept", ID: id, Socket: socket, Token: token}
		})
		conn, err := c.await(c.life, r)
		if err != nil {
			c.forget(r)
			if c.life.Err() == nil {
				c.talk.Note(slog.LevelWarn, "accept: "+err.Error())
				sleep(c.life, pause)
				pause = min(2*pause, slowestAccept)
			}
			continue
		}
		pause = firstAccept
		conn.name("somebody")
		if !c.deliver(conn) {
			_ = conn.Close()
		}
	}
}

// deliver gives a connection to the listener that is open, if there is one.
func (c *Carrier) deliver(conn *Conn) bool {
	for {
		c.mu.Lock()
		l := c.listener
		c.mu.Unlock()
		if l == nil {
			return false
		}
		select {
		case l.conns <- conn:
			return true
		case <-l.life.Done():
			if c.life.Err() != nil {
				return false
			}
		}
	}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.life.Done():
		return nil, &net.OpError{Op: "accept", Net: l.addr.network, Err: context.Cause(l.life)}
	}
}

func (l *listener) Addr() net.Addr { return l.addr }

// Close lets another listener be opened. The program still listens, until it
// ends, and connections live on.
func (l *listener) Close() error {
	l.c.mu.Lock()
	if l.c.listener == l {
		l.c.listener = nil
	}
	l.c.mu.Unlock()
	l.stop(net.ErrClosed)
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
