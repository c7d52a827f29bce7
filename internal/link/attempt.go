package link

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// rideRank is worse than that of any target.
const rideRank = 1 << 30

// rideHead is how long the hellos on the connection of the peer may take while
// there is another one.
const rideHead = time.Second

// attempt is one try to get a session.
type attempt struct {
	link   *Link
	dials  *dials
	asked  *session // whose hello is awaited; nil if none
	since  time.Time
	answer chan error // to asked

	rode     bool // the connection of the peer was tried
	unridden error
	errs     []error // of the targets
}

// attempt dials every target once, each with a head start over the next one, and
// rides as soon as one of them is late. It returns the first session that is
// greeted, or why there is none, when no more is to be expected soon: dials that
// are late may go on then.
func (l *Link) attempt(ctx context.Context) (*session, error) {
	a := &attempt{link: l, dials: l.dials}
	a.dials.round(rideRank)
	due := true // the next target has its turn
	for {
		begun, wait := a.ask(ctx)
		if begun {
			due = false
		} else if due && len(a.dials.ready) == 0 {
			a.dials.next()
			due = false
		}
		if a.failed() {
			return nil, a.err()
		}
		var again <-chan time.Time
		if wait > 0 {
			again = time.After(wait)
		}
		kick := l.kick // there may be a connection to ride on
		if a.asked != nil {
			kick = nil
		}
		select {
		case <-ctx.Done():
			if a.asked != nil && <-a.answer == nil {
				return a.asked, nil
			}
			return nil, ctx.Err()
		case err := <-a.answer:
			if err == nil {
				return a.asked, nil
			}
			a.refused(err)
			due = due || a.dials.latest == nil
		case x := <-a.dials.ended:
			due = due || x.err != nil && x == a.dials.latest
			if a.dials.note(x) && x.err != nil {
				a.fail(x.session, x.err)
			}
		case <-a.dials.turn.C:
			due = a.dials.over() || due
		case <-again:
		case <-kick:
		}
	}
}

// ask begins to exchange hellos with the best session, one at a time: of two
// streams the peer takes the one that comes later. If it is too early for that,
// it says for how long.
func (a *attempt) ask(ctx context.Context) (begun bool, wait time.Duration) {
	s, wait := a.dials.best()
	if a.asked != nil {
		if s == nil {
			return false, wait
		}
		if wait = a.asked.head - time.Since(a.since); wait > 0 {
			return false, wait
		}
		if !a.abandon() {
			return false, 0 // its answer is there
		}
	}
	switch {
	case s != nil:
		a.dials.take()
	case wait > 0 || a.rode || !a.dials.overdue():
		return false, wait
	default:
		conn := a.link.cfg.Ride()
		if conn == nil {
			return false, 0
		}
		a.rode = true
		s = &session{conn: conn, rank: rideRank, rides: true, transport: "peer's", head: rideHead}
	}
	a.asked, a.since = s, time.Now()
	answer := make(chan error, 1)
	a.answer = answer
	a.link.greeting.Go(func() { answer <- a.link.greet(ctx, s) })
	if a.dials.latest == nil {
		a.dials.turn.Reset(s.head)
	}
	return true, 0
}

// abandon gives up to wait for the hello of a session, unless it is there. A
// connection of the peer is not closed by that: it may be busy.
func (a *attempt) abandon() bool {
	s := a.asked
	a.link.mu.Lock()
	s.abandoned = !s.greeted
	a.link.mu.Unlock()
	if s.abandoned {
		a.refused(errNoHello)
	}
	return s.abandoned
}

// refused notes that there will be no session on the connection that was asked.
func (a *attempt) refused(err error) {
	s := a.asked
	a.asked, a.answer = nil, nil
	if s.rides {
		a.unridden = err
		return
	}
	s.conn.Close(err)
	a.link.setTried(s.target, err)
	a.fail(s, err)
}

func (a *attempt) fail(s *session, err error) {
	a.errs = append(a.errs, fmt.Errorf("%s %s: %w", s.transport, s.endpoint, err))
}

// failed says that another attempt is needed. One in which a target is just late
// is not over: there is nothing to try again.
func (a *attempt) failed() bool {
	return a.asked == nil && len(a.dials.ready) == 0 && a.dials.through() &&
		(len(a.errs) > 0 || a.unridden != nil || !a.dials.any(func(*dial) bool { return true }))
}

func (a *attempt) err() error {
	for _, x := range a.dials.under {
		if x != nil {
			a.fail(x.session, errNoAnswerYet)
		}
	}
	switch {
	case len(a.errs) > 0:
		return errors.Join(a.errs...)
	case a.unridden != nil:
		return fmt.Errorf("cannot use the connection that the peer made: %w", a.unridden)
	}
	return errors.New("it has no address to dial and has not dialled this node")
}

var errNoAnswerYet = errors.New("no answer yet")
