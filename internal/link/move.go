package link

import (
	"context"
	"errors"
	"time"
)

// drainTimeout bounds how long a move to a better connection waits for the
// confirmation of what is in flight on the old one.
const drainTimeout = 5 * time.Second

// move changes to a session on a better connection: first it waits until the
// peer has confirmed everything, so that nothing is lost or overtaken. Meanwhile
// pings go on at each beat: if the better connection turns out to be worse, the
// old one must still be there.
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

// drain waits until everything that was written is confirmed.
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
			return errors.New("the old connection did not drain")
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

// probeTime is the longest pause between two attempts to find a better connection:
// a link has moved within a minute of its being possible.
const probeTime = 30 * time.Second

// probe dials the targets that are better than the one in use, now and then,
// until the returned function is called, which waits for it and closes what was
// not taken.
func (l *Link) probe(ctx context.Context, s *session) (<-chan *session, func() <-chan *session) {
	better := make(chan *session)
	var targets []int
	for i, t := range l.cfg.Targets {
		if t.Rank < s.rank {
			targets = append(targets, i)
		}
	}
	if len(targets) == 0 {
		return nil, func() <-chan *session {
			close(better)
			return better
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(better)
		for {
			timer := time.NewTimer(min(l.cfg.Retry, probeTime))
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			for _, i := range targets {
				n, err := l.dialTarget(ctx, i)
				if err != nil {
					continue
				}
				select {
				case better <- n:
				case <-ctx.Done():
					n.conn.Close(ErrStopped)
				}
				break
			}
		}
	}()
	return better, func() <-chan *session {
		cancel()
		return better
	}
}
