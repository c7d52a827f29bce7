package link

import "time"

// beat comes at whole heartbeats after a moment that all links of a node share,
// so that a node with nothing else to do wakes up once for all of them.
type beat struct {
	c     <-chan time.Time
	timer *time.Timer
	since time.Time
	every time.Duration
}

func newBeat(since time.Time, every time.Duration) *beat {
	b := &beat{since: since, every: every}
	b.timer = time.NewTimer(b.wait())
	b.c = b.timer.C
	return b
}

// wait is how long it is to the next beat: never 0.
func (b *beat) wait() time.Duration { return b.every - time.Since(b.since)%b.every }

// next must be called after each beat. One that nobody was there for is left out.
func (b *beat) next() { b.timer.Reset(b.wait()) }

func (b *beat) stop() { b.timer.Stop() }
