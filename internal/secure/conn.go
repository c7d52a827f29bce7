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

// Conn is an encrypted connection with a known peer. All methods may be called by
// several goroutines at once, except for Serve.
type Conn struct {
	peer    kozo.NodeName
	raw     *raw
	ssh     ssh.Conn               // nil if the transport encrypts by itself
	only    atomic.Pointer[Stream] // the one that can be opened then
	theirs  *Stream                // or the one that the peer has opened
	asked   asked
	inbound atomic.Int32   // streams that the peer opened and that are not over
	tasks   sync.WaitGroup // all that runs for the connection beside Serve
}

func newConn(r *raw, peer kozo.NodeName, c ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) *Conn {
	return &Conn{peer: peer, raw: r, ssh: c, asked: asked{chans: chans, reqs: reqs, opened: make(chan requests, len(asked{}.streams))}}
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
			c.listen(requests{reqs: reqs})
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

// Close closes the connection at once, whatever is under way, and everything
// that waits for it. The reason is kept for Err if the connection has not ended
// before; nil stands for [ErrClosed].
func (c *Conn) Close(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.raw.kill(reason)
}

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
