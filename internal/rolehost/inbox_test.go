package rolehost

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/status"
)

// What waits when a role fails, and what comes while it is away, is there for
// the next instance; what the failed one took is not.
func TestInboxSurvivesRestart(t *testing.T) {
	for name, wait := range map[string]func(context.Context, kozo.Inbox) (kozo.Message, error){
		"receive": func(ctx context.Context, inbox kozo.Inbox) (kozo.Message, error) { return inbox.Receive(ctx) },
		"ready": func(ctx context.Context, inbox kozo.Inbox) (kozo.Message, error) {
			for {
				if m, ok := inbox.TryReceive(); ok {
					return m, nil
				}
				select {
				case <-inbox.Ready():
				case <-ctx.Done():
					return kozo.Message{}, ctx.Err()
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got []uint64
				r := does(func(ctx context.Context, env *kozo.Env) error {
					m, err := wait(ctx, env.Inbox)
					got = append(got, m.Seq)
					return errors.Join(err, errBroken)
				}, func(ctx context.Context, env *kozo.Env) error {
					for {
						m, err := wait(ctx, env.Inbox)
						if err != nil {
							return err
						}
						got = append(got, m.Seq)
					}
				})
				h := build(t, config(r.make))
				h.Put(sized(1, 10))
				h.Put(sized(2, 10))
				account(t, h, status.Inbox{Offered: 2, Queued: 2, Bytes: 20})
				stop := start(t, h)
				synctest.Wait()
				h.Put(sized(3, 10))
				account(t, h, status.Inbox{Offered: 3, Taken: 1, Queued: 2, Bytes: 20})
				time.Sleep(2 * firstRestart)
				synctest.Wait()
				if !slices.Equal(got, []uint64{1, 2, 3}) {
					t.Errorf("got %v", got)
				}
				_ = stop()
				h.Put(sized(4, 10))
				account(t, h, status.Inbox{Offered: 4, Taken: 3, Dropped: map[string]uint64{"cut": 1}})
			})
		})
	}
}

// An instance that waits on Ready alone is told about what its predecessor left,
// although that one took the token.
func TestReadyAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		woken := false
		r := does(func(_ context.Context, env *kozo.Env) error {
			<-env.Inbox.Ready()
			return errBroken
		}, func(ctx context.Context, env *kozo.Env) error {
			select {
			case <-env.Inbox.Ready():
				woken = true
			case <-ctx.Done():
			}
			return waits(ctx, env)
		})
		h := build(t, config(r.make))
		h.Put(sized(1, 1))
		start(t, h)
		time.Sleep(2 * firstRestart)
		synctest.Wait()
		if !woken {
			t.Error("the second instance sleeps on a full inbox")
		}
	})
}

type limited struct {
	instance
	choose func(kozo.Limits) kozo.Limits
}

func (l limited) InboxLimits(configured kozo.Limits) kozo.Limits { return l.choose(configured) }

// What the file says goes before the default; what the role says goes before both,
// and where it says nothing the default holds.
func TestInboxLimits(t *testing.T) {
	for name, test := range map[string]struct {
		configured   kozo.Limits
		choose       func(kozo.Limits) kozo.Limits
		length, size uint64
	}{
		"default":           {length: 100, size: 1000},
		"length configured": {configured: kozo.Limits{Length: 7}, length: 7, size: 1000},
		"size configured":   {configured: kozo.Limits{Size: 50}, length: 100, size: 50},
		"chosen": {
			configured: kozo.Limits{Length: 7, Size: 50},
			choose:     func(l kozo.Limits) kozo.Limits { return kozo.Limits{Length: 3 * l.Length, Size: l.Size + 5} },
			length:     21, size: 55,
		},
		"chosen nothing": {
			configured: kozo.Limits{Length: 7, Size: 50},
			choose:     func(kozo.Limits) kozo.Limits { return kozo.Limits{Length: -1} },
			length:     100, size: 1000,
		},
		"chosen without bounds": {
			choose: func(kozo.Limits) kozo.Limits { return kozo.Limits{Length: 200, Size: math.MaxInt64} },
			length: 200, size: math.MaxInt64,
		},
	} {
		cfg := config(func() (kozo.Role, error) {
			if test.choose == nil {
				return instance{does(waits)}, nil
			}
			return limited{instance{does(waits)}, test.choose}, nil
		})
		cfg.Configured = test.configured
		h := build(t, cfg)
		const offered = 300
		for n := range uint64(offered) {
			h.Put(sized(n, 0))
		}
		account(t, h, status.Inbox{
			Offered: offered, Queued: test.length, Dropped: map[string]uint64{"inbox full": offered - test.length},
		})
		if test.size == math.MaxInt64 {
			h.Put(sized(0, math.MaxInt32))
			if s := h.Status().Inbox; s.Dropped["oversize"] > 0 {
				t.Errorf("%s: %+v", name, s)
			}
			continue
		}
		h.Put(sized(0, int(test.size)+1))
		h.Put(sized(0, int(test.size)))
		if s := h.Status().Inbox; s.Dropped["oversize"] != 1 || s.Bytes != test.size || !s.Balanced() {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// At any moment every message that was put is in exactly one place.
func TestAccountAddsUp(t *testing.T) {
	const putters, each = 4, 500
	var seen sync.Map
	r := does(func(ctx context.Context, env *kozo.Env) error {
		for n := 0; ; n++ {
			m, err := env.Inbox.Receive(ctx)
			if err != nil {
				return err
			}
			if _, twice := seen.LoadOrStore(m.Seq, true); twice {
				return errors.New("a message came twice")
			}
		}
	})
	cfg := config(r.make)
	cfg.Default = kozo.Limits{Length: 10, Size: 50}
	h := build(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var puts, all sync.WaitGroup
	all.Go(func() { _ = h.Run(ctx) })
	for p := range putters {
		puts.Go(func() {
			for n := range each {
				h.Put(sized(uint64(p*each+n), n%60))
			}
		})
	}
	watched := make(chan struct{})
	all.Go(func() {
		for {
			if s := h.Status().Inbox; !s.Balanced() || s.Queued > 10 || s.Bytes > 50 {
				t.Errorf("in between: %+v", s)
				return
			}
			select {
			case <-watched:
				return
			default:
			}
		}
	})
	puts.Wait()
	close(watched)
	cancel()
	all.Wait()
	taken := uint64(0)
	seen.Range(func(any, any) bool { taken++; return true })
	s := h.Status()
	if s.Inbox.Offered != putters*each || s.Inbox.Taken != taken || s.Inbox.Queued != 0 || !s.Inbox.Balanced() {
		t.Errorf("%d were taken, %+v", taken, s)
	}
	if want := uint64(putters * (each / 60 * 9)); s.Inbox.Dropped["oversize"] < want {
		t.Errorf("%d of at least %d are oversize", s.Inbox.Dropped["oversize"], want)
	}
	if s.Error != "" {
		t.Error(s.Error)
	}
}

// A role that lets its messages wait is named; one that reads, or has nothing to
// read, is not.
func TestNoteOfSilentReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		r := does(func(ctx context.Context, env *kozo.Env) error {
			for {
				select {
				case <-read:
					env.Inbox.TryReceive()
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		h := build(t, config(r.make))
		start(t, h)
		note := func(after time.Duration, want string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := h.Status().Note; got != want {
				t.Errorf("the note is %q, not %q", got, want)
			}
		}
		note(time.Hour, "")
		h.Put(sized(1, 1))
		h.Put(sized(2, 1))
		note(patience, "")
		note(2*time.Second, "has not read its inbox for 12s")
		read <- struct{}{}
		note(0, "")
		note(time.Minute, "has not read its inbox for 1m0s")
		read <- struct{}{}
		note(time.Minute, "")
	})
}
