package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"kozo/internal/wire"
)

// session is a stream on a live connection, after both hellos.
type session struct {
	conn      Conn
	stream    io.ReadWriteCloser
	reader    *wire.Reader
	boot      wire.Boot // of the peer
	transport string
	endpoint  string
	rank      int
	hello     time.Duration // how long the hellos may take, if longer than usual
	rides     bool
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
// link is not wanted any more, and an error only when ctx is done.
func (l *Link) connect(ctx context.Context, retry *backoff) (*session, error) {
	for {
		if ctx.Err() != nil || !l.wanted() {
			return nil, ctx.Err()
		}
		l.setDialling()
		s, err := l.attempt(ctx)
		if ctx.Err() != nil {
			if s != nil {
				s.end(ErrStopped)
			}
			return nil, ctx.Err()
		}
		if s != nil {
			return s, nil
		}
		l.pause(ctx, retry, err)
	}
}

// pause waits before the next attempt, after one that failed with err or a
// connection that did not last.
func (l *Link) pause(ctx context.Context, retry *backoff, err error) {
	pause := retry.pause()
	next := time.Now().Add(pause)
	if len(l.cfg.Targets) == 0 && l.cfg.Ride() == nil {
		pause, next = l.cfg.Retry, time.Time{} // a kick comes with the peer
	}
	l.setWaiting(next, err)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
		return
	case <-l.kick:
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

// attempt tries every target once and then to ride.
func (l *Link) attempt(ctx context.Context) (*session, error) {
	s, err := l.dial(ctx)
	if s != nil {
		return s, nil
	}
	if conn := l.cfg.Ride(); conn != nil {
		s := &session{conn: conn, rank: rideRank, rides: true, transport: "peer's"}
		rideErr := l.greet(ctx, s)
		if rideErr == nil {
			return s, nil
		}
		if err == nil {
			err = fmt.Errorf("cannot use the connection that the peer made: %w", rideErr)
		}
	}
	if err == nil {
		err = errors.New("it has no address to dial and has not dialled this node")
	}
	return nil, err
}

// rideRank is worse than that of any target.
const rideRank = 1 << 30

// dial tries the targets in order and returns the first session, or the errors
// of all of them.
func (l *Link) dial(ctx context.Context) (*session, error) {
	var errs []error
	for i := range l.cfg.Targets {
		s, err := l.dialTarget(ctx, i)
		if err == nil {
			if err = l.greet(ctx, s); err == nil {
				return s, nil
			}
			s.conn.Close(err)
			l.setTried(i, err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		errs = append(errs, fmt.Errorf("%s %s: %w", s.transport, s.endpoint, err))
	}
	return nil, errors.Join(errs...)
}

// dialTarget makes a connection, without a stream yet. The session is never nil.
func (l *Link) dialTarget(ctx context.Context, i int) (*session, error) {
	t := &l.cfg.Targets[i]
	s := &session{transport: t.Transport, endpoint: t.Endpoint, rank: t.Rank, hello: t.Hello}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var err error
	s.conn, err = t.Dial(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", t.Timeout)
	}
	l.setTried(i, err)
	return s, err
}
