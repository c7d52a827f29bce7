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

// chunk is some frames back to back. Frames are only ever added to it, so what
// was taken from it can be read while others are added.
type chunk struct {
	data  []byte
	rest  []byte // of a frame that has no room in data; others may have it too
	marks []mark
	live  tally // frames that are not gone

	alone bool // has one frame and gets no more
	taken bool // some of it was taken, so that all of its memory counts as held

	prev, next *chunk
}

// mark is the length of a frame and when it was queued.
type mark struct {
	at   time.Duration // since base, by the monotonic clock
	size int           // its complement once the frame is gone
}

func (c *chunk) memory() int { return cap(c.data) + len(c.rest) }

// place is where a frame begins, or would, if it is after the last one.
type place struct {
	c      *chunk // nil if there is none
	i      int    // of the mark
	offset int    // in the bytes of the chunk
}

// seek moves the place to the next frame that is not gone, and says whether there
// is one.
func (p *place) seek() bool {
	for p.c != nil {
		switch {
		case p.i == len(p.c.marks):
			if p.c.next == nil {
				return false
			}
			*p = place{c: p.c.next}
		case p.c.marks[p.i].size >= 0:
			return true
		default:
			p.offset += ^p.c.marks[p.i].size
			p.i++
		}
	}
	return false
}

// run returns the end of the frames that begin at a place, are in the same chunk,
// and have nothing between them.
func (p place) run() place {
	for ; p.i < len(p.c.marks) && p.c.marks[p.i].size >= 0; p.i++ {
		p.offset += p.c.marks[p.i].size
	}
	return p
}

// tally is a number of frames and of their bytes.
type tally struct{ count, bytes int }

func (t *tally) add(count, bytes int) {
	t.count += count
	t.bytes += bytes
}

// chunk returns an empty chunk with room for so many bytes. If it is not for one
// frame alone it is the larger, the more there is in the queue.
func (q *Frames) chunk(room int, alone bool) *chunk {
	want := room
	if !alone {
		if want = max(room, smallChunk); q.newest != nil {
			want = max(want, 2*cap(q.newest.data))
		}
		want = max(min(want, ChunkSize, q.maxBytes), room)
	}
	c := q.spare
	if c == nil || alone && cap(c.data) > 2*room {
		return &chunk{data: make([]byte, 0, want), alone: alone}
	}
	q.spare, c.next = c.next, nil
	q.spareBytes -= cap(c.data)
	if cap(c.data) < want {
		c.data = make([]byte, 0, want)
	}
	c.alone = alone
	return c
}

// add puts a chunk at the end of the list.
func (q *Frames) add(c *chunk) {
	if c.prev = q.newest; c.prev == nil {
		q.oldest = c
		q.head, q.next, q.fresh = place{c: c}, place{c: c}, place{c: c}
	} else {
		c.prev.next = c
	}
	q.newest = c
}

// remove takes a chunk without frames out of the list.
func (q *Frames) remove(c *chunk) {
	var to place
	if c.next != nil {
		to.c = c.next
	} else if p := c.prev; p != nil {
		to = place{c: p, i: len(p.marks), offset: len(p.data) + len(p.rest)}
	}
	for _, p := range [...]*place{&q.head, &q.next, &q.fresh} {
		if p.c == c {
			*p = to
		}
	}
	if c.prev == nil {
		q.oldest = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.newest = c.prev
	} else {
		c.next.prev = c.prev
	}
	if c.taken {
		q.held -= c.memory()
	}
	if c != q.busy {
		q.recycle(c)
	}
}

// recycle keeps a chunk to be used again, if it is worth it.
func (q *Frames) recycle(c *chunk) {
	size := cap(c.data)
	// Chunks are not filled to the last byte.
	if size > ChunkSize || q.total()+q.spareBytes+size > q.most+q.most/4+min(keepBytes, q.maxBytes) {
		return
	}
	if cap(c.marks) > keepCount {
		c.marks = nil
	}
	*c = chunk{data: c.data[:0], marks: c.marks[:0], next: q.spare}
	q.spare = c
	q.spareBytes += size
}

// Trim releases what was needed for the most that was in the queue since the last
// Trim, and is not needed now. It is to be called now and then.
func (q *Frames) Trim() {
	q.most = q.total()
	for q.spareBytes > keepBytes {
		q.spareBytes -= cap(q.spare.data)
		q.spare = q.spare.next
	}
}
