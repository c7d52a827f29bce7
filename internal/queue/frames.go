// Package queue holds what waits: bounded queues that drop the oldest, and
// count. Something new is worth more than something old, and a queue without a
// bound is a leak.
package queue

import "time"

// Frames holds encoded frames back to back in chunks of bytes, without a slice
// for each. A frame waits until it is taken to be written, and is kept until it
// is confirmed, so that it can be taken again. What waits is bounded in frames
// and in their bytes, what is kept in memory; the chunks are allocated only as
// they are needed, used again, and released by Trim. It is not safe for
// concurrent use: its owner has the lock.
type Frames struct {
	maxCount, maxBytes int // of what waits
	window             int // bytes of chunks from which something was taken

	oldest, newest *chunk // a list; nil if the queue is empty
	head           place  // of the oldest frame
	next           place  // of the one that is to be taken next
	fresh          place  // of the first one that was never taken

	waiting, kept tally
	held          int    // bytes of the chunks from which something was taken
	busy          *chunk // may still be read by whoever took from it

	spare      *chunk // a list of empty ones
	spareBytes int
	most       int // bytes since the last Trim

	base time.Time // what the times of the marks count from
}

// NewFrames returns a queue in which at most maxCount frames wait that have at
// most maxBytes bytes together. What was taken and not confirmed takes at most
// window bytes, or what one chunk has if that is more.
func NewFrames(maxCount, maxBytes, window int) *Frames {
	return &Frames{maxCount: max(maxCount, 0), maxBytes: max(maxBytes, 0), window: window}
}

// Push puts a frame into the queue, which consists of head and body; at is the
// time from which its age counts. head is copied. The body, which may be nil, may
// be kept, so nobody must change it any more. dropped is the number of the oldest
// waiting frames that had to go for it. ok is false if the queue could not hold
// the frame even when empty: then nothing changes.
func (q *Frames) Push(head, body []byte, at time.Time) (dropped int, ok bool) {
	size := len(head) + len(body)
	if size > q.maxBytes || q.maxCount == 0 {
		return 0, false
	}
	for q.waiting.count == q.maxCount || q.waiting.bytes+size > q.maxBytes {
		q.fresh.seek()
		q.waiting.add(-1, -q.forget(q.fresh))
		dropped++
	}
	q.settle(dropped)
	if q.base.IsZero() {
		q.base = at
	}
	c := q.newest
	if size > largeFrame || c == nil || c.alone || size > cap(c.data)-len(c.data) {
		c = q.chunk(min(size, ChunkSize), size > largeFrame)
		q.add(c)
	}
	c.data = append(c.data, head...)
	if fits := cap(c.data) - len(c.data); len(body) > fits {
		c.rest, body = body[fits:], body[:fits]
	}
	c.data = append(c.data, body...)
	c.marks = append(c.marks, mark{at: at.Sub(q.base), size: size})
	c.live.add(1, size)
	q.waiting.add(1, size)
	q.most = max(q.most, q.total())
	return dropped, true
}

// Take takes the next n frames to be written: first those that are to be taken
// again, and only as many as are in one chunk, which has [ChunkSize] bytes, or a
// large frame. They come in two parts, of which the second one is often empty;
// they are not to be changed, and valid until the next call of Take or Rewind. n
// is 0 if there are none, or if so much is kept that they have to wait.
func (q *Frames) Take() (first, rest []byte, n int) {
	q.written()
	if !q.next.seek() {
		return nil, nil, 0
	}
	c, begin := q.next.c, q.next
	if !c.taken {
		if q.held > 0 && q.held+c.memory() > q.window {
			return nil, nil, 0
		}
		c.taken = true
		q.held += c.memory()
	}
	end := begin.run()
	if q.fresh.seek(); q.fresh.c == c && q.fresh.i < end.i {
		count, bytes := end.i-q.fresh.i, end.offset-q.fresh.offset
		q.waiting.add(-count, -bytes)
		q.kept.add(count, bytes)
		q.fresh = end
	}
	q.next, q.busy = end, c
	if c.alone {
		return c.data, c.rest, 1
	}
	return c.data[begin.offset:end.offset], nil, end.i - begin.i
}

// Ready says whether there is something to be taken, be it that it has to wait.
func (q *Frames) Ready() bool { return q.next.seek() }

// Confirm forgets the n oldest frames, which were taken and have arrived.
func (q *Frames) Confirm(n int) {
	for n > 0 && q.head.seek() {
		c := q.head.c
		if c.live.count > n || c == q.next.c {
			q.kept.add(-1, -q.forget(q.head))
			n--
			continue
		}
		q.kept.add(-c.live.count, -c.live.bytes)
		n -= c.live.count
		c.live = tally{}
		q.remove(c)
	}
}

// Rewind makes all that was taken and is not confirmed to be taken again, in the
// same order. Nobody reads any more what Take returned.
func (q *Frames) Rewind() {
	q.written()
	q.next = q.head
}

// Expire drops the frames that are to be taken and were queued before a time: so
// many of those that are to be taken again, and of those that wait. It expects
// that frames were pushed in the order of their times.
func (q *Frames) Expire(before time.Time) (again, waited int) {
	limit := before.Sub(q.base)
	for q.next.seek() && q.next.c.marks[q.next.i].at < limit {
		q.fresh.seek()
		if q.next == q.fresh {
			q.waiting.add(-1, -q.forget(q.next))
			waited++
		} else {
			q.kept.add(-1, -q.forget(q.next))
			again++
		}
	}
	q.settle(again + waited)
	return again, waited
}

// Clear drops everything: so many frames that were kept, and that waited.
func (q *Frames) Clear() (kept, waited int) {
	kept, waited = q.kept.count, q.waiting.count
	for c := q.oldest; c != nil; c = q.oldest {
		q.remove(c)
	}
	q.waiting, q.kept, q.busy = tally{}, tally{}, nil
	q.Trim()
	return kept, waited
}

// Len returns the number of frames that wait.
func (q *Frames) Len() int { return q.waiting.count }

// Bytes returns the number of bytes that wait.
func (q *Frames) Bytes() int { return q.waiting.bytes }

// Kept returns the number of frames that were taken and are not confirmed.
func (q *Frames) Kept() int { return q.kept.count }

func (q *Frames) total() int { return q.waiting.bytes + q.kept.bytes }

// forget lets the frame at a place go, and returns its size.
func (q *Frames) forget(p place) (size int) {
	m := &p.c.marks[p.i]
	size = m.size
	m.size = ^size
	if p.c.live.add(-1, -size); p.c.live.count == 0 {
		q.remove(p.c)
	}
	return size
}

// written notes that nobody reads any more what Take returned.
func (q *Frames) written() {
	if c := q.busy; c != nil {
		if q.busy = nil; c.live.count == 0 {
			q.recycle(c)
		}
	}
}

// settle is called after so many frames were dropped: if the queue is empty then,
// there may be nobody to call Trim.
func (q *Frames) settle(dropped int) {
	if dropped > 0 && q.oldest == nil {
		q.Trim()
	}
}
