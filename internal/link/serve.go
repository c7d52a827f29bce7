package link

import (
	"context"
	"errors"
	"io"
	"time"

	"kozo/internal/queue"
	"kozo/internal/wire"
)

// byeTimeout bounds the goodbye to a peer that may not be there any more.
const byeTimeout = 200 * time.Millisecond

// pongs is what the reading side of a session tells the writing side.
type pongs struct {
	dead    chan struct{} // closed when reading has ended
	err     error         // why; valid after dead is closed
	settled chan struct{} // gets a value when something was confirmed
}

// serve works a session until it ends, and returns the session to go on with if
// it has moved to a better connection, or nil.
func (l *Link) serve(ctx context.Context, s *session) *session {
	p := &pongs{dead: make(chan struct{}), settled: make(chan struct{}, 1)}
	w := &watch{link: l, session: s, pongs: p}
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
	next, err := l.write(ctx, s, w, better)
	for n := range stopProbing() {
		n.conn.Close(errMoved)
	}
	if next != nil {
		s.end(errMoved)
		// The peer closes its side of a stream that rode on its connection; if
		// it does not, the connection is not worth keeping.
		if !waitOr(p.dead, drainTimeout) {
			s.conn.Close(errMoved)
			<-p.dead
		}
		return next
	}
	s.end(err)
	<-p.dead
	err = p.err // why reading ended says more than why writing did
	if ctx.Err() != nil {
		err = ErrStopped
	}
	l.mu.Lock()
	l.ledger.cut()
	l.writing = false
	l.mu.Unlock()
	l.setDown(err)
	return nil
}

// write sends what is in the outbox, and a ping at every heartbeat, until the
// session ends or has moved.
func (l *Link) write(ctx context.Context, s *session, w *watch, better <-chan *session) (*session, error) {
	beat := newBeat(l.cfg.Since, l.cfg.Heartbeat)
	defer beat.stop()
	if err := w.ping(s.stream); err != nil {
		return nil, err
	}
	var chunk *queue.Chunk
	for {
		// A ping goes between two chunks, however much there is to send.
		select {
		case <-beat.c:
			beat.next()
			if err := w.ping(s.stream); err != nil {
				return nil, err
			}
		default:
		}
		var flushing bool
		if chunk, flushing = l.take(chunk); chunk != nil {
			first, rest := chunk.Bytes()
			if _, err := s.stream.Write(first); err != nil {
				return nil, err
			}
			if len(rest) > 0 {
				if _, err := s.stream.Write(rest); err != nil {
					return nil, err
				}
			}
			continue
		}
		if flushing {
			if err := w.ping(s.stream); err != nil {
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
		case n, ok := <-better:
			if !ok { // the probing has ended: so will this, in a moment
				better = nil
			} else if l.move(ctx, s, w, n, beat) {
				return n, nil
			}
		case <-w.pongs.dead:
			return nil, w.pongs.err
		case <-ctx.Done():
			_, _ = s.stream.Write(wire.AppendBye(nil, byeStopping))
			return nil, ErrStopped
		}
	}
}

// take moves a chunk of frames from the outbox to the stream's side of the
// ledger; the last one has been written. flushing says that somebody waits for
// the confirmation of what is in flight.
func (l *Link) take(last *queue.Chunk) (chunk *queue.Chunk, flushing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last != nil {
		l.outbox.Recycle(last)
	}
	if l.outbox.Len() > 0 {
		l.expire(time.Now())
	}
	if chunk = l.outbox.Take(); chunk != nil {
		l.ledger.written += uint64(chunk.Len())
	}
	l.writing = chunk != nil
	l.release()
	return chunk, l.flushed != nil
}

// watch is the reading side of a session: what the peer says about how it is
// doing.
type watch struct {
	link    *Link
	session *session
	pongs   *pongs

	// Guarded by the lock of the link.
	pingID   uint64
	pingSent time.Time
}

// ping asks the peer for a sign of life and for what it has received. The peer
// echoes the number, so that a late answer is not taken for that to a later ping.
func (w *watch) ping(stream io.Writer) error {
	l := w.link
	l.mu.Lock()
	l.outbox.Trim()
	w.pingID++
	w.pingSent = time.Now()
	p := wire.Ping{ID: w.pingID, Wall: w.pingSent.UnixNano()}
	l.mu.Unlock()
	_, err := stream.Write(wire.AppendPing(nil, p))
	return err
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
			if w.current() { // after a move, the newer hello knows better
				w.link.cfg.OnInterest(filters)
			}
		case wire.TypeBlocks:
			blocks, err := wire.ParseBlocks(payload)
			if err != nil {
				return err
			}
			if w.current() {
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
	l.mu.Lock()
	id, sent := w.pingID, w.pingSent
	l.mu.Unlock()
	if p.ID != id {
		return
	}
	roundTrip := now.Sub(sent)
	theirs := time.Unix(0, p.Wall)
	l.setTiming(roundTrip, theirs.Sub(now.Round(0).Add(-roundTrip/2)))
}

// lifetime is how many heartbeats a direction may be silent.
const lifetime = 2.5

// Lifetime is how long a connection may be silent in one direction before it is
// given up, for a heartbeat of the given interval.
func Lifetime(heartbeat time.Duration) time.Duration {
	return time.Duration(lifetime * float64(heartbeat))
}

func (w *watch) confirm(seen uint64) {
	l := w.link
	l.mu.Lock()
	l.ledger.confirm(seen)
	l.release()
	l.mu.Unlock()
	signal(w.pongs.settled)
}
