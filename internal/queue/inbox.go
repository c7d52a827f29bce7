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
	Unread time.Duration // for how long something has been queued with nothing being taken, at least
}

// Inbox is a bounded queue that drops the oldest. It is safe for concurrent use
// by any number of putters and takers. Values that come together are held
// together: their memory is free when the last of them was taken or dropped.
type Inbox[T any] struct {
	maxCount, maxBytes uint64
	size               func(*T) int
	ready              chan struct{}
	closed             chan struct{}
	base               time.Time

	mu      sync.Mutex
	ring    [][]T // what came together and is not taken yet; none is empty
	first   int   // where the oldest is
	used    int
	counts  Counts
	since   time.Duration // since base: the last take, or when something came into the empty inbox
	taken   bool          // something after since, without a look at the clock
	waiters int           // in Take
	done    bool
}

// NewInbox returns an inbox for at most maxCount values that have at most
// maxBytes bytes together. size says for how many bytes a value counts, always
// the same for the same value.
func NewInbox[T any](maxCount, maxBytes int, size func(*T) int) *Inbox[T] {
	return &Inbox[T]{
		maxCount: uint64(max(maxCount, 0)), maxBytes: uint64(max(maxBytes, 0)), size: size,
		ready: make(chan struct{}, 1), closed: make(chan struct{}), base: time.Now(),
	}
}

// Put adds values, of which the first is the oldest. It never blocks: the oldest
// values go if there is no room. The inbox keeps the slice, which must not be
// changed any more, and does not change it.
func (q *Inbox[T]) Put(values ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.Offered += uint64(len(values))
	if q.done {
		q.counts.Left += uint64(len(values))
		return
	}
	wasEmpty := q.counts.Queued == 0
	begin := 0 // of what fits and is not in the ring yet
	for i := range values {
		size := q.sizeOf(&values[i])
		if size > q.maxBytes || q.maxCount == 0 {
			q.counts.Oversize++
			q.push(values[begin:i])
			begin = i + 1
			continue
		}
		q.counts.Queued++
		q.counts.Bytes += size
	}
	q.push(values[begin:])
	// The newest that have room together stay, as if they had come one by one.
	for q.counts.Queued > q.maxCount || q.counts.Bytes > q.maxBytes {
		q.remove()
		q.counts.Full++
	}
	if (wasEmpty || q.taken) && q.counts.Queued > 0 {
		q.since, q.taken = time.Since(q.base), false
	}
	if wasEmpty && q.counts.Queued > 0 {
		q.signal()
	}
}

func (q *Inbox[T]) sizeOf(v *T) uint64 { return uint64(max(q.size(v), 0)) }

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
	q.ring, q.first, q.used = nil, 0, 0
	close(q.closed)
}

// Counts returns a consistent account.
func (q *Inbox[T]) Counts() Counts {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.counts
	if c.Queued > 0 {
		now := time.Since(q.base)
		if q.taken {
			q.since, q.taken = now, false
		}
		c.Unread = now - q.since
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

func (q *Inbox[T]) take() (v T, ok bool) {
	if q.counts.Queued == 0 {
		return v, false
	}
	last := len(q.ring[q.first]) == 1
	v = *q.remove()
	q.counts.Taken++
	if q.counts.Queued > 0 {
		// The clock costs more than all the rest: of values that came together
		// only the last one looks at it.
		if q.taken = !last; last {
			q.since = time.Since(q.base)
		}
		if q.waiters > 0 { // the one token may have woken this taker alone
			q.signal()
		}
	} else if len(q.ring) > keepCount {
		q.ring, q.first = nil, 0
	}
	return v, true
}

// remove takes out the oldest value.
func (q *Inbox[T]) remove() *T {
	values := &q.ring[q.first]
	v := &(*values)[0]
	if *values = (*values)[1:]; len(*values) == 0 {
		*values = nil // so that the memory can be collected
		q.used--
		if q.first++; q.first == len(q.ring) {
			q.first = 0
		}
	}
	q.counts.Queued--
	q.counts.Bytes -= q.sizeOf(v)
	return v
}

// push puts values into the ring, which doubles when it is full.
func (q *Inbox[T]) push(values []T) {
	if len(values) == 0 {
		return
	}
	if uint64(q.used) == q.maxCount { // those of the oldest place must all go
		for range q.ring[q.first] {
			q.remove()
			q.counts.Full++
		}
	}
	if q.used == len(q.ring) {
		ring := make([][]T, min(max(2*uint64(len(q.ring)), 8), q.maxCount))
		n := copy(ring, q.ring[q.first:])
		copy(ring[n:], q.ring[:q.first])
		q.ring, q.first = ring, 0
	}
	q.ring[(q.first+q.used)%len(q.ring)] = values
	q.used++
}
