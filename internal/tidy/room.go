package tidy

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

const (
	usual   = 100                    // percent: what the runtime does by itself
	hurry   = 100 * time.Millisecond // between two collections when there is much to do
	hurries = 8                      // so many in a row are not an accident

	mostRoom = 32 << 20 // bytes of garbage that may lie about, on a large machine
	share    = 16       // that part of a small one
	smallest = 4 << 20  // bytes that the runtime's heap has before it is collected at all

	off      = -1                // percent: only a limit of memory makes the runtime collect
	rarely   = 100 * time.Second // between two collections when next to nothing happens
	litter   = 512 << 10         // bytes that it may take from the machine before it collects then
	headroom = 1 << 20           // bytes below a limit that the runtime does not use
)

// room is how much garbage may lie about. The runtime collects it when it is as
// much as what is alive, and a node has little that is alive: when a million
// messages come in a second it would collect more than a hundred times.
//
// It also collects every two minutes, whether there is garbage or not, which is a
// seventh of the CPU time of an idle node with two peers. So a node that rests
// collects only when its garbage needs more memory of the machine, about a MiB; and
// as usual again once that comes soon.
type room struct {
	bytes     uint64 // 0: the runtime decides
	alive     func() uint64
	set       func(percent int)
	limit     func(bytes int64)
	mapped    func() uint64                 // bytes that the runtime has of the machine
	cycles    func() uint64                 // collections so far
	collected chan struct{}                 // after a collection
	watch     func(func()) (unwatch func()) // calls after each one

	mu      sync.Mutex
	percent int
	last    time.Time // a collection
	row     int       // of collections in a hurry
	rests   uint64    // how many collections there were when it came to rest
}

// newRoom leaves everything to people who have said what they want.
func newRoom(bytes uint64) *room {
	for _, name := range [...]string{"GOGC", "GOMEMLIMIT"} {
		if _, ok := os.LookupEnv(name); ok {
			bytes = 0
		}
	}
	return &room{
		bytes: bytes, percent: usual, collected: make(chan struct{}, 1), alive: alive, watch: eachTime,
		set:    func(percent int) { debug.SetGCPercent(percent) },
		limit:  func(bytes int64) { debug.SetMemoryLimit(bytes) },
		mapped: mapped, cycles: cycles,
	}
}

// run makes room while the runtime collects in a hurry, until ctx is done. It
// calls made when it begins to. Without collections it does not wake up.
func (r *room) run(ctx context.Context, made func()) {
	if r.bytes == 0 {
		return
	}
	unwatch := r.watch(func() {
		select {
		case r.collected <- struct{}{}:
		default:
		}
	})
	defer r.leave()
	defer unwatch()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.collected:
		}
		if r.make() {
			made()
		}
	}
}

// make notes a collection. It is true if there is more room now than is usual,
// and was not before.
func (r *room) make() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	seldom := !r.last.IsZero() && now.Sub(r.last) >= rarely
	switch {
	case r.percent == off && r.cycles() == r.rests:
		return false // it was before
	case r.percent == off && !seldom:
		r.usual()
	case seldom && r.percent <= usual:
		r.row, r.last = 0, now
		r.calm()
		return false
	}
	if now.Sub(r.last) < hurry {
		r.row++
	} else {
		r.row = 0
	}
	r.last = now
	before := r.percent
	if before == usual && r.row < hurries {
		return false
	}
	// What is alive changes all the time, and to set it stops the program for a
	// moment.
	if p := r.fitting(); p < before-before/4 || p > before+before/4 {
		r.percent = p
		r.set(p)
	}
	return before == usual && r.percent > usual
}

// fitting is the percentage of what is alive that the room is.
func (r *room) fitting() int {
	return max(int(100*r.bytes/max(r.alive(), smallest)), usual)
}

// leave goes back to what is usual.
func (r *room) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.row = 0
	r.usual()
}

// usual sets what is. The caller has the lock.
func (r *room) usual() {
	before := r.percent
	if before == usual {
		return
	}
	r.percent = usual
	r.set(usual)
	if before == off {
		r.limit(math.MaxInt64)
	}
}

// rest is for a node that has just collected and has nothing to do.
func (r *room) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes > 0 {
		r.calm()
	}
}

// calm lets garbage lie until the program has that much more memory. The caller
// has the lock.
func (r *room) calm() {
	r.rests = r.cycles()
	now := r.mapped()
	r.limit(int64(now + now/16 + litter + headroom)) // the runtime works to stay a twentieth below
	if r.percent != off {
		r.percent = off
		r.set(off)
	}
}

// eachTime calls f after each collection, in a goroutine of the runtime, until
// unwatch is called. Between two it costs nothing.
func eachTime(f func()) (unwatch func()) {
	var over atomic.Bool
	var again func(struct{})
	arm := func() { runtime.AddCleanup(&struct{ next *byte }{}, again, struct{}{}) }
	again = func(struct{}) {
		if !over.Load() {
			f()
			arm()
		}
	}
	arm()
	return func() { over.Store(true) }
}

// alive is how much the last collection had to look at: the percentage is of that.
func alive() uint64 {
	samples := [...]metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"},
	}
	metrics.Read(samples[:])
	sum := uint64(0)
	for _, s := range samples {
		sum += s.Value.Uint64()
	}
	return sum
}

// mapped is what a limit of memory is compared with.
func mapped() uint64 {
	samples := [...]metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples[:])
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}

func cycles() uint64 {
	samples := [...]metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples[:])
	return samples[0].Value.Uint64()
}
