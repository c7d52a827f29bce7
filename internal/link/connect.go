package link

import (
	"context"
	"io"
	"time"

	"kozo"
	"kozo/internal/wire"
)

// session is a stream on a live connection, after both hellos.
type session struct {
	conn      Conn
	stream    io.ReadWriteCloser
	reader    *wire.Reader
	boot      wire.Boot     // of the peer
	interest  []kozo.Filter // as its hello says
	target    int           // unless it rides
	transport string
	endpoint  string
	rank      int
	hello     time.Duration // how long the hellos may take, if longer than usual
	head      time.Duration // how long they may take while there is another connection
	rides     bool

	// From the exchange of hellos until the session is adopted.
	sent   uint64
	theirs *wire.Hello

	// Guarded by the lock of the link.
	greeted   bool
	abandoned bool // must not be greeted any more
}

// end closes a session. A connection that the link rides on is not its own: only
// the stream is closed.
func (s *session) end(reason error) {
	_ = s.stream.Close()
	if !s.rides {
		s.conn.Close(reason)
	}
}

// connect tries until there is a session. It returns nil and no error when the
// link is not wanted any more, and an error only when ctx is done. What may still
// lead to a better connection than that of the session goes on.
func (l *Link) connect(ctx context.Context, retry *backoff) (*session, error) {
	l.dials = newDials(ctx, l)
	for ctx.Err() == nil && l.wanted() {
		l.setDialling()
		done, err := l.turn(ctx)
		if err != nil {
			break
		}
		s, err := l.attempt(ctx)
		done()
		if s != nil && ctx.Err() == nil {
			l.dials.only(s.rank)
			return s, nil
		}
		if s != nil {
			s.end(ErrStopped)
		}
		if ctx.Err() == nil {
			l.pause(ctx, retry, err)
		}
	}
	l.dials.end()
	l.dials = nil
	return nil, ctx.Err()
}

// turn waits until the link may try to connect, unless it has a connection already:
// the peer does not wait for long until it is used.
func (l *Link) turn(ctx context.Context) (done func(), err error) {
	if l.cfg.Turn == nil || len(l.dials.ready) > 0 {
		return func() {}, nil
	}
	return l.cfg.Turn(ctx)
}

// pause waits before the next attempt, after one that failed with err or a
// connection that did not last, unless a dial that is still under way succeeds.
func (l *Link) pause(ctx context.Context, retry *backoff, err error) {
	pause := retry.pause()
	next := time.Now().Add(pause)
	if len(l.cfg.Targets) == 0 && l.cfg.Ride() == nil {
		pause, next = l.cfg.Retry, time.Time{} // a kick comes with the peer
	}
	l.setWaiting(next, err)
	var ended <-chan *dial
	if l.dials != nil {
		ended = l.dials.ended
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for kicked := false; !kicked; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case x := <-ended:
			if l.dials.note(x) && x.err == nil {
				return
			}
		case <-l.kick:
			kicked = true
		}
	}
	// However often the peer comes, it is not dialled more often than that.
	if wait := firstPause - time.Since(l.kicked); wait > 0 && wait < pause {
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	l.kicked = time.Now()
}
