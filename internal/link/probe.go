package link

import (
	"context"
	"time"
)

// probeTime is the longest pause between two attempts to find a better connection:
// a link has moved within a minute of its being possible.
const probeTime = 30 * time.Second

// probe dials the targets that are better than the one in use, now and then, and
// goes on with those that are being dialled still, until the returned function is
// called, which waits for it and closes what was not taken.
func (l *Link) probe(ctx context.Context, s *session) (<-chan *session, func() <-chan *session) {
	better := make(chan *session)
	d := l.dials
	l.dials = nil
	any := false
	for _, t := range l.cfg.Targets {
		any = any || t.Rank < s.rank
	}
	if !any && (d == nil || d.idle()) {
		return nil, func() <-chan *session {
			close(better)
			return better
		}
	}
	if d == nil {
		d = newDials(ctx, l)
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(better)
		defer d.end()
		pause := min(l.cfg.Retry, probeTime)
		timer := time.NewTimer(pause)
		defer timer.Stop()
		for any || !d.idle() {
			n, wait := d.best()
			var again <-chan time.Time
			if wait > 0 {
				again = time.After(wait)
			}
			offer := better
			if n == nil {
				offer = nil
			}
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
				if d.latest == nil && n == nil { // the last round is over
					d.round(s.rank)
					d.next()
				}
				timer.Reset(pause)
			case x := <-d.ended:
				next := x.err != nil && x == d.latest
				d.note(x)
				if next && n == nil {
					d.next()
				}
			case <-d.turn.C:
				if d.over() && n == nil {
					d.next()
				}
			case <-again:
			case offer <- n:
				d.take()
			}
		}
	}()
	return better, func() <-chan *session {
		cancel()
		return better
	}
}
