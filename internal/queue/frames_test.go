package queue

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a queue that anybody can see is right. Its first `kept` frames were
// taken and are not confirmed, and `next` of these are not to be taken again.
type model struct {
	maxCount, maxBytes int
	frames             []modelFrame
	kept, next         int
}

type modelFrame struct {
	data []byte
	at   time.Time
}

func bytesOf(frames []modelFrame) (n int) {
	for _, f := range frames {
		n += len(f.data)
	}
	return n
}

func (m *model) waiting() []modelFrame { return m.frames[m.kept:] }

func (m *model) drop(i int) { m.frames = slices.Delete(m.frames, i, i+1) }

func (m *model) push(f modelFrame) (dropped int, ok bool) {
	if len(f.data) > m.maxBytes || m.maxCount == 0 {
		return 0, false
	}
	m.frames = append(m.frames, f)
	for len(m.waiting()) > m.maxCount || bytesOf(m.waiting()) > m.maxBytes {
		m.drop(m.kept)
		dropped++
	}
	return dropped, true
}

func (m *model) expire(before time.Time) (again, waited int) {
	for m.next < len(m.frames) && m.frames[m.next].at.Before(before) {
		if m.next < m.kept {
			m.kept--
			again++
		} else {
			waited++
		}
		m.drop(m.next)
	}
	return again, waited
}

// TestFramesModel compares the queue with the model.
func TestFramesModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scale := rapid.SampledFrom([]int{1, 100}).Draw(t, "scale")
		m := &model{
			maxCount: rapid.IntRange(0, 40).Draw(t, "maxCount"),
			maxBytes: scale * rapid.IntRange(0, 2000).Draw(t, "maxBytes"),
		}
		window := scale * rapid.IntRange(0, 2000).Draw(t, "window")
		q := NewFrames(m.maxCount, m.maxBytes, window)
		// What was taken last, and what must be in it until the next time.
		var first, rest, holds []byte
		most := 0 // bytes since the last trim
		now := time.Now()
		next := byte(0)
		unchanged := func(t *rapid.T) {
			if got := slices.Concat(first, rest); !bytes.Equal(got, holds) {
				t.Fatalf("what was taken has become %q", got)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"push many small": func(t *rapid.T) {
				for range rapid.IntRange(5, 25).Draw(t, "count") {
					next++
					if _, ok := q.Push([]byte{next}, nil, now); !ok {
						return // not even one fits; "push" looks at that
					}
					m.push(modelFrame{[]byte{next}, now})
				}
			},
			"push": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "later")))
				next++
				f := bytes.Repeat([]byte{next}, scale*rapid.OneOf(rapid.IntRange(0, 60),
					rapid.IntRange(0, 2100)).Draw(t, "size"))
				head, body := bytes.Clone(f), []byte(nil)
				if rapid.Bool().Draw(t, "split") {
					at := min(len(f), scale*rapid.IntRange(0, 50).Draw(t, "head"))
					head, body = head[:at:at], f[at:]
				}
				dropped, ok := q.Push(head, body, now)
				clear(head)
				if wantDropped, want := m.push(modelFrame{f, now}); ok != want || dropped != wantDropped {
					t.Fatalf("Push of %d bytes: %d dropped, %v; the model %d, %v", len(f), dropped, ok, wantDropped, want)
				}
			},
			"take": func(t *rapid.T) {
				unchanged(t)
				full := q.held > 0
				var n int
				first, rest, n = q.Take()
				holds = slices.Concat(first, rest)
				if n == 0 {
					if m.next < len(m.frames) && (!full || m.next < m.kept) {
						t.Fatalf("Take finds nothing, %d frames are kept, %d taken, of %d", m.kept, m.next, len(m.frames))
					}
					return
				}
				var want []byte
				for _, f := range m.frames[m.next : m.next+n] {
					want = append(want, f.data...)
				}
				if n > 1 && len(holds) > ChunkSize || !bytes.Equal(holds, want) {
					t.Fatalf("Take returned %d frames %q, the model %q", n, holds, want)
				}
				m.next += n
				m.kept = max(m.kept, m.next)
			},
			"confirm": func(t *rapid.T) {
				n := rapid.IntRange(0, m.next).Draw(t, "n")
				q.Confirm(n)
				unchanged(t) // as long as somebody may write it
				m.frames, m.kept, m.next = m.frames[n:], m.kept-n, m.next-n
			},
			"rewind": func(t *rapid.T) {
				unchanged(t)
				first, rest, holds = nil, nil, nil
				q.Rewind()
				m.next = 0
			},
			"expire": func(t *rapid.T) {
				before := now.Add(-time.Duration(rapid.IntRange(-1, 40).Draw(t, "age")))
				again, waited := q.Expire(before)
				if wantAgain, wantWaited := m.expire(before); again != wantAgain || waited != wantWaited {
					t.Fatalf("Expire dropped %d and %d, the model %d and %d", again, waited, wantAgain, wantWaited)
				}
			},
			"trim": func(t *rapid.T) {
				q.Trim()
				most = bytesOf(m.frames)
			},
			"clear": func(t *rapid.T) {
				kept, waited := q.Clear()
				if kept != m.kept || waited != len(m.waiting()) {
					t.Fatalf("Clear dropped %d and %d, the model %d and %d", kept, waited, m.kept, len(m.waiting()))
				}
				m.frames, m.kept, m.next = nil, 0, 0
			},
			"": func(t *rapid.T) {
				if q.Len() != len(m.waiting()) || q.Bytes() != bytesOf(m.waiting()) || q.Kept() != m.kept {
					t.Fatalf("%d frames, %d bytes, %d kept; the model has %d, %d, %d", q.Len(), q.Bytes(), q.Kept(),
						len(m.waiting()), bytesOf(m.waiting()), m.kept)
				}
				if ready := m.next < len(m.frames); q.Ready() != ready {
					t.Fatalf("Ready is %v", !ready)
				}
				if kept := bytesOf(m.frames[:m.kept]); q.held > max(window, largestChunk(q)) || kept > q.held {
					t.Fatalf("%d bytes are held for %d, in a window of %d", q.held, kept, window)
				}
				most = max(most, bytesOf(m.frames))
				if n := allocated(q); n > q.held+2*most+2*min(ChunkSize, m.maxBytes)+min(keepBytes, m.maxBytes) {
					t.Fatalf("%d bytes are allocated for %d, at most %d, and %d are held", n, bytesOf(m.frames), most, q.held)
				}
			},
		})
	})
}

func largestChunk(q *Frames) (n int) {
	for c := q.oldest; c != nil; c = c.next {
		n = max(n, c.memory())
	}
	return n
}

// allocated counts the bytes of all chunks.
func allocated(q *Frames) (n int) {
	for _, list := range []*chunk{q.oldest, q.spare} {
		for c := list; c != nil; c = c.next {
			n += cap(c.data)
		}
	}
	return n
}

// drain takes and confirms everything.
func drain(q *Frames) {
	for {
		_, _, n := q.Take()
		if n == 0 {
			return
		}
		q.Confirm(n)
	}
}

// The bounds hold memory, too: what a burst needed is given back, and what is
// needed all the time is not allocated again and again.
func TestFramesMemory(t *testing.T) {
	q := NewFrames(10000, 4<<20, 4<<20)
	now := time.Now()
	frame := make([]byte, 1000)
	for range 4000 {
		q.Push(frame, nil, now)
	}
	if n := allocated(q); n < 4000*1000 || n > 4300*1000 {
		t.Fatalf("%d bytes are allocated for %d", n, q.Bytes())
	}
	drain(q)
	if n := allocated(q); n > 4300*1000 {
		t.Fatalf("%d bytes are allocated by an empty queue", n)
	}
	q.Trim()
	if n := allocated(q); n > keepBytes {
		t.Fatalf("%d bytes stay allocated in an empty queue", n)
	}
	cycle := func() {
		for range 600 {
			q.Push(frame, nil, now)
		}
		drain(q)
	}
	cycle()
	if allocs := testing.AllocsPerRun(100, cycle); allocs != 0 {
		t.Errorf("a warm queue allocates %v times for 600 frames", allocs)
	}
	overflow := func() {
		for range 100 {
			q.Push(frame, nil, now)
		}
	}
	for range 50 {
		overflow()
	}
	if n := allocated(q); n > 5<<20 {
		t.Errorf("a full queue has allocated %d bytes", n)
	}
	if allocs := testing.AllocsPerRun(100, overflow); allocs != 0 {
		t.Errorf("a full queue allocates %v times for 100 frames", allocs)
	}
}

// Of a large frame only as much is copied as a packet holds, and what was not is
// never written to.
func TestFramesKeepLargeBodies(t *testing.T) {
	body := append(make([]byte, 0, 128<<10), bytes.Repeat([]byte{7}, 100<<10)...)
	q := NewFrames(1000, 1<<20, 1<<20)
	q.Push([]byte{1}, nil, time.Now())
	q.Push([]byte{2, 2}, body, time.Now())
	q.Push([]byte{3}, nil, time.Now())
	if n := allocated(q); n > 2*ChunkSize+smallChunk {
		t.Errorf("%d bytes are allocated", n)
	}
	q.Take()
	first, rest, n := q.Take()
	if len(first) != ChunkSize || len(first)+len(rest) != 2+len(body) || &rest[0] != &body[ChunkSize-2] || n != 1 {
		t.Errorf("%d frames, %d bytes and %d", n, len(first), len(rest))
	}
	q.Confirm(2)
	for range 10000 {
		q.Push(make([]byte, 100), nil, time.Now())
	}
	drain(q)
	if all := body[:cap(body)]; bytes.Count(all, []byte{7}) != len(body) {
		t.Error("a body that others have was written over")
	}
}

func BenchmarkFrames(b *testing.B) {
	q := NewFrames(1000, 4<<20, 4<<20)
	now := time.Now()
	frame := make([]byte, 140)
	b.ReportAllocs()
	for b.Loop() {
		if q.Push(frame, nil, now); q.Len() == 200 {
			drain(q)
		}
	}
}
