package queue

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func oneByte[T any](*T) int { return 1 }

func tenBytes(*int) int { return 10 }

func balanced(c Counts) bool {
	return c.Offered == c.Taken+c.Queued+c.Full+c.Oversize+c.Left
}

func TestInboxModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxCount := rapid.IntRange(0, 20).Draw(t, "maxCount")
		maxBytes := rapid.IntRange(0, 300).Draw(t, "maxBytes")
		type item struct{ v, size int }
		q := NewInbox(maxCount, maxBytes, func(i *item) int { return i.size })
		var model []item
		var want Counts
		closed := false
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				var together []item
				for range rapid.IntRange(0, 5).Draw(t, "together") {
					next++
					together = append(together, item{next, rapid.IntRange(0, 320).Draw(t, "size")})
				}
				q.Put(together...)
				for _, i := range together { // as if they had come one by one
					want.Offered++
					switch {
					case closed:
						want.Left++
						continue
					case i.size > maxBytes || maxCount == 0:
						want.Oversize++
						continue
					}
					model = append(model, i)
					want.Bytes += uint64(i.size)
					for len(model) > maxCount || want.Bytes > uint64(maxBytes) {
						want.Full++
						want.Bytes -= uint64(model[0].size)
						model = model[1:]
					}
				}
			},
			"take": func(t *rapid.T) {
				v, ok := q.TryTake()
				if ok != (len(model) > 0) || ok && v != model[0] {
					t.Fatalf("TryTake returned %v, %v; the model has %v", v, ok, model)
				}
				if ok {
					want.Taken++
					want.Bytes -= uint64(model[0].size)
					model = model[1:]
				}
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "really") > 0 {
					return
				}
				q.Close()
				closed = true
				want.Left += uint64(len(model))
				want.Bytes, model = 0, nil
			},
			"": func(t *rapid.T) {
				want.Queued = uint64(len(model))
				got := q.Counts()
				if (got.Unread > 0) && len(model) == 0 {
					t.Fatalf("an empty inbox is unread for %v", got.Unread)
				}
				if got.Unread = 0; got != want || !balanced(got) {
					t.Fatalf("the counts are %+v, the model's %+v", got, want)
				}
				if len(q.ring) > maxCount {
					t.Fatalf("%d entries are allocated", len(q.ring))
				}
			},
		})
	})
}

// Every value has one fate, whoever puts and takes at the same time, and no
// taker sleeps while there is something to take.
func TestInboxConcurrent(t *testing.T) {
	const putters, takers, each = 4, 4, 5000
	q := NewInbox(64, 640, tenBytes)
	ctx, cancel := context.WithCancel(t.Context())
	var taken [putters * each]atomic.Int32
	var put, take sync.WaitGroup
	for p := range putters {
		put.Go(func() {
			for i := range each {
				q.Put(p*each + i)
				if c := q.Counts(); !balanced(c) {
					t.Errorf("the counts do not add up: %+v", c)
				}
			}
		})
	}
	for range takers {
		take.Go(func() {
			for {
				v, err := q.Take(ctx)
				if err != nil {
					return
				}
				taken[v].Add(1)
			}
		})
	}
	put.Wait()
	for q.Counts().Queued > 0 { // ends only if the takers wake up
		time.Sleep(time.Millisecond)
	}
	cancel()
	take.Wait()
	c := q.Counts()
	sum := uint64(0)
	for i := range taken {
		switch n := taken[i].Load(); n {
		case 0:
		case 1:
			sum++
		default:
			t.Errorf("value %d was taken %d times", i, n)
		}
	}
	if !balanced(c) || c.Taken != sum || c.Offered != putters*each || c.Left != 0 {
		t.Errorf("%d values were taken; the counts are %+v", sum, c)
	}
}

// Several takers wait; several values come at once; all wake up.
func TestInboxWakesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewInbox(10, 10, oneByte[int])
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := q.Take(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		for i := range 3 {
			q.Put(i)
		}
		wg.Wait() // a bubble in which nobody can go on fails
	})
}

// A taker that gives up hands on the wake-up that it may have swallowed.
func TestInboxGivingUpWakesAnother(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			q := NewInbox(10, 10, oneByte[int])
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			var got atomic.Int32
			wg.Go(func() {
				if _, err := q.Take(ctx); err == nil {
					got.Add(1)
				}
			})
			synctest.Wait()
			other, cancelOther := context.WithCancel(t.Context())
			wg.Go(func() {
				if _, err := q.Take(other); err == nil {
					got.Add(1)
				}
			})
			synctest.Wait()
			q.Put(1) // wakes the first, which then finds its context done
			cancel()
			synctest.Wait()
			if got.Load() != 1 {
				t.Error("a value is there, a taker waits, and they do not meet")
			}
			cancelOther()
			wg.Wait()
		})
	}
}

func TestInboxTakeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewInbox(10, 10, oneByte[int])
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := q.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Take returned %v", err)
		}
		q.Put(1)
		if _, err := q.Take(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a taker whose context is done got %v: one that reads on and on never stops", err)
		}
		q.TryTake()
		time.AfterFunc(time.Second, q.Close)
		if _, err := q.Take(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Take of a closed inbox returned %v", err)
		}
		q.Close()
		q.Put(1)
		if c := q.Counts(); c.Left != 1 || !balanced(c) {
			t.Errorf("the counts are %+v", c)
		}
	})
}

func TestInboxReady(t *testing.T) {
	q := NewInbox(10, 10, oneByte[int])
	for round := range 3 {
		q.Put(1)
		q.Put(2)
		select {
		case <-q.Ready():
		default:
			t.Fatalf("round %d: no token although the inbox was empty", round)
		}
		for {
			if _, ok := q.TryTake(); !ok {
				break
			}
		}
	}
}

// Unread names a role that never reads, also while new messages push out old
// ones, and forgives one that reads now and then.
func TestInboxUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewInbox(3, 100, oneByte[int])
		time.Sleep(time.Hour)
		if u := q.Counts().Unread; u != 0 {
			t.Errorf("an empty inbox is unread for %v", u)
		}
		for range 60 {
			q.Put(0)
			time.Sleep(time.Second)
		}
		if u := q.Counts().Unread; u != time.Minute {
			t.Errorf("unread for %v, should be 1m", u)
		}
		q.TryTake()
		if u := q.Counts().Unread; u != 0 {
			t.Errorf("unread for %v after a take", u)
		}
		q.TryTake()
		q.TryTake()
		time.Sleep(time.Second)
		q.Put(0)
		time.Sleep(time.Second)
		if u := q.Counts().Unread; u != time.Second {
			t.Errorf("unread for %v, should be 1s", u)
		}
	})
}

// Of values that came together only the last one looks at the clock when it is
// taken: the others are seen at the next opportunity.
func TestInboxUnreadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewInbox(10, 100, oneByte[int])
		q.Put(1, 2, 3, 4)
		unread := func(want time.Duration) {
			t.Helper()
			if u := q.Counts().Unread; u != want {
				t.Errorf("unread for %v, should be %v", u, want)
			}
		}
		time.Sleep(time.Minute)
		unread(time.Minute)
		q.TryTake()
		unread(0)
		time.Sleep(20 * time.Second)
		unread(20 * time.Second)
		q.TryTake()
		q.Put(5)
		time.Sleep(5 * time.Second)
		unread(5 * time.Second)
		q.TryTake()
		q.TryTake() // the last of the four
		time.Sleep(time.Second)
		unread(time.Second)
	})
}

func TestInboxMemory(t *testing.T) {
	q := NewInbox(100000, 1<<30, oneByte[*int])
	for range 10000 {
		q.Put(new(int))
	}
	for {
		if _, ok := q.TryTake(); !ok {
			break
		}
	}
	if len(q.ring) > keepCount {
		t.Errorf("%d entries stay allocated in an empty inbox", len(q.ring))
	}
	q.Put(new(int))
	q.TryTake()
	for _, values := range q.ring {
		if values != nil {
			t.Error("a value that was taken is still held")
		}
	}
}

func BenchmarkInbox(b *testing.B) {
	q := NewInbox(1000, 1<<20, func(v *[128]byte) int { return len(v) })
	var v [128]byte
	b.ReportAllocs()
	for b.Loop() {
		q.Put(v)
		q.TryTake()
	}
}
