// Package memnet is a network in memory for tests: hosts with addresses,
// listeners, and connections that behave like those of TCP, with buffers,
// deadlines and half-close. What real networks do to connections can be done to
// these: resets, black holes, partitions, latency, slow lines, addresses that
// move.
//
// All waiting is for channels, timers and a sync.Cond, so that everything works
// inside a testing/synctest bubble in which the network was made: hours of
// silence on a broken line take no time.
package memnet

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// Buffer is how many bytes one direction of a connection holds that were
	// written and not yet read. Then writers block.
	Buffer = 256 << 10

	segment = 1400 // bytes that travel as one on a line with a limited bandwidth
)

// Conditions say how one direction of a connection carries bytes. The zero
// value carries them at once.
type Conditions struct {
	Latency   time.Duration // from write to arrival
	Bandwidth int           // bytes per second; 0: without limit
	Frozen    bool          // nothing arrives; what is on its way waits until it thaws
}

// Conn is one end of a connection. It is safe for concurrent use.
type Conn struct {
	pair          *pair
	side          int
	local, remote net.Addr
	network       *Network // nil for a Pipe
}

var _ net.Conn = (*Conn)(nil)

// pair is the state of both ends.
type pair struct {
	mu    sync.Mutex
	cond  sync.Cond // something changed
	conns [2]*Conn
	ends  [2]end
	out   [2]flow // out[i] is what end i sends
}

type end struct {
	closed        bool
	reset         bool // the connection was reset, and this end knows it
	readDeadline  time.Time
	writeDeadline time.Time
}

// flow is one direction.
type flow struct {
	Conditions
	dead    bool         // a black hole
	arrived bytes.Buffer // for the reader
	transit []piece      // oldest first
	size    int          // bytes in arrived and transit
	free    time.Time    // when the line has sent all of transit

	endErr  error // how the stream ends, once the sender has ended it
	endDue  time.Time
	arrival error // endErr when it has arrived
}

type piece struct {
	data []byte
	due  time.Time
}

// Pipe returns both ends of a connection. They are *[Conn].
func Pipe() (net.Conn, net.Conn) {
	loopback := net.IPv4(127, 0, 0, 1)
	a, b := newPair(&net.TCPAddr{IP: loopback, Port: 1}, &net.TCPAddr{IP: loopback, Port: 2})
	return a, b
}

func newPair(a, b net.Addr) (*Conn, *Conn) {
	p := &pair{}
	p.cond.L = &p.mu
	p.conns[0] = &Conn{pair: p, side: 0, local: a, remote: b}
	p.conns[1] = &Conn{pair: p, side: 1, local: b, remote: a}
	return p.conns[0], p.conns[1]
}

// LocalAddr is a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// Other returns the other end.
func (c *Conn) Other() *Conn { return c.pair.conns[1-c.side] }

func (c *Conn) self() *end { return &c.pair.ends[c.side] }
func (c *Conn) out() *flow { return &c.pair.out[c.side] }
func (c *Conn) in() *flow  { return &c.pair.out[1-c.side] }

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// Read reads what has arrived, or waits for it.
func (c *Conn) Read(b []byte) (int, error) {
	p := c.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		now := time.Now()
		self, in := c.self(), c.in()
		next := in.settle(now)
		switch {
		case self.closed:
			return 0, c.opError("read", net.ErrClosed)
		case passed(self.readDeadline, now):
			return 0, c.opError("read", os.ErrDeadlineExceeded)
		case len(b) == 0:
			return 0, nil
		case in.arrived.Len() > 0:
			n, _ := in.arrived.Read(b)
			in.size -= n
			p.cond.Broadcast()
			return n, nil
		case self.reset:
			return 0, c.opError("read", syscall.ECONNRESET)
		case in.arrival == io.EOF:
			return 0, io.EOF
		case in.arrival != nil:
			self.reset = true
			return 0, c.opError("read", in.arrival)
		}
		p.wait(now, self.readDeadline, next)
	}
}

// Write puts bytes on the way, and waits while there is no room for them.
func (c *Conn) Write(b []byte) (int, error) {
	p := c.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	done := 0
	for {
		now := time.Now()
		self, out, in := c.self(), c.out(), c.in()
		out.settle(now)
		in.settle(now)
		switch {
		case self.closed:
			return done, c.opError("write", net.ErrClosed)
		case out.endErr != nil || self.reset:
			return done, c.opError("write", syscall.EPIPE)
		case in.arrival != nil && in.arrival != io.EOF:
			self.reset = true
			return done, c.opError("write", in.arrival)
		case passed(self.writeDeadline, now):
			return done, c.opError("write", os.ErrDeadlineExceeded)
		case done == len(b):
			return done, nil
		case out.dead:
			return len(b), nil
		case p.ends[1-c.side].closed && !out.Frozen && !in.Frozen && !in.dead:
			// The other host answers with a reset, and the way back is open.
			self.reset = true
			return done, c.opError("write", syscall.EPIPE)
		}
		if n := min(len(b)-done, Buffer-out.size); n > 0 {
			if out.Bandwidth > 0 {
				n = min(n, segment)
			}
			out.send(b[done:done+n], now)
			done += n
			p.cond.Broadcast()
			continue
		}
		p.wait(now, self.writeDeadline, time.Time{})
	}
}

// Close closes this end. The other end reads what is on its way and then the
// end of the stream; but a reset if this end has not read all that was sent to
// it, as with TCP.
func (c *Conn) Close() error {
	p := c.pair
	p.mu.Lock()
	self, out, in := c.self(), c.out(), c.in()
	if self.closed {
		p.mu.Unlock()
		return c.opError("close", net.ErrClosed)
	}
	now := time.Now()
	in.settle(now)
	self.closed = true
	if in.arrived.Len() > 0 || (in.size > 0 && !in.Frozen) {
		out.finish(syscall.ECONNRESET, now)
	} else {
		out.finish(io.EOF, now)
	}
	in.drop()
	over := p.ends[1-c.side].closed
	p.cond.Broadcast()
	p.mu.Unlock()
	if over && c.network != nil {
		c.network.forget(p)
	}
	return nil
}

// CloseWrite ends what this end sends. It can still read.
func (c *Conn) CloseWrite() error {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.self().closed {
		return c.opError("close", net.ErrClosed)
	}
	c.out().finish(io.EOF, time.Now())
	c.pair.cond.Broadcast()
	return nil
}

// SetDeadline is that of [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	return c.setDeadline(func(e *end) { e.readDeadline, e.writeDeadline = t, t })
}

// SetReadDeadline is that of [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(func(e *end) { e.readDeadline = t })
}

// SetWriteDeadline is that of [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(func(e *end) { e.writeDeadline = t })
}

func (c *Conn) setDeadline(set func(*end)) error {
	c.pair.mu.Lock()
	defer c.pair.mu.Unlock()
	if c.self().closed {
		return c.opError("set", net.ErrClosed)
	}
	set(c.self())
	c.pair.cond.Broadcast()
	return nil
}

// wait waits for a change, or until the earlier of two times that are not zero.
func (p *pair) wait(now, deadline, due time.Time) {
	if due.IsZero() || (!deadline.IsZero() && deadline.Before(due)) {
		due = deadline
	}
	if !due.IsZero() {
		timer := time.AfterFunc(due.Sub(now), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.cond.Broadcast()
		})
		defer timer.Stop()
	}
	p.cond.Wait()
}

func passed(deadline, now time.Time) bool { return !deadline.IsZero() && !deadline.After(now) }
