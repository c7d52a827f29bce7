// Package queue holds what waits: bounded queues that drop the oldest, and
// count. Something new is worth more than something old, and a queue without a
// bound is a leak.
package queue

import "time"

const (
	// ChunkSize is the size of a full chunk: as much as one SSH packet holds, and
	// the runtime allocates cheaply.
	ChunkSize = 32<<10 - 8

	smallChunk = 512     // the first one
	largeFrame = 8 << 10 // has a chunk alone, so that little of others stays empty

	// What a queue keeps for longer. More than that was for a burst.
	keepBytes = 64 << 10
	keepCount = 512
)

// Frames holds encoded frames back to back in chunks of bytes, without a slice
// for each, to be written chunk by chunk. It is bounded in frames and in their
// bytes; the chunks are allocated only as they are needed, used again, and
// released by Trim. It is not safe for concurrent use: its owner has the lock.
type Frames struct {
	maxCount, maxBytes int

	oldest, newest *Chunk // a list; nil if the queue is empty
	spare          *Chunk // a list of empty ones
	spareBytes     int
	count, bytes   int
	most           int // bytes since the last Trim

	base time.Time // what the times of the marks count from
}

// Chunk is some frames back to back.
type Chunk struct {
	data  []byte
	marks []mark

	from  int // where the first frame begins that has not been dropped
	first int // its number

	rest  []byte // of a frame that has no room in data; others may have it too
	alone bool   // has one frame and gets no more
	next  *Chunk
}

// mark is the length of a frame and when it was queued.
type mark struct {
	at   time.Duration // since base, by the monotonic clock
	size int
}

// Bytes returns the frames, in two parts of which the second one is often empty.
// They are not to be changed.
func (c *Chunk) Bytes() (first, rest []byte) { return c.data[c.from:], c.rest }

// Len returns the number of frames.
func (c *Chunk) Len() int { return len(c.marks) - c.first }

// NewFrames returns a queue for at most maxCount frames that have at most
// maxBytes bytes together.
func NewFrames(maxCount, maxBytes int) *Frames {
	return &Frames{maxCount: max(maxCount, 0), maxBytes: max(maxBytes, 0)}
}

// Push puts a frame into the queue, which consists of head and body; at is the
// time from which its age counts. head is copied. The body, which may be nil, may
// be kept, so nobody must change it any more. dropped is the number of the oldest
// frames that had to go for it. ok is false if the queue could not hold the frame
// even when empty: then nothing changes.
func (q *Frames) Push(head, body []byte, at time.Time) (dropped int, ok bool) {
	size := len(head) + len(body)
	if size > q.maxBytes || q.maxCount == 0 {
		return 0, false
	}
	for q.count == q.maxCount || q.bytes+size > q.maxBytes {
		q.drop()
		dropped++
	}
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
	q.count++
	q.bytes += size
	q.most = max(q.most, q.bytes)
	return dropped, true
}

// chunk returns an empty chunk with room for so many bytes. If it is not for one
// frame alone it is the larger, the more there is in the queue.
func (q *Frames) chunk(room int, alone bool) *Chunk {
	want := room
	if !alone {
		if want = max(room, smallChunk); q.newest != nil {
			want = max(want, 2*cap(q.newest.data))
		}
		want = max(min(want, ChunkSize, q.maxBytes), room)
	}
	c := q.spare
	if c == nil || alone && cap(c.data) > 2*room {
		return &Chunk{data: make([]byte, 0, want), alone: alone}
	}
	q.spare, c.next = c.next, nil
	q.spareBytes -= cap(c.data)
	if cap(c.data) < want {
		c.data = make([]byte, 0, want)
	}
	c.alone = alone
	return c
}

func (q *Frames) add(c *Chunk) {
	if q.newest == nil {
		q.oldest = c
	} else {
		q.newest.next = c
	}
	q.newest = c
}

// Take takes out the oldest frames, as many as are in one chunk: those that fit
// into [ChunkSize] bytes, roughly, or a large one. It returns nil if there is
// none. Whoever has written a chunk gives it back with [Frames.Recycle].
func (q *Frames) Take() *Chunk {
	c := q.oldest
	if c == nil {
		return nil
	}
	q.count -= c.Len()
	q.bytes -= len(c.data) - c.from + len(c.rest)
	q.unlink()
	return c
}

// unlink takes the oldest chunk out of the list.
func (q *Frames) unlink() {
	c := q.oldest
	if q.oldest, c.next = c.next, nil; q.oldest == nil {
		q.newest = nil
	}
}

// Recycle keeps a chunk to be used again, if it is worth it.
func (q *Frames) Recycle(c *Chunk) {
	size := cap(c.data)
	// Chunks are not filled to the last byte.
	if size > ChunkSize || q.bytes+q.spareBytes+size > q.most+q.most/4+min(keepBytes, q.maxBytes) {
		return
	}
	if cap(c.marks) > keepCount {
		c.marks = nil
	}
	*c = Chunk{data: c.data[:0], marks: c.marks[:0], next: q.spare}
	q.spare = c
	q.spareBytes += size
}

// Trim releases what was needed for the most that was in the queue since the last
// Trim, and is not needed now. It is to be called now and then.
func (q *Frames) Trim() {
	q.most = q.bytes
	for q.spareBytes > keepBytes {
		q.spareBytes -= cap(q.spare.data)
		q.spare = q.spare.next
	}
}

// Expire drops the frames that were queued before a time, and returns their
// number. It expects that frames were pushed in the order of their times.
func (q *Frames) Expire(before time.Time) int {
	n := 0
	for q.count > 0 && q.oldest.marks[q.oldest.first].at < before.Sub(q.base) {
		q.drop()
		n++
	}
	return n
}

// Clear drops everything, and returns the number of the frames.
func (q *Frames) Clear() int {
	n := q.count
	q.oldest, q.newest = nil, nil
	q.count, q.bytes = 0, 0
	q.Trim()
	return n
}

// Len returns the number of frames in the queue.
func (q *Frames) Len() int { return q.count }

// Bytes returns the number of bytes in the queue.
func (q *Frames) Bytes() int { return q.bytes }

// drop drops the oldest frame.
func (q *Frames) drop() {
	c := q.oldest
	size := c.marks[c.first].size
	c.from += size
	c.first++
	q.count--
	q.bytes -= size
	if c.Len() == 0 {
		q.unlink()
		q.Recycle(c)
	}
	if q.count == 0 { // nobody may be there to call it
		q.Trim()
	}
}
