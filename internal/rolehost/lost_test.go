package rolehost

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"

	"kozo"
	"kozo/internal/status"
)

// TestLost has a role pass messages on to somebody who does not get them all.
func TestLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen kozo.Account
		h := build(t, config(does(func(ctx context.Context, env *kozo.Env) error {
			for range 5 {
				if _, err := env.Inbox.Receive(ctx); err != nil {
					return err
				}
			}
			env.Lost(kozo.Cut, 0)
			env.Lost(kozo.Cut, 2)
			env.Lost(kozo.Oversize, 1)
			env.Lost(kozo.Cut, 1)
			if err := env.Event("x", nil); err != nil {
				return err
			}
			seen = env.Account()
			return waits(ctx, env)
		}).make))
		start(t, h)
		for i := range 6 {
			h.Put(sized(uint64(i+1), 10))
		}
		h.Put(sized(7, 2000))
		synctest.Wait()
		account(t, h, status.Inbox{Offered: 7, Taken: 1, Queued: 1, Bytes: 10, Dropped: map[string]uint64{"cut": 3, "oversize": 2}})
		want := kozo.Account{Offered: 7, Taken: 1, Queued: 1, Dropped: map[kozo.Cause]uint64{kozo.Cut: 3, kozo.Oversize: 2}, Sent: 1}
		if !reflect.DeepEqual(seen, want) {
			t.Errorf("the role sees %+v, want %+v", seen, want)
		}
	})
}
