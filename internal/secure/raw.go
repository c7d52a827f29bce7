package secure

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Reasons for which a connection ends, beside those given to [Conn.Close].
var (
	ErrClosed     = errors.New("closed")
	ErrPeerClosed = errors.New("closed by the other side")
	ErrReset      = errors.New("reset by the other side")
)

const (
	smallRead = 4 << 10 // what an idle connection reads at a time
	largeRead = 1 << 20 // more at a time gains nothing
	calm      = 4       // so many small reads, or writes, in a row mean that there is little to do
)

// raw is the connection under the encryption. It has the time limits, of which
// the ssh package has none, counts bytes, and remembers why the connection
// ended.
type raw struct {
	net.Conn
	received, sent atomic.Uint64
	readSize       int           // most bytes a read
	handshake      time.Duration // how long it may take
	gate           gate
	opens          opens
	joins          atomic.Bool // see joinable
	joint          joint       // of writes, of which the ssh package makes one at a time

	limit struct {
		sync.Mutex
		idle time.Duration // 0 during the handshake, which has one limit for all
	}

	// Used by the goroutine of the ssh package that reads, and by no other.
	buffer []byte // kept while reads are large
	rest   []byte // what was read into it and not taken yet
	want   int    // how much to read next
	small  int    // how many reads in a row were small

	end struct {
		sync.Once
		done   chan struct{}
		reason error // written before done is closed
	}
	shut struct {
		sync.Once
		done chan struct{} // the network connection is closed
	}
}

func newRaw(c net.Conn, cfg *Config) *raw {
	r := &raw{Conn: c, readSize: cfg.ReadSize, handshake: cfg.HandshakeTimeout}
	if r.readSize <= 0 {
		r.readSize = 64 << 10
	}
	if r.handshake <= 0 {
		r.handshake = 10 * time.Second
	}
	r.readSize = min(r.readSize, largeRead)
	r.want = min(smallRead, r.readSize)
	r.end.done = make(chan struct{})
	r.shut.done = make(chan struct{})
	c.SetDeadline(time.Now().Add(r.handshake))
	return r
}

// established ends the handshake: from now on each read and write has a time
// limit of its own.
func (r *raw) established(idle time.Duration, out ssh.DirectionAlgorithms) {
	r.gate.open()
	r.joins.Store(joinable(out))
	r.limit.Lock()
	defer r.limit.Unlock()
	r.limit.idle = max(idle, time.Millisecond)
	r.SetWriteDeadline(time.Time{})
	r.SetReadDeadline(time.Now().Add(r.limit.idle)) // for the read that is under way
}

// kill closes the connection. The first reason is kept.
func (r *raw) kill(reason error) {
	r.end.Do(func() {
		r.end.reason = reason
		close(r.end.done)
	})
	r.Close()
}

// reason returns why the connection ended, or nil.
func (r *raw) reason() error {
	select {
	case <-r.end.done:
		return r.end.reason
	default:
		return nil
	}
}

// Close closes the network connection and leaves it to others to say why.
func (r *raw) Close() error {
	var err error
	r.shut.Do(func() {
		close(r.shut.done)
		err = r.Conn.Close()
	})
	return err
}

// Read is called by the ssh package for 4 KiB or for the rest of a packet. While
// there is much to read, more is taken at a time.
func (r *raw) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.gate.isOpen() && len(p) >= r.want {
			if r.want <= smallRead {
				r.buffer, r.rest = nil, nil
			}
			return r.receive(p[:min(len(p), r.readSize)])
		}
		if len(r.buffer) != r.want {
			r.buffer = make([]byte, r.want)
		}
		n, err := r.receive(r.buffer)
		if err != nil {
			return 0, err
		}
		r.rest = r.buffer[:n]
	}
	n, err := r.gate.pass(min(len(p), len(r.rest)), r.shut.done)
	if err != nil {
		if !errors.Is(err, net.ErrClosed) { // whoever closed it knows why
			r.kill(err)
		}
		return 0, err
	}
	copy(p, r.rest[:n])
	r.rest = r.rest[n:]
	return n, nil
}

func (r *raw) receive(p []byte) (int, error) {
	r.limit.Lock()
	if r.limit.idle > 0 {
		r.SetReadDeadline(time.Now().Add(r.limit.idle))
	}
	r.limit.Unlock()
	n, err := r.Conn.Read(p)
	r.received.Add(uint64(n))
	if n > 0 {
		r.adapt(n, len(p))
		return n, nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		r.limit.Lock()
		idle := r.limit.idle // the handshake may have ended meanwhile
		r.limit.Unlock()
		r.kill(r.explain(err, "nothing received for", idle))
	}
	r.opens.settle()
	return 0, err
}

// adapt doubles what is read at a time when a read took all it could, and goes
// back to little, which costs no memory while nothing arrives, after some small
// reads.
func (r *raw) adapt(n, most int) {
	switch {
	case n == most:
		r.want, r.small = min(2*r.want, r.readSize), 0
	case n > smallRead:
		r.small = 0
	default:
		if r.small++; r.small >= calm {
			r.want, r.small = min(smallRead, r.readSize), 0
		}
	}
}

// Write has a time limit that grows with the number of bytes, in units of what
// is read at a time, since that is how the other side takes them.
func (r *raw) Write(p []byte) (int, error) {
	r.gate.written(p)
	if r.joins.Load() && r.joint.hold(p) {
		return len(p), nil
	}
	held := len(r.joint.first)
	r.limit.Lock()
	idle := r.limit.idle * time.Duration(1+(held+len(p))/r.readSize)
	if idle > 0 {
		r.SetWriteDeadline(time.Now().Add(idle))
	}
	r.limit.Unlock()
	n, err := r.joint.write(r.Conn, p)
	r.sent.Add(uint64(n))
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		r.kill(r.explain(err, "nothing could be sent for", idle))
	}
	return max(n-held, 0), err
}

// explain says in words for people why a read or a write failed.
func (r *raw) explain(err error, late string, idle time.Duration) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && idle == 0:
		return fmt.Errorf("the handshake was not done after %v", r.handshake)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s %v", late, idle.Round(time.Millisecond))
	case errors.Is(err, io.EOF):
		return ErrPeerClosed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ErrReset
	case errors.Is(err, syscall.ETIMEDOUT):
		return errors.New("the other side does not answer any more")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	return fmt.Errorf("the network failed: %w", err)
}
