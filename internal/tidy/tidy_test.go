package tidy

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house counts how often one is tidied, and when it was last.
type house struct {
	*Tidy
	mu    sync.Mutex
	times int
	last  time.Time
	bytes uint64 // allocated so far
}

func (h *house) allocate(n uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes += n
}

func (h *house) tidied() (times int, last time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.times, h.last
}

func run(t *testing.T, test func(t *testing.T, h *house)) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{Tidy: New()}
		h.room.bytes = 0 // what is collected meanwhile does not count
		h.allocated = func() uint64 {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.bytes
		}
		h.give = func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.times, h.last = h.times+1, time.Now()
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			h.Run(ctx)
			close(done)
		}()
		test(t, h)
		cancel()
		<-done
	})
}

func TestMemoryIsGivenBackAfterTheLastStir(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		time.Sleep(time.Hour)
		if times, _ := h.tidied(); times > 0 {
			t.Fatal("tidied though nothing had happened")
		}
		var stirred time.Time
		for range 10 {
			h.Stir()
			h.Stir()
			stirred = time.Now()
			time.Sleep(calm - time.Millisecond)
		}
		if times, _ := h.tidied(); times > 0 {
			t.Fatal("tidied in the middle")
		}
		time.Sleep(time.Hour)
		if times, last := h.tidied(); times != 1 || last.Sub(stirred) != calm {
			t.Errorf("tidied %d times, after %v", times, last.Sub(stirred))
		}
	})
}

func TestStirsFarFromEachOtherCostLittle(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		for range 600 {
			h.Stir()
			time.Sleep(6 * time.Second)
		}
		if times, _ := h.tidied(); times < 50 || times > 60 {
			t.Errorf("tidied %d times in an hour", times)
		}
	})
}

func TestBusyProgramKeepsItsMemory(t *testing.T) {
	run(t, func(t *testing.T, h *house) {
		h.Stir()
		for range 3600 {
			time.Sleep(time.Second)
			h.allocate(little)
		}
		if times, _ := h.tidied(); times > 0 {
			t.Error("tidied in the middle of much to do")
		}
		time.Sleep(2 * pause)
		if times, _ := h.tidied(); times != 1 {
			t.Errorf("tidied %d times at the end of it", times)
		}
	})
}

// keep holds on to what the test allocates.
var keep [][]byte

func TestMemoryReallyGoesBack(t *testing.T) {
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapSys - m.HeapReleased
	}
	before := allocated()
	for range 64 {
		keep = append(keep, make([]byte, 1<<20))
	}
	if got := allocated() - before; got < 64<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
	keep = nil
	full := inUse()
	give()
	if now := inUse(); full < 64<<20 || now > full-60<<20 {
		t.Errorf("the heap had %d bytes and still has %d", full, now)
	}
}
