package secure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"kozo"
)

// maxStreams bounds the streams that a peer can have open on a connection. Each
// can hold 2 MiB that nobody has read.
const maxStreams = 4

// Conn is an encrypted connection with a known peer. All methods may be called
// by several goroutines at once.
type Conn struct {
	peer     kozo.NodeName
	raw      *raw
	ssh      ssh.Conn               // nil if the transport encrypts by itself
	only     atomic.Pointer[Stream] // the one that can be opened then
	incoming chan *Stream           // opened by the peer, not accepted yet
	inbound  atomic.Int32           // streams that the peer opened and that are not over
	tasks    sync.WaitGroup         // everything that runs for the connection; serve until the end
}

func newConn(r *raw, peer kozo.NodeName, c ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) *Conn {
	conn := &Conn{peer: peer, raw: r, ssh: c, incoming: make(chan *Stream, maxStreams)}
	conn.tasks.Go(func() { conn.serve(chans, reqs) })
	return conn
}

// serve answers what the peer asks for, until the connection ends.
func (c *Conn) serve(chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	for chans != nil || reqs != nil {
		select {
		case offer, ok := <-chans:
			if !ok {
				chans = nil
				continue
			}
			c.offered(offer)
		case req, ok := <-reqs:
			if !ok {
				reqs = nil
				continue
			}
			req.Reply(false, nil)
		}
	}
	c.raw.opens.forbid()
	// Unless the network failed, the reason is not known yet.
	c.raw.kill(fmt.Errorf("the other side broke the protocol: %s", plain(c.ssh.Wait())))
}

func (c *Conn) offered(offer ssh.NewChannel) {
	switch {
	case offer.ChannelType() != channelType:
		offer.Reject(ssh.UnknownChannelType, "only "+channelType+" can be opened")
		return
	case c.inbound.Load() >= maxStreams || len(c.incoming) == cap(c.incoming):
		offer.Reject(ssh.ResourceShortage, "too many streams are open")
		return
	}
	channel, reqs, err := offer.Accept()
	if err != nil {
		return
	}
	c.inbound.Add(1)
	c.tasks.Go(func() {
		ssh.DiscardRequests(reqs) // until the stream is closed by both sides
		c.inbound.Add(-1)
	})
	c.incoming <- &Stream{conn: c, channel: channel} // has room: nobody else sends
}

// Peer returns the node at the other end.
func (c *Conn) Peer() kozo.NodeName { return c.peer }

// Open opens a stream to the peer.
func (c *Conn) Open(ctx context.Context) (*Stream, error) {
	if c.ssh == nil {
		return c.openOnly()
	}
	if err := c.raw.opens.begin(&c.tasks); err != nil {
		if c.Err() != nil {
			err = c.Err()
		}
		return nil, err
	}
	type result struct {
		stream *Stream
		err    error
	}
	results := make(chan result)
	abandoned := make(chan struct{})
	defer close(abandoned)
	go func() {
		defer c.tasks.Done()
		channel, reqs, err := c.ssh.OpenChannel(channelType, nil)
		c.raw.opens.done()
		var s *Stream
		if err == nil {
			c.tasks.Go(func() { ssh.DiscardRequests(reqs) })
			s = &Stream{conn: c, channel: channel}
		}
		select {
		case results <- result{s, err}:
		case <-abandoned:
			if s != nil {
				s.Close()
			}
		}
	}()
	select {
	case r := <-results:
		if refusal, ok := errors.AsType[*ssh.OpenChannelError](r.err); ok {
			return nil, fmt.Errorf("%s refused the stream: %s", c.peer, printable(refusal.Message, 128))
		}
		if r.err != nil {
			return nil, c.errOr(errors.New(plain(r.err)))
		}
		return r.stream, nil
	case <-c.Done():
		return nil, c.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for the next stream that the peer opens.
func (c *Conn) Accept(ctx context.Context) (*Stream, error) {
	select {
	case s := <-c.incoming:
		return s, nil
	case <-c.Done():
		return nil, c.Err()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close closes the connection at once, whatever is under way, and everything
// that waits for it. The reason is kept for Err if the connection has not ended
// before; nil stands for [ErrClosed].
func (c *Conn) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.raw.kill(reason)
}

// Wait waits until the connection has ended and nothing of it runs any more.
func (c *Conn) Wait() { c.tasks.Wait() }

// Done is closed when the connection has ended.
func (c *Conn) Done() <-chan struct{} { return c.raw.end.done }

// Err returns why the connection ended, in words for people: the first reason.
// It is nil as long as the connection lives.
func (c *Conn) Err() error { return c.raw.reason() }

func (c *Conn) errOr(other error) error {
	if err := c.Err(); err != nil {
		return err
	}
	return other
}

// Received returns how many bytes were read from the network so far.
func (c *Conn) Received() uint64 { return c.raw.received.Load() }

// Sent returns how many bytes were handed to the network so far.
func (c *Conn) Sent() uint64 { return c.raw.sent.Load() }

// RemoteAddr returns the network address of the other end.
func (c *Conn) RemoteAddr() string { return c.raw.address() }

func (r *raw) address() string {
	if a := r.RemoteAddr(); a != nil {
		return a.String()
	}
	return "unknown"
}

// Stream is an ordered flow of bytes in both directions. One goroutine may read
// while others write.
type Stream struct {
	conn    *Conn
	channel io.ReadWriteCloser
	writing sync.Mutex
}

var _ io.ReadWriteCloser = (*Stream)(nil)

// Read reads what has arrived. After the end it still returns what had arrived
// before. The error is io.EOF if the peer closed the stream, and the reason of
// the end if the connection has ended.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.channel.Read(p)
	if err != nil && n == 0 {
		err = s.conn.errOr(err)
	}
	return n, err
}

// Write sends bytes. Up to 32 KiB travel in one packet, and a packet costs the
// same whether it is full or not, so small pieces should be put together first.
// Returning without an error does not mean that the peer has received them.
func (s *Stream) Write(p []byte) (int, error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	n, err := s.channel.Write(p)
	if err == nil {
		// The ssh package does not report the write that fails, but the next.
		err = s.conn.Err()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrClosedPipe
	}
	if err != nil {
		err = s.conn.errOr(err)
	}
	return n, err
}

// Close closes the stream in both directions. What was written before still
// arrives.
func (s *Stream) Close() error {
	if err := s.channel.Close(); err != nil && !errors.Is(err, io.EOF) {
		return s.conn.errOr(err)
	}
	return nil
}
