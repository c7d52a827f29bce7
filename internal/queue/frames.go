// Package queue holds what waits: bounded queues that drop the oldest, and
// count. Something new is worth more than something old, and a queue without a
// bound is a leak.
package queue

import "time"

// What a queue keeps when it is empty. More than that was for a burst.
const (
	keepBytes = 64 << 10
	keepCount = 512
)

// Frames holds encoded frames back to back in one ring of bytes, without a
// slice for each. It is bounded in frames and in bytes, which are allocated only
// as they are needed and released when the queue is drained. It is not safe for
// concurrent use: its owner has the lock.
type Frames struct {
	maxCount, maxBytes int

	ring  []byte
	first int // where the oldest byte is
	bytes int

	marks  []mark // a ring as well
	oldest int    // where the mark of the oldest frame is
	count  int

	base time.Time // what the times of the marks count from
}

// mark is the length of a frame and when it was queued.
type mark struct {
	at   time.Duration // since base, by the monotonic clock
	size int
}

// NewFrames returns a queue for at most maxCount frames that have at most
// maxBytes bytes together.
func NewFrames(maxCount, maxBytes int) *Frames {
	return &Frames{maxCount: max(maxCount, 0), maxBytes: max(maxBytes, 0)}
}

// Push copies a frame into the queue; at is the time from which its age counts.
// dropped is the number of the oldest frames that had to go for it. ok is false
// if the queue could not hold the frame even when empty: then nothing changes.
func (q *Frames) Push(frame []byte, at time.Time) (dropped int, ok bool) {
	if len(frame) > q.maxBytes || q.maxCount == 0 {
		return 0, false
	}
	for q.count == q.maxCount || q.bytes+len(frame) > q.maxBytes {
		q.drop()
		dropped++
	}
	if q.base.IsZero() {
		q.base = at
	}
	q.grow(len(frame))
	end := (q.first + q.bytes) % max(len(q.ring), 1)
	copy(q.ring, frame[copy(q.ring[end:], frame):])
	q.bytes += len(frame)
	q.marks[(q.oldest+q.count)%len(q.marks)] = mark{at: at.Sub(q.base), size: len(frame)}
	q.count++
	return dropped, true
}

// Pop appends whole frames to dst, oldest first, and takes them out: as many as
// fit into limit bytes, but at least one if there is any. n is their number.
func (q *Frames) Pop(dst []byte, limit int) (out []byte, n int) {
	size := 0
	for n < q.count {
		next := q.marks[(q.oldest+n)%len(q.marks)].size
		if n > 0 && size+next > limit {
			break
		}
		size += next
		n++
	}
	head := q.ring[q.first:min(q.first+size, len(q.ring))]
	dst = append(dst, head...)
	dst = append(dst, q.ring[:size-len(head)]...)
	q.forget(n, size)
	return dst, n
}

// Expire drops the frames that were queued before a time, and returns their
// number. It expects that frames were pushed in the order of their times.
func (q *Frames) Expire(before time.Time) int {
	n := 0
	for q.count > 0 && q.marks[q.oldest].at < before.Sub(q.base) {
		q.drop()
		n++
	}
	return n
}

// Clear drops everything, and returns the number of the frames.
func (q *Frames) Clear() int {
	n := q.count
	q.forget(q.count, q.bytes)
	return n
}

// Len returns the number of frames in the queue.
func (q *Frames) Len() int { return q.count }

// Bytes returns the number of bytes in the queue.
func (q *Frames) Bytes() int { return q.bytes }

func (q *Frames) drop() { q.forget(1, q.marks[q.oldest].size) }

// forget takes out the n oldest frames, which have size bytes.
func (q *Frames) forget(n, size int) {
	q.count -= n
	q.bytes -= size
	if q.count > 0 {
		q.oldest = (q.oldest + n) % len(q.marks)
		q.first = (q.first + size) % max(len(q.ring), 1)
		return
	}
	q.oldest, q.first = 0, 0
	if len(q.ring) > keepBytes {
		q.ring = nil
	}
	if len(q.marks) > keepCount {
		q.marks = nil
	}
	q.base = time.Time{}
}

// grow makes room for one more frame. The rings double, up to what the bounds
// allow, so that the cost for each frame is constant.
func (q *Frames) grow(size int) {
	if need := q.bytes + size; need > len(q.ring) {
		ring := make([]byte, min(max(2*len(q.ring), need, 512), q.maxBytes))
		n := copy(ring, q.ring[q.first:min(q.first+q.bytes, len(q.ring))])
		copy(ring[n:], q.ring[:q.bytes-n])
		q.ring, q.first = ring, 0
	}
	if q.count == len(q.marks) {
		marks := make([]mark, min(max(2*len(q.marks), 16), q.maxCount))
		for i := range q.count {
			marks[i] = q.marks[(q.oldest+i)%len(q.marks)]
		}
		q.marks, q.oldest = marks, 0
	}
}
