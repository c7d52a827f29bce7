package rolehost

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/status"
	"kozo/internal/supervise"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runs is a role whose every run is the next of some functions; the last one is
// run again and again.
type runs struct {
	mu    sync.Mutex
	made  int
	begun []time.Time
	todo  []func(ctx context.Context, env *kozo.Env) error
}

func (r *runs) make() (kozo.Role, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made++
	return instance{r}, nil
}

// begin returns what to do in this run.
func (r *runs) begin() func(context.Context, *kozo.Env) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(r.begun), len(r.todo)-1)
	r.begun = append(r.begun, time.Now())
	return r.todo[n]
}

// pauses returns the time between the beginnings of runs.
func (r *runs) pauses() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []time.Duration
	for i := 1; i < len(r.begun); i++ {
		list = append(list, r.begun[i].Sub(r.begun[i-1]))
	}
	return list
}

type instance struct{ of *runs }

func (i instance) Run(ctx context.Context, env *kozo.Env) error { return i.of.begin()(ctx, env) }

func does(todo ...func(context.Context, *kozo.Env) error) *runs { return &runs{todo: todo} }

func waits(ctx context.Context, _ *kozo.Env) error {
	<-ctx.Done()
	return ctx.Err()
}

var errBroken = errors.New("it is broken")

func fails(context.Context, *kozo.Env) error { return errBroken }

func panics(context.Context, *kozo.Env) error { panic("no such lamp") }

var ref = kozo.RoleRef{Node: "clock", Role: "timer1"}

// config is enough to run a role that sends nothing.
func config(newRole func() (kozo.Role, error)) Config {
	return Config{
		Ref: ref, Type: "timer", New: newRole, Default: kozo.Limits{Length: 100, Size: 1000}, Size: sizeOf,
		Out: io.Discard, Log: slog.New(slog.DiscardHandler),
		Send: func(*kozo.Message) {}, SetInterest: func([]kozo.Filter) {},
	}
}

func build(t *testing.T, cfg Config) *Host {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// start runs a host until stop is called, which returns what Run returned.
func start(t *testing.T, h *Host) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return stop
}

// account fails unless the inbox of a host adds up to what is wanted.
func account(t *testing.T, h *Host, want status.Inbox) {
	t.Helper()
	got := h.Status().Inbox
	if !got.Balanced() {
		t.Errorf("the account does not add up: %+v", got)
	}
	same := got.Offered == want.Offered && got.Taken == want.Taken && got.Queued == want.Queued && got.Bytes == want.Bytes
	for _, cause := range kozo.Causes() {
		same = same && got.Dropped[string(cause)] == want.Dropped[string(cause)]
	}
	if !same {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// sized is an event that counts for so many bytes in the inbox of a test, which
// takes them from its time.
func sized(n uint64, size int) kozo.Message {
	m := event(n)
	m.Time = time.Unix(int64(size), 0)
	return m
}

func sizeOf(m *kozo.Message) int { return int(m.Time.Unix()) }

func event(n uint64) kozo.Message { return kozo.Message{Kind: kozo.Event, Type: "tick", Seq: n} }

// A role that fails at once is run again after pauses that grow from half a
// second to at most a minute, whether it returns an error or panics, and the
// status says so.
func TestRestartsWithGrowingPauses(t *testing.T) {
	for name, test := range map[string]struct {
		run  func(context.Context, *kozo.Env) error
		want string
	}{"error": {fails, "it is broken"}, "panic": {panics, "panic: no such lamp"}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := does(test.run)
				h := build(t, config(r.make))
				stop := start(t, h)
				synctest.Wait()
				if s := h.Status(); s.State != supervise.Waiting || s.Restarts != 0 || s.Error != test.want {
					t.Errorf("after the first failure: %+v", s)
				}
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				pauses := r.pauses()
				longest := firstRestart
				for i, pause := range pauses {
					if pause < longest/2 || pause > longest+time.Millisecond {
						t.Errorf("pause %d is %v, not between %v and %v", i, pause, longest/2, longest)
					}
					longest = min(2*longest, slowestRestart)
				}
				if s := h.Status(); s.Restarts != len(pauses) || len(pauses) < 12 || len(pauses) > 30 {
					t.Errorf("%d pauses in 10 minutes, %+v", len(pauses), s)
				}
				if r.made != len(pauses)+1 {
					t.Errorf("%d instances for %d runs", r.made, len(pauses)+1)
				}
				if err := stop(); !errors.Is(err, context.Canceled) || h.Status().State != supervise.Stopped {
					t.Errorf("stopped with %v, %+v", err, h.Status())
				}
			})
		})
	}
}

// After a healthy minute the next failure is the first one again.
func TestHealthyMinuteForgives(t *testing.T) {
	for lasts, most := range map[time.Duration]time.Duration{
		healthy:               firstRestart,
		healthy - time.Second: slowestRestart,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := does(fails, fails, fails, fails, fails, fails, fails, fails, func(context.Context, *kozo.Env) error {
				time.Sleep(lasts)
				return errBroken
			}, waits)
			h := build(t, config(r.make))
			start(t, h)
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			pauses := r.pauses()
			if len(pauses) != 9 {
				t.Fatalf("pauses %v", pauses)
			}
			if pause := pauses[8] - lasts; pause < most/2 || pause > most+time.Millisecond {
				t.Errorf("after %v the pause is %v, not between %v and %v", lasts, pause, most/2, most)
			}
			if s := h.Status(); s.State != supervise.Running || s.Error != "it is broken" || s.Restarts != 9 {
				t.Errorf("the status forgets what was: %+v", s)
			}
		})
	}
}

// A new instance that cannot be made is a failure like any other.
func TestNewFails(t *testing.T) {
	if _, err := New(config(func() (kozo.Role, error) { return nil, errBroken })); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := does(fails, waits)
		calls := 0
		h := build(t, config(func() (kozo.Role, error) {
			if calls++; calls == 2 || calls == 3 {
				return nil, errors.New("there is no bus")
			}
			return r.make()
		}))
		start(t, h)
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := h.Status(); s.State != supervise.Running || s.Restarts != 3 || s.Error != "there is no bus" || calls != 4 {
			t.Errorf("%d calls, %+v", calls, s)
		}
	})
}

// A role that returns nil is done for good: nothing is sent to it any more, and
// what comes nevertheless is counted.
func TestDoneForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := does(func(_ context.Context, env *kozo.Env) error {
			env.Inbox.TryReceive()
			return nil
		})
		interest := []kozo.Filter{{Kind: kozo.Event}}
		cfg := config(r.make)
		cfg.SetInterest = func(f []kozo.Filter) { interest = f }
		h := build(t, cfg)
		for n := range uint64(3) {
			h.Put(sized(n, 1))
		}
		if err := h.Run(t.Context()); err != nil {
			t.Errorf("Run returns %v", err)
		}
		h.Put(sized(4, 1))
		account(t, h, status.Inbox{Offered: 4, Taken: 1, Dropped: map[string]uint64{"cut": 3}})
		if len(interest) > 0 {
			t.Errorf("it still wants %v", interest)
		}
		time.Sleep(time.Hour)
		if s := h.Status(); s.State != supervise.Done || s.Restarts != 0 || s.Error != "" || s.Note != "" || r.made != 1 {
			t.Errorf("%d instances, %+v", r.made, s)
		}
	})
}

// A node that stops will come back, and its roles want then what they want now.
func TestStoppingKeepsInterest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, run := range map[string]func(context.Context, *kozo.Env) error{
			"with the error": waits,
			"with nil":       func(ctx context.Context, _ *kozo.Env) error { <-ctx.Done(); return nil },
		} {
			var calls [][]kozo.Filter
			cfg := config(does(run).make)
			cfg.SetInterest = func(f []kozo.Filter) { calls = append(calls, f) }
			h := build(t, cfg)
			stop := start(t, h)
			synctest.Wait()
			h.Put(sized(1, 1))
			if err := stop(); !errors.Is(err, context.Canceled) || len(calls) > 0 {
				t.Errorf("%s: %v, interest set to %v", name, err, calls)
			}
			account(t, h, status.Inbox{Offered: 1, Dropped: map[string]uint64{"cut": 1}})
			if s := h.Status(); s.State != supervise.Stopped || s.Error != "" {
				t.Errorf("%s: %+v", name, s)
			}
		}
	})
}

func TestSetInterest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []kozo.Filter
		cfg := config(does(func(ctx context.Context, env *kozo.Env) error {
			env.SetInterest([]kozo.Filter{{Type: "tick"}})
			return waits(ctx, env)
		}).make)
		cfg.SetInterest = func(f []kozo.Filter) { got = f }
		start(t, build(t, cfg))
		synctest.Wait()
		if !slices.Equal(got, []kozo.Filter{{Type: "tick"}}) {
			t.Errorf("got %v", got)
		}
	})
}

// Reopen tells the role once, however often it is called while the role is busy,
// also when the role is not running just then.
func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reopened := 0
		busy := make(chan struct{})
		r := does(fails, func(ctx context.Context, env *kozo.Env) error {
			<-busy
			for {
				select {
				case <-env.Reopen:
					reopened++
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
		h := build(t, config(r.make))
		start(t, h)
		synctest.Wait()
		for range 5 {
			h.Reopen() // nobody listens: the bubble would be stuck if this waited
		}
		time.Sleep(2 * firstRestart)
		close(busy)
		synctest.Wait()
		if reopened != 1 {
			t.Errorf("reopened %d times", reopened)
		}
		h.Reopen()
		synctest.Wait()
		if reopened != 2 {
			t.Errorf("reopened %d times", reopened)
		}
	})
}

// What a role is given is what its node has for it.
func TestEnv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got kozo.Env
		cfg := config(does(func(_ context.Context, env *kozo.Env) error { got = *env; return nil }).make)
		var out, log strings.Builder
		cfg.Out, cfg.Log, cfg.Storage = &out, slog.New(slog.NewTextHandler(&log, nil)), noStorage{}
		h := build(t, cfg)
		if err := h.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(got.Out, "cuckoo")
		got.Log.Info("hello")
		if got.Self != ref || got.Storage != cfg.Storage || out.String() != "cuckoo" || !strings.Contains(log.String(), "hello") {
			t.Errorf("got %+v, printed %q, logged %q", got, out.String(), log.String())
		}
		if s := h.Status(); s.Name != "timer1" || s.Type != "timer" {
			t.Errorf("got %+v", s)
		}
	})
}

type noStorage struct{}

func (noStorage) Load(any) error { return kozo.ErrNoStorage }
func (noStorage) Save(any) error { return kozo.ErrNoStorage }
