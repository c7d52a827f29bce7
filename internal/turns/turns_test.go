package turns

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlySoManyGoOnAtATimeInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(3)
		var mu sync.Mutex
		var order []int
		now, most := 0, 0
		begun := time.Now()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				turn, err := turns.Take(t.Context(), time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				now++
				most = max(most, now)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				now--
				mu.Unlock()
				turn.End()
				turn.End() // changes nothing
			})
			synctest.Wait()
		}
		all.Wait()
		if took := time.Since(begun); most != 3 || took != 4*time.Second {
			t.Errorf("%d at a time, in %v", most, took)
		}
		for place, i := range order {
			if i/3 != place/3 {
				t.Errorf("they came in the order %v", order)
			}
		}
	})
}

// Whoever waits in vain gives its turn up in time, once.
func TestATurnEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1)
		begun := time.Now()
		take := func() *Turn {
			t.Helper()
			turn, err := turns.Take(t.Context(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return turn
		}
		first := take()
		second := take()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("the second turn came after %v", took)
		}
		first.End()
		first.Extend(time.Millisecond) // neither ends that of another
		second.Extend(10 * time.Second)
		take().End()
		if took := time.Since(begun); took != 11*time.Second {
			t.Errorf("the third turn came after %v", took)
		}
		second.Extend(time.Hour)
		if len(turns.taken) != 0 {
			t.Errorf("%d turns are taken", len(turns.taken))
		}
	})
}

func TestWhoDoesNotWaitAnyMoreGetsNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := New(1)
		turn, err := turns.Take(t.Context(), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := turns.Take(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		turn.End()
		if len(turns.taken) != 0 {
			t.Errorf("%d turns are taken", len(turns.taken))
		}
	})
}
