package tidy

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"
)

// collector is the runtime's, as far as a room has to do with it.
type collector struct {
	collect func()
	alive   atomic.Uint64
	cycles  atomic.Uint64
	limit   atomic.Int64
	busy    atomic.Bool // allocates

	mu  sync.Mutex
	set []int // percentages, in order; 0 is where memory was given back
}

func (c *collector) note(percent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = append(c.set, percent)
}

func (c *collector) expect(t *testing.T, what string, percentages ...int) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.set, percentages) {
		t.Fatalf("%s: percentages %v, should be %v", what, c.set, percentages)
	}
}

func inRoom(t *testing.T, test func(t *testing.T, c *collector)) {
	synctest.Test(t, func(t *testing.T) {
		c := &collector{}
		c.alive.Store(1 << 20)
		tidy := New()
		bytes := uint64(0)
		tidy.allocated = func() uint64 {
			if c.busy.Load() {
				bytes += little
			}
			return bytes
		}
		tidy.give = func() { c.note(0) }
		tidy.room.bytes, tidy.room.alive, tidy.room.set = mostRoom, c.alive.Load, c.note
		tidy.room.limit, tidy.room.cycles = c.limit.Store, c.cycles.Load
		tidy.room.mapped = func() uint64 { return 16 << 20 }
		tidy.room.watch = func(f func()) func() {
			c.collect = f
			return func() { c.collect = nil }
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			tidy.Run(ctx)
			close(done)
		}()
		synctest.Wait()
		test(t, c)
		cancel()
		<-done
		if c.collect != nil {
			t.Error("it still looks at collections")
		}
		if n := len(c.set); n > 0 && c.set[n-1] != usual {
			t.Errorf("it leaves %d percent behind", c.set[n-1])
		}
		if v := c.limit.Load(); v != 0 && v != math.MaxInt64 {
			t.Errorf("it leaves a limit of %d bytes behind", v)
		}
	})
}

// flow collects so often.
func (c *collector) flow(times int, apart time.Duration) {
	for range times {
		time.Sleep(apart)
		c.cycles.Add(1)
		c.collect()
		synctest.Wait()
	}
}

func TestThereIsMoreRoomWhileMuchIsCollected(t *testing.T) {
	inRoom(t, func(t *testing.T, c *collector) {
		c.busy.Store(true)
		c.flow(100, hurry)
		c.flow(hurries-1, hurry/2)
		c.flow(100, hurry)
		c.expect(t, "there is not much to collect")
		c.flow(1000, hurry/20)
		c.expect(t, "there is", 800)
		c.alive.Store(16 << 20)
		c.flow(1, hurry)
		c.alive.Store(15 << 20)
		c.flow(1, hurry)
		c.expect(t, "the heap is larger", 800, 200)
		c.alive.Store(1 << 30)
		c.flow(1, hurry)
		c.expect(t, "the heap is very large", 800, 200, 100)
	})
}

func TestRoomIsGivenBackWhenItIsCalm(t *testing.T) {
	inRoom(t, func(t *testing.T, c *collector) {
		c.busy.Store(true)
		c.flow(1000, hurry/20)
		time.Sleep(time.Hour)
		c.expect(t, "there is much to do", 800)
		c.busy.Store(false)
		time.Sleep(pause + 2*calm)
		c.expect(t, "it is calm", 800, 100, 0, off)
		c.flow(1000, hurry/20)
		time.Sleep(2 * pause)
		c.expect(t, "the second time", 800, 100, 0, off, 100, 800, 100, 0, off)
	})
}

func TestANodeAtRestCollectsWhenThereIsGarbage(t *testing.T) {
	inRoom(t, func(t *testing.T, c *collector) {
		c.flow(1, time.Hour)
		c.expect(t, "the first collection says nothing")
		c.flow(1, 2*time.Minute)
		c.expect(t, "the runtime collected by itself", off)
		if most := int64(18<<20 + 512<<10); c.limit.Load() != most {
			t.Errorf("it may have %d bytes, not %d", c.limit.Load(), most)
		}
		c.collect() // once more, late, for a collection before that
		synctest.Wait()
		c.flow(3, rarely)
		c.expect(t, "a MiB of garbage takes long", off)
		c.flow(1, rarely-1)
		c.expect(t, "it comes soon", off, usual)
		if v := c.limit.Load(); v != math.MaxInt64 {
			t.Errorf("there is a limit of %d bytes", v)
		}
		c.flow(10, rarely-1)
		c.expect(t, "it goes on", off, usual)
		c.flow(1, 2*time.Minute)
		c.expect(t, "it is calm again", off, usual, off)
	})
}

func TestRoomIsGivenBackAtTheEnd(t *testing.T) {
	inRoom(t, func(t *testing.T, c *collector) {
		c.flow(20, hurry/20)
		c.expect(t, "it still runs", 800)
	})
}

func TestPeopleDecideHowMuchIsCollected(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOGC", "x")
			t.Setenv("GOMEMLIMIT", "x")
			os.Unsetenv("GOGC")
			os.Unsetenv("GOMEMLIMIT")
			if newRoom(mostRoom).bytes != mostRoom {
				t.Fatal("nobody decided, and there is no room")
			}
			t.Setenv(name, "100")
			if newRoom(mostRoom).bytes != 0 {
				t.Error("it makes room all the same")
			}
		})
	}
}

// TestTheRuntimeIsReallyTold makes garbage until the runtime lets more of it lie.
func TestTheRuntimeIsReallyTold(t *testing.T) {
	percent := func() uint64 {
		sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	r := newRoom(mostRoom)
	r.bytes = mostRoom
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	done := make(chan struct{})
	go func() {
		r.run(ctx, func() {})
		close(done)
	}()
	for percent() <= usual {
		if ctx.Err() != nil {
			t.Fatal("it is as usual after much garbage")
		}
		for range 256 {
			keep = [][]byte{make([]byte, 64<<10)}
		}
	}
	cancel()
	<-done
	if now := percent(); now != usual {
		t.Errorf("it leaves %d percent behind", now)
	}
}

// TestARestingProgramCollectsItsGarbage rests with the real runtime, and then makes
// garbage until it is collected as usual again.
func TestARestingProgramCollectsItsGarbage(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	r := newRoom(mostRoom)
	r.bytes = mostRoom
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		r.run(ctx, func() {})
		close(done)
	}()
	give()
	r.rest()
	if debug.SetMemoryLimit(-1) == before {
		t.Error("nothing makes it collect")
	}
	rests := cycles()
	made := 0
	for ; cycles() == rests && made < 64<<20; made += 16 << 10 {
		keep = [][]byte{make([]byte, 16<<10)}
	}
	if made > 8<<20 { // it goes on while it is collected
		t.Errorf("%d KiB of garbage lie about", made>>10)
	}
	for debug.SetMemoryLimit(-1) != before { // the next collection comes soon after that one
		if ctx.Err() != nil {
			t.Fatal("it does not collect as usual again")
		}
		for range 256 {
			keep = [][]byte{make([]byte, 16<<10)}
		}
	}
	cancel()
	<-done
}

func TestMemoryOfTheMachine(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	pi := "MemTotal:         443088 kB\nMemFree:          100000 kB\n"
	for _, test := range []struct {
		name  string
		files fstest.MapFS
		want  uint64
	}{
		{"nothing is known", fstest.MapFS{}, math.MaxUint64},
		{"a small computer", fstest.MapFS{"proc/meminfo": file(pi)}, 443088 << 10},
		{"nonsense", fstest.MapFS{"proc/meminfo": file("MemTotal: much\nMemTotal:\n"), "proc/self/cgroup": file("0::/../..\n")}, math.MaxUint64},
		{"a service with a limit", fstest.MapFS{
			"proc/meminfo": file(pi), "proc/self/cgroup": file("0::/system.slice/kozo@clock.service\n"),
			"sys/fs/cgroup/system.slice/memory.max":                    file("67108864\n"),
			"sys/fs/cgroup/system.slice/kozo@clock.service/memory.max": file("max\n"),
		}, 64 << 20},
		{"a container", fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("1048576\n")}, 1 << 20},
	} {
		if got := memory(test.files); got != test.want {
			t.Errorf("%s: %d bytes, should be %d", test.name, got, test.want)
		}
	}
	if got := memory(os.DirFS("/")); runtime.GOOS == "linux" && got == math.MaxUint64 {
		t.Error("this machine does not say how much memory it has")
	}
}
