package secure

import (
	"sync"
	"time"
)

// Watch ends connections on which nothing arrives, or from which nothing can be
// sent, for too long. Connections that share one let an idle program sleep: it
// wakes up about once in the time that the one with the least patience has, and
// not for each of them. It has no goroutine of its own, and a timer only while
// there are connections. It is safe for concurrent use.
type Watch struct {
	epoch time.Time     // what all times are relative to
	beat  time.Duration // 0 if there is none

	mu    sync.Mutex
	conns map[*raw]struct{}
	timer *time.Timer
	next  time.Duration // when the timer fires; 0 if it does not
}

// NewWatch makes one, for any number of connections. If a program wakes up for
// something else at whole beats after a moment, then the watch does so too, as long
// as the end that is nearest comes later than that. A beat of 0 is none.
func NewWatch(since time.Time, beat time.Duration) *Watch {
	return &Watch{epoch: since, beat: beat, conns: map[*raw]struct{}{}}
}

// now is never 0.
func (w *Watch) now() time.Duration { return time.Since(w.epoch) + 1 }

// add watches over a connection until it is removed. Whatever happens on it only
// puts off its end, so there is no need to say so: the timer never fires later
// than the end that is nearest.
func (w *Watch) add(r *raw) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[r] = struct{}{}
	if end := r.patience(w.now()); w.next == 0 || end < w.next {
		w.wake(end)
	}
}

func (w *Watch) remove(r *raw) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, r)
	if len(w.conns) == 0 && w.timer != nil {
		w.timer.Stop()
		w.next = 0
	}
}

// wake sets the timer for an end that may come at that time. The caller has the
// lock.
func (w *Watch) wake(at time.Duration) {
	now := w.now()
	if w.beat > 0 {
		if early := at.Truncate(w.beat); early > now {
			at = early
		}
	}
	w.next = at
	if wait := at - now; w.timer == nil {
		w.timer = time.AfterFunc(wait, w.check)
	} else {
		w.timer.Reset(wait)
	}
}

// check ends the connections whose time has come.
func (w *Watch) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	var next time.Duration
	for r := range w.conns {
		end := r.patience(now)
		if end <= now {
			delete(w.conns, r)
			go r.kill(r.late(now)) // which may take the time that the transport's Close takes
			continue
		}
		if next == 0 || end < next {
			next = end
		}
	}
	w.next = 0
	if next > 0 {
		w.wake(next)
	}
}
