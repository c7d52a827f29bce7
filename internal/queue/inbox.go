package queue

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is the error of an inbox that is closed.
var ErrClosed = errors.New("the inbox is closed")

// Counts accounts for everything that was put into an inbox:
// Offered = Taken + Queued + Full + Oversize + Left, at any moment.
type Counts struct {
	Offered  uint64 // every Put
	Taken    uint64
	Queued   uint64 // in the inbox now
	Full     uint64 // dropped because newer ones came
	Oversize uint64 // not queued: larger than the inbox
	Left     uint64 // in the inbox when it was closed, or put in later

	Bytes  uint64        // of what is queued
	Unread time.Duration // for how long something has been queued with nothing being taken
}

// Inbox is a bounded queue that drops the oldest. It is safe for concurrent use
// by any number of putters and takers. The values are held by the inbox until
// they are taken or dropped.
type Inbox[T any] struct {
	maxCount, maxBytes int
	ready              chan struct{}
	closed             chan struct{}
	base               time.Time

	mu      sync.Mutex
	ring    []entry[T]
	first   int // where the oldest is
	counts  Counts
	since   time.Duration // since base: the last take, or when something came into the empty inbox
	waiters int           // in Take
	done    bool
}

type entry[T any] struct {
	v    T
	size int
}

// NewInbox returns an inbox for at most maxCount values that have at most
// maxBytes bytes together.
func NewInbox[T any](maxCount, maxBytes int) *Inbox[T] {
	return &Inbox[T]{
		maxCount: max(maxCount, 0), maxBytes: max(maxBytes, 0),
		ready: make(chan struct{}, 1), closed: make(chan struct{}), base: time.Now(),
	}
}

// Put adds a value that counts for so many bytes. It never blocks: the oldest
// values go if there is no room.
func (q *Inbox[T]) Put(v T, size int) {
	size = max(size, 0)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.Offered++
	switch {
	case q.done:
		q.counts.Left++
		return
	case size > q.maxBytes || q.maxCount == 0:
		q.counts.Oversize++
		return
	}
	wasEmpty := q.counts.Queued == 0
	for q.counts.Queued == uint64(q.maxCount) || q.counts.Bytes+uint64(size) > uint64(q.maxBytes) {
		q.remove()
		q.counts.Full++
	}
	q.grow()
	q.ring[(q.first+int(q.counts.Queued))%len(q.ring)] = entry[T]{v, size}
	q.counts.Queued++
	q.counts.Bytes += uint64(size)
	if wasEmpty {
		q.since = time.Since(q.base)
		q.signal()
	}
}

// TryTake takes the oldest value, if there is one.
func (q *Inbox[T]) TryTake() (T, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.take()
}

// Take takes the oldest value and waits until there is one. The error is that of
// ctx, also when ctx is done and there are values, or [ErrClosed].
func (q *Inbox[T]) Take(ctx context.Context) (T, error) {
	for {
		if err := ctx.Err(); err != nil {
			var zero T
			return zero, err
		}
		q.mu.Lock()
		v, ok := q.take()
		done := q.done
		if !ok && !done {
			q.waiters++
		}
		q.mu.Unlock()
		switch {
		case ok:
			return v, nil
		case done:
			return v, ErrClosed
		}
		select {
		case <-q.ready:
		case <-q.closed:
		case <-ctx.Done():
		}
		q.mu.Lock()
		q.waiters--
		if ctx.Err() != nil && q.counts.Queued > 0 {
			q.signal() // it may have taken the token of another
		}
		q.mu.Unlock()
	}
}

// Ready returns a channel that gets a value when something comes into the empty
// inbox. Who wakes up by it calls TryTake until there is no more; a wake-up can
// find nothing. It wakes one, who may be in Take: the takers of an inbox all use
// Ready, or all use Take.
func (q *Inbox[T]) Ready() <-chan struct{} { return q.ready }

// Wake makes Ready say again that there is something, if there is: the one who
// took the token may be gone.
func (q *Inbox[T]) Wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.counts.Queued > 0 {
		q.signal()
	}
}

// Close ends the inbox: what is in it, and what is put in later, counts as left.
// It can be called again.
func (q *Inbox[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.done {
		return
	}
	q.done = true
	q.counts.Left += q.counts.Queued
	q.counts.Queued, q.counts.Bytes = 0, 0
	q.ring = nil
	close(q.closed)
}

// Counts returns a consistent account.
func (q *Inbox[T]) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.counts
	if c.Queued > 0 {
		c.Unread = time.Since(q.base) - q.since
	}
	return c
}

// signal wakes one that waits. A token that is there already will do it.
func (q *Inbox[T]) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *Inbox[T]) take() (T, bool) {
	if q.counts.Queued == 0 {
		var zero T
		return zero, false
	}
	v := q.remove()
	q.counts.Taken++
	if q.counts.Queued > 0 {
		q.since = time.Since(q.base)
		if q.waiters > 0 { // the one token may have woken this taker alone
			q.signal()
		}
	} else if len(q.ring) > keepCount {
		q.ring = nil
	}
	return v, true
}

// remove takes out the oldest value.
func (q *Inbox[T]) remove() T {
	e := q.ring[q.first]
	q.ring[q.first] = entry[T]{} // so that it can be collected
	q.first = (q.first + 1) % len(q.ring)
	q.counts.Queued--
	q.counts.Bytes -= uint64(e.size)
	return e.v
}

func (q *Inbox[T]) grow() {
	queued := int(q.counts.Queued)
	if queued < len(q.ring) {
		return
	}
	ring := make([]entry[T], min(max(2*len(q.ring), 8), q.maxCount))
	for i := range queued {
		ring[i] = q.ring[(q.first+i)%len(q.ring)]
	}
	q.ring, q.first = ring, 0
}
