package link

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// Targets are dialled as RFC 8305 says it of addresses: each gets a head start
// over the next one, which is then dialled beside it. The part of the time that
// it may take is 1 s of the usual 10 s, when TCP itself would send its first
// packet again: whoever is there has answered a few times over by then.
//
// Who answers and then takes long for the handshake is busy, rather than away,
// and to dial more would make it busier.
const (
	headStart     = 10 // the part of the time that a target may take, until it answers
	headStartBusy = 2  // until it has proven who it is, once it has answered
)

// moment is how long a connection waits for that to a better target which is
// being dialled too, before it is used: to move there right away would be more work.
const moment = 100 * time.Millisecond

// dial is an attempt to connect to a target.
type dial struct {
	target   int
	session  *session // without a connection if it failed
	err      error
	begun    time.Time
	stop     context.CancelFunc
	answered atomic.Bool // its handshake has begun
	late     bool        // its head start is over
	useless  bool        // it was stopped
}

// dials are what a link does to get a connection: at most one dial for each
// target at a time. Those that nobody waits for any more go on, and what they get
// is still welcome. They are used by one goroutine at a time.
type dials struct {
	link   *Link
	ctx    context.Context
	under  []*dial    // way, by target
	ended  chan *dial // has room for all
	ready  []*dial    // connected, and not used yet; the best first
	todo   []int      // targets whose turn has not come; the best first
	latest *dial      // has its head start; nil if none has
	turn   *time.Timer
	first  time.Time // when the first of those that are ready was
}

func newDials(ctx context.Context, l *Link) *dials {
	n := len(l.cfg.Targets)
	d := &dials{link: l, ctx: ctx, under: make([]*dial, n), ended: make(chan *dial, n), turn: time.NewTimer(0)}
	d.turn.Stop()
	return d
}

// round is the begin of another round: every target that is better than the rank
// given will have its turn, unless it is being dialled still.
func (d *dials) round(rank int) {
	d.todo, d.latest = d.todo[:0], nil
	for i, t := range d.link.cfg.Targets {
		if t.Rank < rank && d.under[i] == nil {
			d.todo = append(d.todo, i)
		}
	}
}

// next dials the next target.
func (d *dials) next() {
	d.latest = nil
	if len(d.todo) == 0 {
		return
	}
	i := d.todo[0]
	d.todo = d.todo[1:]
	t := &d.link.cfg.Targets[i]
	ctx, stop := context.WithTimeout(d.ctx, t.Timeout)
	x := &dial{target: i, begun: time.Now(), stop: stop, session: &session{
		target: i, transport: t.Transport, endpoint: t.Endpoint, rank: t.Rank,
		hello: t.Hello, head: t.Timeout / headStart,
	}}
	d.under[i], d.latest = x, x
	d.turn.Reset(x.session.head)
	go func() { // it ends with ctx, and its owner waits for that
		defer stop()
		x.session.conn, x.err = t.Dial(ctx, func() { x.answered.Store(true) })
		if errors.Is(x.err, context.DeadlineExceeded) {
			x.err = fmt.Errorf("no answer within %v", t.Timeout)
		}
		d.ended <- x
	}()
}

// over says whether the head start of the latest dial is over, after the timer
// for it has gone off.
func (d *dials) over() bool {
	x := d.latest
	if x == nil {
		return true
	}
	took, most, why := time.Since(x.begun), x.session.head, "no answer after"
	if x.answered.Load() {
		most, why = d.link.cfg.Targets[x.target].Timeout/headStartBusy, "connected, but no handshake after"
	}
	if took < most {
		d.turn.Reset(most - took)
		return false
	}
	x.late = true
	d.link.setTried(x.target, fmt.Errorf("%s %v", why, took.Round(100*time.Millisecond)))
	d.latest = nil
	return true
}

// note takes what has become of a dial, and says whether it is of use: a
// connection, or an error.
func (d *dials) note(x *dial) bool {
	d.under[x.target] = nil
	if x == d.latest {
		d.latest = nil
	}
	if x.useless {
		if x.err == nil {
			x.session.conn.Close(errLost)
		}
		return false
	}
	d.link.setTried(x.target, x.err)
	if x.err == nil {
		if len(d.ready) == 0 {
			d.first = time.Now()
		}
		d.ready = append(d.ready, x)
		slices.SortStableFunc(d.ready, func(a, b *dial) int { return a.session.rank - b.session.rank })
	}
	return true
}

var errLost = errors.New("another connection was there first")

// best returns the session to use now, or, if it is worth to wait for another
// one, for how long.
func (d *dials) best() (s *session, wait time.Duration) {
	if len(d.ready) == 0 {
		return nil, 0
	}
	s = d.ready[0].session
	if wait = moment - time.Since(d.first); wait > 0 && d.any(func(x *dial) bool { return x.session.rank < s.rank }) {
		return nil, wait
	}
	return s, 0
}

// take removes the session that best has returned.
func (d *dials) take() { d.ready = slices.Delete(d.ready, 0, 1) }

// any says whether a dial is under way that is of use and like that.
func (d *dials) any(like func(*dial) bool) bool {
	return slices.ContainsFunc(d.under, func(x *dial) bool { return x != nil && !x.useless && like(x) })
}

// only stops everything that does not lead to a better target than of the rank
// given, and dials no more in this round.
func (d *dials) only(rank int) {
	d.todo, d.latest = nil, nil
	for _, x := range d.under {
		if x != nil && x.session.rank >= rank {
			x.useless = true
			x.stop()
		}
	}
	d.ready = slices.DeleteFunc(d.ready, func(x *dial) bool {
		if x.session.rank < rank {
			return false
		}
		x.session.conn.Close(errLost)
		return true
	})
}

// through says that every target has had its turn and its head start.
func (d *dials) through() bool { return d.latest == nil && len(d.todo) == 0 }

// overdue says that it is time to look for another way.
func (d *dials) overdue() bool {
	return d.through() || d.any(func(x *dial) bool { return x.late })
}

// idle says whether nothing is under way, and nothing is left.
func (d *dials) idle() bool {
	return len(d.ready) == 0 && !slices.ContainsFunc(d.under, func(x *dial) bool { return x != nil })
}

// end stops everything, and waits for it.
func (d *dials) end() {
	d.only(math.MinInt)
	d.turn.Stop()
	for !d.idle() {
		d.note(<-d.ended)
	}
}
