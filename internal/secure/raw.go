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

	// Limits of time after the handshake, for which the watch sees to them. Times
	// are as the watch counts, and 0 if nothing is under way.
	watch    *Watch
	idle     atomic.Int64 // how long a read may take; 0 during the handshake
	reading  atomic.Int64 // since when a read is under way
	sendBy   atomic.Int64 // when the write that is under way must have ended
	sendMost atomic.Int64 // how long it may take

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
	r := &raw{Conn: c, readSize: cfg.ReadSize, handshake: cfg.HandshakeTimeout, watch: cfg.Watch}
	if r.watch == nil {
		r.watch = NewWatch(time.Now(), 0)
	}
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
	if since := r.reading.Load(); since > 0 { // it begins now
		r.reading.CompareAndSwap(since, int64(r.watch.now()))
	}
	r.idle.Store(int64(max(idle, time.Millisecond)))
	r.SetDeadline(time.Time{})
	r.watch.add(r)
	select {
	case <-r.shut.done: // it was closed meanwhile, and may have been removed before it was added
		r.watch.remove(r)
	default:
	}
}

// patience is when the connection is to be ended if nothing more happens until
// then. What begins later has at least as long.
func (r *raw) patience(now time.Duration) time.Duration {
	end := int64(now) + r.idle.Load()
	if since := r.reading.Load(); since > 0 {
		end = min(end, since+r.idle.Load())
	}
	if by := r.sendBy.Load(); by > 0 {
		end = min(end, by)
	}
	return time.Duration(end)
}

// late says what has taken too long by now.
func (r *raw) late(now time.Duration) error {
	what, limit := "nothing could be sent for", r.sendMost.Load()
	if since, idle := r.reading.Load(), r.idle.Load(); since > 0 && since+idle <= int64(now) {
		what, limit = "nothing received for", idle
	}
	return fmt.Errorf("%s %v", what, time.Duration(limit).Round(time.Millisecond))
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
		r.watch.remove(r)
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
	r.reading.Store(int64(r.watch.now()))
	n, err := r.Conn.Read(p)
	r.reading.Store(0)
	r.received.Add(uint64(n))
	if n > 0 {
		r.adapt(n, len(p))
		return n, nil // an error comes again
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	if !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		r.kill(r.explain(err))
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
	if idle := r.idle.Load(); idle > 0 {
		limit := idle * int64(1+(held+len(p))/r.readSize)
		r.sendMost.Store(limit)
		r.sendBy.Store(int64(r.watch.now()) + limit)
	}
	n, err := r.joint.write(r.Conn, p)
	r.sendBy.Store(0)
	r.sent.Add(uint64(n))
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, io.ErrClosedPipe) {
		r.kill(r.explain(err))
	}
	return max(n-held, 0), err
}

// explain says in words for people why a read or a write failed.
func (r *raw) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // the only one there is
		return fmt.Errorf("the handshake was not done after %v", r.handshake)
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
