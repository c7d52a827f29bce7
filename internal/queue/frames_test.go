package queue

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestFramesModel compares the queue with one that anybody can see is right.
func TestFramesModel(t *testing.T) {
	type frame struct {
		data []byte
		at   time.Time
	}
	rapid.Check(t, func(t *rapid.T) {
		maxCount := rapid.IntRange(0, 40).Draw(t, "maxCount")
		scale := rapid.SampledFrom([]int{1, 100}).Draw(t, "scale")
		maxBytes := scale * rapid.IntRange(0, 2000).Draw(t, "maxBytes")
		q := NewFrames(maxCount, maxBytes)
		// The chunk that was taken and not given back, and what must be in it.
		var held *Chunk
		var holds []byte
		most := 0 // bytes since the last trim
		var model []frame
		size := func() (n int) {
			for _, f := range model {
				n += len(f.data)
			}
			return n
		}
		now := time.Now()
		next := byte(0)
		t.Repeat(map[string]func(*rapid.T){
			"push many small": func(t *rapid.T) {
				for range rapid.IntRange(5, 25).Draw(t, "count") {
					next++
					if _, ok := q.Push([]byte{next}, nil, now); !ok {
						return // not even one fits; "push" looks at that
					}
					model = append(model, frame{[]byte{next}, now})
					for len(model) > maxCount || size() > maxBytes {
						model = model[1:]
					}
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
				if want := len(f) <= maxBytes && maxCount > 0; ok != want {
					t.Fatalf("Push of %d bytes: ok is %v", len(f), ok)
				}
				wantDropped := 0
				if ok {
					model = append(model, frame{f, now})
					for len(model) > maxCount || size() > maxBytes {
						model = model[1:]
						wantDropped++
					}
				}
				if dropped != wantDropped {
					t.Fatalf("Push dropped %d, the model %d", dropped, wantDropped)
				}
			},
			"take": func(t *rapid.T) {
				if held != nil {
					if !bytes.Equal(whole(held), holds) {
						t.Fatalf("what was taken has become %q", whole(held))
					}
					q.Recycle(held)
				}
				if held, holds = q.Take(), nil; held == nil {
					if len(model) > 0 {
						t.Fatal("Take finds nothing")
					}
					return
				}
				for _, f := range model[:held.Len()] {
					holds = append(holds, f.data...)
				}
				if n := held.Len(); n == 0 || n > 1 && len(holds) > max(ChunkSize, cap(held.data)) || !bytes.Equal(whole(held), holds) {
					t.Fatalf("Take returned %d frames %q, the model %q", n, whole(held), holds)
				}
				model = model[held.Len():]
			},
			"expire": func(t *rapid.T) {
				before := now.Add(-time.Duration(rapid.IntRange(-1, 40).Draw(t, "age")))
				want := 0
				for len(model) > 0 && model[0].at.Before(before) {
					model = model[1:]
					want++
				}
				if got := q.Expire(before); got != want {
					t.Fatalf("Expire dropped %d, the model %d", got, want)
				}
			},
			"trim": func(t *rapid.T) {
				q.Trim()
				most = size()
			},
			"clear": func(t *rapid.T) {
				if got := q.Clear(); got != len(model) {
					t.Fatalf("Clear dropped %d, the model %d", got, len(model))
				}
				model = nil
			},
			"": func(t *rapid.T) {
				if q.Len() != len(model) || q.Bytes() != size() {
					t.Fatalf("%d frames, %d bytes; the model has %d, %d", q.Len(), q.Bytes(), len(model), size())
				}
				most = max(most, size())
				if n := allocated(q); n > 2*most+2*min(ChunkSize, maxBytes)+min(keepBytes, maxBytes) {
					t.Fatalf("%d bytes are allocated for %d, at most %d", n, size(), most)
				}
			},
		})
	})
}

// allocated counts the bytes of all chunks.
func allocated(q *Frames) (n int) {
	for _, list := range []*Chunk{q.oldest, q.spare} {
		for c := list; c != nil; c = c.next {
			n += cap(c.data)
		}
	}
	return n
}

func whole(c *Chunk) []byte {
	first, rest := c.Bytes()
	return append(bytes.Clone(first), rest...)
}

// drain takes everything.
func drain(q *Frames) (got []byte) {
	for c := q.Take(); c != nil; c = q.Take() {
		got = append(got, whole(c)...)
		q.Recycle(c)
	}
	return got
}

// The bounds hold memory, too: what a burst needed is given back, and what is
// needed all the time is not allocated again and again.
func TestFramesMemory(t *testing.T) {
	q := NewFrames(10000, 4<<20)
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
		for c := q.Take(); c != nil; c = q.Take() {
			q.Recycle(c)
		}
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
	if allocs := testing.AllocsPerRun(100, overflow); allocs != 0 {
		t.Errorf("a full queue allocates %v times for 100 frames", allocs)
	}
}

// Of a large frame only as much is copied as a packet holds, and what was not is
// never written to.
func TestFramesKeepLargeBodies(t *testing.T) {
	body := append(make([]byte, 0, 128<<10), bytes.Repeat([]byte{7}, 100<<10)...)
	q := NewFrames(1000, 1<<20)
	q.Push([]byte{1}, nil, time.Now())
	q.Push([]byte{2, 2}, body, time.Now())
	q.Push([]byte{3}, nil, time.Now())
	if n := allocated(q); n > 2*ChunkSize+smallChunk {
		t.Errorf("%d bytes are allocated", n)
	}
	q.Take()
	c := q.Take()
	first, rest := c.Bytes()
	if len(first) != ChunkSize || len(first)+len(rest) != 2+len(body) || &rest[0] != &body[ChunkSize-2] || c.Len() != 1 {
		t.Errorf("%d frames, %d bytes and %d", c.Len(), len(first), len(rest))
	}
	q.Recycle(c)
	for range 10000 {
		q.Push(make([]byte, 100), nil, time.Now())
	}
	drain(q)
	if all := body[:cap(body)]; bytes.Count(all, []byte{7}) != len(body) {
		t.Error("a body that others have was written over")
	}
}

func BenchmarkFrames(b *testing.B) {
	q := NewFrames(1000, 4<<20)
	now := time.Now()
	frame := make([]byte, 140)
	b.ReportAllocs()
	for b.Loop() {
		if q.Push(frame, nil, now); q.Len() == 200 {
			for c := q.Take(); c != nil; c = q.Take() {
				q.Recycle(c)
			}
		}
	}
}
