package link

import (
	"context"
	"time"
)

// drainTimeout bounds how long a move to a better connection waits for the
// confirmation of what is in flight on the old one, and for its end.
const drainTimeout = 5 * time.Second

// move changes to a session on a better connection. First it waits until the
// peer has confirmed everything, for a while: what it has not got by then is sent
// again. Meanwhile pings go on at each beat: if the better connection turns out to
// be worse, the old one must still be there.
func (l *Link) move(ctx context.Context, s *session, w *watch, n *session, beat *beat) bool {
	err := l.drain(ctx, s, w, beat)
	if err == nil {
		greeted := make(chan error, 1)
		go func() { greeted <- l.greet(ctx, n) }()
		for waiting := true; waiting; {
			select {
			case err = <-greeted:
				waiting = false
			case <-beat.c:
				beat.next()
				_ = w.ping(s.stream) // the peer may have closed it for the new one
			}
		}
	}
	if err != nil {
		n.conn.Close(err)
	}
	return err == nil
}

// drain waits until everything that was written is confirmed, or for long enough.
func (l *Link) drain(ctx context.Context, s *session, w *watch, beat *beat) error {
	timer := time.NewTimer(drainTimeout)
	defer timer.Stop()
	if err := w.ping(s.stream); err != nil {
		return err
	}
	for l.unconfirmed() {
		select {
		case <-w.pongs.settled:
		case <-beat.c:
			beat.next()
			if err := w.ping(s.stream); err != nil {
				return err
			}
		case <-timer.C:
			return nil
		case <-w.pongs.dead:
			return w.pongs.err
		case <-ctx.Done():
			return ErrStopped
		}
	}
	return nil
}

func (l *Link) unconfirmed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ledger.inFlight() > 0
}
