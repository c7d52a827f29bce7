package link

import (
	"context"
	"errors"
	"io"
	"time"

	"kozo/internal/wire"
)

// byeTimeout bounds the goodbye to a peer that may not be there any more.
const byeTimeout = 200 * time.Millisecond

// reading is the end of the reading side of a session.
type reading struct {
	dead chan struct{} // closed then
	err  error         // why; valid after dead is closed
}

// serve works a session until it ends, and returns the session to go on with if
// it has moved to a better connection, or nil.
func (l *Link) serve(ctx context.Context, s *session) *session {
	l.cfg.OnInterest(s.interest) // nobody reads any more what the session before says about it
	s.interest = nil
	p := &reading{dead: make(chan struct{})}
	w := &watch{link: l, session: s, reading: p}
	go func() {
		p.err = w.read(s.reader)
		s.end(p.err) // unblocks a write
		close(p.dead)
	}()
	// A write to a dead peer can block: the end of ctx leaves it a moment.
	unstop := context.AfterFunc(ctx, func() {
		waitOr(p.dead, byeTimeout)
		s.conn.Close(ErrStopped)
	})
	defer unstop()

	better, stopProbing := l.probe(ctx, s)
	m := l.move(ctx, s, p, better)
	next, err := l.write(ctx, s, w, m.moved)
	if next == nil {
		next = m.last(ctx)
	}
	for n := range stopProbing() {
		n.conn.Close(errMoved)
	}
	if next != nil {
		l.adopt(next)
		s.end(errMoved)
		<-p.dead
		m.end()
		return next
	}
	s.end(err)
	<-p.dead
	err = p.err // why reading ended says more than why writing did
	if ctx.Err() != nil {
		err = ErrStopped
	}
	l.mu.Lock()
	l.serving, l.writing = false, false
	l.outbox.Rewind()
	l.mu.Unlock()
	l.setDown(err)
	return nil
}

// write sends what is in the outbox, and a ping at every heartbeat, until the
// session ends or there is one to move to.
func (l *Link) write(ctx context.Context, s *session, w *watch, moved <-chan *session) (*session, error) {
	beat := newBeat(l.cfg.Since, l.cfg.Heartbeat)
	defer beat.stop()
	if err := w.ping(s.stream); err != nil {
		return nil, err
	}
	for {
		// A ping goes between two chunks, and a link moves, however much there is
		// to send.
		select {
		case <-beat.c:
			beat.next()
			if err := w.ping(s.stream); err != nil {
				return nil, err
			}
		case n := <-moved:
			if n != nil {
				return n, nil
			}
			moved = nil // there is nothing better any more
		default:
		}
		first, rest, waits := l.take()
		if len(first) > 0 {
			if err := w.write(s.stream, first, rest); err != nil {
				return nil, err
			}
			continue
		}
		if waits && w.unasked > 0 {
			if err := w.ask(s.stream); err != nil {
				return nil, err
			}
		}
		select {
		case <-l.wake:
		case <-beat.c:
			beat.next()
			if err := w.ping(s.stream); err != nil {
				return nil, err
			}
		case n := <-moved:
			if n != nil {
				return n, nil
			}
			moved = nil
		case <-w.reading.dead:
			return nil, w.reading.err
		case <-ctx.Done():
			_, _ = s.stream.Write(wire.AppendBye(nil, byeStopping))
			return nil, ErrStopped
		}
	}
}

// take takes frames out of the outbox to be written; the last ones have been.
// waits says that there are none, but that somebody waits for the confirmation of
// what is in flight.
func (l *Link) take() (first, rest []byte, waits bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outbox.Ready() {
		l.expire(time.Now())
	}
	first, rest, n := l.outbox.Take()
	l.ledger.written += uint64(n)
	l.writing = n > 0
	l.blocked = n == 0 && l.outbox.Ready()
	l.release()
	return first, rest, l.blocked || l.flushed != nil
}

// watch is what goes on in a session beside the messages: what the peer is asked,
// and what it says about how it is doing.
type watch struct {
	link    *Link
	session *session
	reading *reading

	// The writer's.
	pings   uint64 // that were sent
	unasked int    // bytes that were written since the last one

	// Guarded by the lock of the link.
	beatID   uint64 // of the ping of the last heartbeat
	beatSent time.Time
}

// askAfter is the part of the window after which the peer is asked what has
// arrived: so its answers come long before the window is full.
const askAfter = 8

// write writes frames of messages.
func (w *watch) write(stream io.Writer, first, rest []byte) error {
	if _, err := stream.Write(first); err != nil {
		return err
	}
	if len(rest) > 0 {
		if _, err := stream.Write(rest); err != nil {
			return err
		}
	}
	if w.unasked += len(first) + len(rest); w.unasked < window(w.link.cfg)/askAfter {
		return nil
	}
	return w.ask(stream)
}

// ask asks the peer for what it has received.
func (w *watch) ask(stream io.Writer) error {
	w.pings++
	w.unasked = 0
	_, err := stream.Write(wire.AppendPing(nil, wire.Ping{ID: w.pings, Wall: time.Now().UnixNano()}))
	return err
}

// ping asks the peer at a heartbeat, for a sign of life too. The peer echoes the
// number, so that a late answer is not taken for that to a later ping, or that
// of a ping that waited behind messages for that of a heartbeat.
func (w *watch) ping(stream io.Writer) error {
	l := w.link
	l.mu.Lock()
	l.outbox.Trim()
	w.beatID, w.beatSent = w.pings+1, time.Now()
	l.mu.Unlock()
	return w.ask(stream)
}

// read works off the frames that the peer sends back, until one is wrong or the
// stream ends.
func (w *watch) read(r *wire.Reader) error {
	for {
		typ, payload, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the peer closed the connection")
			}
			return err
		}
		switch typ {
		case wire.TypePong:
			p, err := wire.ParsePong(payload)
			if err != nil {
				return err
			}
			w.timing(&p)
			w.confirm(p.Seen)
		case wire.TypeAck:
			a, err := wire.ParseAck(payload)
			if err != nil {
				return err
			}
			w.confirm(a.Seen)
		case wire.TypeInterest:
			filters, err := wire.ParseInterest(payload)
			if err != nil {
				return err
			}
			w.link.cfg.OnInterest(filters)
		case wire.TypeBlocks:
			blocks, err := wire.ParseBlocks(payload)
			if err != nil {
				return err
			}
			if w.current() { // after a move, the newer hello knows better
				w.link.cfg.OnBlocks(blocks)
			}
		case wire.TypeBye:
			return byeError(payload)
		}
	}
}

func (w *watch) current() bool {
	w.link.mu.Lock()
	defer w.link.mu.Unlock()
	return w.link.session == w.session
}

func (w *watch) timing(p *wire.Pong) {
	l := w.link
	now := time.Now()
	theirs := time.Unix(0, p.Wall)
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.ID != w.beatID || l.session != w.session {
		return
	}
	roundTrip := now.Sub(w.beatSent)
	l.state.roundTrip, l.state.skew = roundTrip, theirs.Sub(now.Round(0).Add(-roundTrip/2))
}

// lifetime is how many heartbeats a direction may be silent.
const lifetime = 2.5

// Lifetime is how long a connection may be silent in one direction before it is
// given up, for a heartbeat of the given interval.
func Lifetime(heartbeat time.Duration) time.Duration {
	return time.Duration(lifetime * float64(heartbeat))
}

// confirm notes what the peer has got. Nothing is written on the next session
// while this one is read, so a number that comes late is not taken for that of a
// later message.
func (w *watch) confirm(seen uint64) {
	l := w.link
	l.mu.Lock()
	l.outbox.Confirm(l.ledger.confirm(seen))
	wake := l.blocked
	l.blocked = false
	l.release()
	l.mu.Unlock()
	if wake {
		signal(l.wake)
	}
}
