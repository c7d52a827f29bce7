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
		maxBytes := rapid.IntRange(0, 2000).Draw(t, "maxBytes")
		q := NewFrames(maxCount, maxBytes)
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
					if _, ok := q.Push([]byte{next}, now); !ok {
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
				f := bytes.Repeat([]byte{next}, rapid.OneOf(rapid.IntRange(0, 60),
					rapid.IntRange(0, 2100)).Draw(t, "size"))
				dropped, ok := q.Push(f, now)
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
			"pop": func(t *rapid.T) {
				limit := rapid.IntRange(0, 600).Draw(t, "limit")
				want := []byte("before")
				took, taken := 0, 0
				for _, f := range model {
					if took > 0 && taken+len(f.data) > limit {
						break
					}
					want = append(want, f.data...)
					taken += len(f.data)
					took++
				}
				model = model[took:]
				got, n := q.Pop([]byte("before"), limit)
				if n != took || !bytes.Equal(got, want) {
					t.Fatalf("Pop returned %d frames %q, the model %d %q", n, got, took, want)
				}
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
				if len(q.ring) > max(maxBytes, 0) || len(q.marks) > maxCount {
					t.Fatalf("%d bytes and %d marks are allocated", len(q.ring), len(q.marks))
				}
			},
		})
	})
}

// The bounds hold memory, too: what a burst needed is given back, and what is
// needed all the time is not allocated again and again.
func TestFramesMemory(t *testing.T) {
	q := NewFrames(10000, 4<<20)
	now := time.Now()
	frame := make([]byte, 1000)
	for range 4000 {
		q.Push(frame, now)
	}
	if len(q.ring) < 4000*1000 {
		t.Fatalf("%d bytes are allocated for %d", len(q.ring), q.Bytes())
	}
	buf := make([]byte, 0, 64<<10)
	for q.Len() > 0 {
		buf, _ = q.Pop(buf[:0], 32<<10)
	}
	if len(q.ring) > keepBytes || len(q.marks) > keepCount {
		t.Fatalf("%d bytes and %d marks stay allocated in an empty queue", len(q.ring), len(q.marks))
	}
	cycle := func() {
		for range 60 {
			q.Push(frame, now)
		}
		for q.Len() > 0 {
			buf, _ = q.Pop(buf[:0], 32<<10)
		}
	}
	cycle()
	if allocs := testing.AllocsPerRun(100, cycle); allocs != 0 {
		t.Errorf("a warm queue allocates %v times for 60 frames", allocs)
	}
	overflow := func() {
		for range 100 {
			q.Push(frame, now)
		}
	}
	for range 50 {
		overflow()
	}
	if allocs := testing.AllocsPerRun(100, overflow); allocs != 0 {
		t.Errorf("a full queue allocates %v times for 100 frames", allocs)
	}
}

func BenchmarkFrames(b *testing.B) {
	q := NewFrames(1000, 4<<20)
	now := time.Now()
	frame := make([]byte, 140)
	buf := make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		q.Push(frame, now)
		if q.Len() == 200 {
			buf, _ = q.Pop(buf[:0], 32<<10)
		}
	}
}

// The rings grow wherever their oldest element is just then.
func TestFramesGrow(t *testing.T) {
	for offset := range 40 {
		q := NewFrames(1000, 10000)
		var want, got []byte
		push := func(n int) {
			for range n {
				f := bytes.Repeat([]byte{byte(len(want))}, 31)
				want = append(want, f...)
				q.Push(f, time.Now())
			}
		}
		push(offset + 1)
		got, _ = q.Pop(got, 31*offset)
		push(100)
		for q.Len() > 0 {
			got, _ = q.Pop(got, 100)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("after %d pops the queue returned other bytes than it got", offset)
		}
	}
}
