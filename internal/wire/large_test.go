package wire

import (
	"bytes"
	"testing"
)

// One large frame after the other needs no new memory.
func TestReaderStaysLarge(t *testing.T) {
	frames := bytes.Repeat(AppendFrame(nil, TypeMessage, make([]byte, 70<<10)), 200)
	r := NewReader(bytes.NewReader(frames), 1<<20)
	next := func() {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	next()
	if allocs := testing.AllocsPerRun(190, next); allocs != 0 {
		t.Errorf("%v allocations a frame", allocs)
	}
}

// What was kept stays as it was, takes no more memory than it needs, and costs one
// allocation and no copy.
func TestReaderGivesAway(t *testing.T) {
	const before, size, times = 5000, 96 << 10, 100
	var b []byte
	for range before { // so that it has a large buffer
		b = AppendFrame(b, TypeMessage, []byte("small"))
	}
	b = AppendFrame(b, TypeMessage, make([]byte, 2*size))
	for i := range times {
		b = AppendFrame(b, TypeMessage, bytes.Repeat([]byte{byte(i)}, size))
		b = AppendFrame(b, TypeMessage, []byte("small"))
	}
	src := &counted{src: bytes.NewReader(b)}
	r := NewReader(src, 1<<20)
	next := func() []byte {
		_, payload, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		frame, n := r.Run(payload, 10, 1<<20)
		if len(payload) > size/2 && n != 1 {
			t.Fatalf("%d large frames together", n)
		}
		return frame
	}
	for range before {
		if _, _, err := r.Next(); err != nil || r.Keep() {
			t.Fatalf("a small frame has memory of its own, or %v", err)
		}
	}
	next() // is not kept
	src.sizes = make([]int, 0, 10*times)
	kept := make([][]byte, 0, times)
	allocs := testing.AllocsPerRun(times-1, func() {
		frame := next()
		if memory := cap(r.own); memory > size+size/4+10 || !r.Keep() {
			t.Fatalf("frame %d has %d bytes of memory", len(kept), memory)
		}
		kept = append(kept, frame)
		next()
	})
	if allocs != 1 && !raceEnabled {
		t.Errorf("%v allocations a frame", allocs)
	}
	for i, frame := range kept {
		payload, rest := Cut(frame)
		if len(rest) > 0 || len(payload) != size || bytes.Count(payload, []byte{byte(i)}) != size {
			t.Fatalf("frame %d has changed after it was kept: %d bytes and %d", i, len(payload), len(rest))
		}
	}
	for _, n := range src.sizes {
		if n > ahead && n < size-ahead {
			t.Fatalf("%d bytes were read at a time, through the buffer", n)
		}
	}
}
