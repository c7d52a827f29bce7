// Package tidy gives memory back to the machine that was needed for a moment
// only. The runtime keeps what a program once had for quite a while, and large
// stacks too, since most programs need them again. A node needs most of its memory
// for handshakes, in its first second, and then has hours with nothing to do.
//
// While messages flow it is the other way round: garbage may lie about for longer,
// since to collect it costs time, and there is memory for it.
package tidy

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	calm   = 2 * time.Second // without a stir, before it is time to tidy
	pause  = time.Minute     // between two times
	little = 4 << 20         // bytes allocated meanwhile by a program that has little to do
)

// Tidy waits for the quiet after a disturbance.
type Tidy struct {
	stirred   chan struct{}
	allocated func() uint64 // bytes since the program began
	give      func()
	room      *room
}

// New makes one. A program needs no more than that, whatever number of nodes it
// runs. If GOGC or GOMEMLIMIT is set then garbage lies about as that says.
func New() *Tidy {
	return &Tidy{
		stirred: make(chan struct{}, 1), allocated: allocated, give: give,
		room: newRoom(min(mostRoom, memory(os.DirFS("/"))/share)),
	}
}

// Stir says that something has just used memory which it does not need any more.
// It never blocks, and may be called by several goroutines at once.
func (t *Tidy) Stir() {
	select {
	case t.stirred <- struct{}{}:
	default:
	}
}

// Run gives memory back two seconds after the last of a series of stirs, at most
// once a minute, until ctx is done. A program that is busy keeps its memory until
// it is not, since it would ask for it again at once, and may have up to 32 MiB
// of garbage, or a sixteenth of a small machine's memory. As long as nothing stirs
// and nothing is collected, Run does not wake up, and a program that does next to
// nothing collects when it needs about a MiB more, not every two minutes.
func (t *Tidy) Run(ctx context.Context) {
	defer t.room.leave()
	var room sync.WaitGroup
	defer room.Wait()
	room.Go(func() { t.room.run(ctx, t.Stir) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.stirred:
		}
		if !t.settle(ctx) {
			return
		}
		t.room.leave()
		t.give()
		t.room.rest()
		if !wait(ctx, nil, pause) {
			return
		}
	}
}

// settle waits until nothing stirs and little happens. It is false when ctx is
// done first.
func (t *Tidy) settle(ctx context.Context) bool {
	for {
		before := t.allocated()
		switch {
		case !wait(ctx, t.stirred, calm):
			if ctx.Err() != nil {
				return false
			}
		case t.allocated()-before < little:
			return true
		case !wait(ctx, nil, pause):
			return false
		}
	}
}

// wait waits for some time. It is false if ctx was done first, or there was a
// stir.
func wait(ctx context.Context, stirred <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-stirred:
		return false
	case <-timer.C:
		return true
	}
}

// give collects garbage a few times, since each time halves stacks that are too
// large.
func give() {
	runtime.GC()
	runtime.GC()
	debug.FreeOSMemory()
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
