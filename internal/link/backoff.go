package link

import (
	"math/rand/v2"
	"time"
)

// firstPause is the longest pause after the first failure. It doubles with each
// failure.
const firstPause = 250 * time.Millisecond

// backoff yields the pauses between attempts: random, so that nodes that lost
// each other at the same moment do not meet again in step; growing, up to a
// ceiling; without an end.
type backoff struct {
	ceiling time.Duration
	next    time.Duration
}

func newBackoff(ceiling time.Duration) *backoff {
	b := &backoff{ceiling: ceiling}
	b.reset()
	return b
}

func (b *backoff) reset() { b.next = min(firstPause, b.ceiling) }

func (b *backoff) pause() time.Duration {
	p := b.next
	b.next = min(2*b.next, b.ceiling)
	return p/2 + rand.N(p/2+1)
}
