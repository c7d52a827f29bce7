package rolehost

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
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
		Ref: ref, Type: "timer", New: newRole, Default: kozo.Limits{Length: 100, Size: 1000},
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
				h.Put(event(1), 10)
				h.Put(event(2), 10)
				account(t, h, status.Inbox{Offered: 2, Queued: 2, Bytes: 20})
				stop := start(t, h)
				synctest.Wait()
				h.Put(event(3), 10)
				account(t, h, status.Inbox{Offered: 3, Taken: 1, Queued: 2, Bytes: 20})
				time.Sleep(2 * firstRestart)
				synctest.Wait()
				if !slices.Equal(got, []uint64{1, 2, 3}) {
					t.Errorf("got %v", got)
				}
				_ = stop()
				h.Put(event(4), 10)
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
		h.Put(event(1), 1)
		start(t, h)
		time.Sleep(2 * firstRestart)
		synctest.Wait()
		if !woken {
			t.Error("the second instance sleeps on a full inbox")
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
			h.Put(event(n), 1)
		}
		if err := h.Run(t.Context()); err != nil {
			t.Errorf("Run returns %v", err)
		}
		h.Put(event(4), 1)
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
			h.Put(event(1), 1)
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
			h.Put(event(n), 0)
		}
		account(t, h, status.Inbox{
			Offered: offered, Queued: test.length, Dropped: map[string]uint64{"inbox full": offered - test.length},
		})
		if test.size == math.MaxInt64 {
			h.Put(event(0), math.MaxInt32)
			if s := h.Status().Inbox; s.Dropped["oversize"] > 0 {
				t.Errorf("%s: %+v", name, s)
			}
			continue
		}
		h.Put(event(0), int(test.size)+1)
		h.Put(event(0), int(test.size))
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
				h.Put(event(uint64(p*each+n)), n%60)
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
		h.Put(event(1), 1)
		h.Put(event(2), 1)
		note(patience, "")
		note(2*time.Second, "has not read its inbox for 12s")
		read <- struct{}{}
		note(0, "")
		note(time.Minute, "has not read its inbox for 1m0s")
		read <- struct{}{}
		note(time.Minute, "")
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

// Messages leave with the name of their role, the time and their number,
// whatever the role wrote there. The numbers go on after a restart.
func TestSendStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []kozo.Message
		send := func(_ context.Context, env *kozo.Env) error {
			return errors.Join(env.Send(kozo.Message{
				Kind: kozo.Order, Type: "switch", Channel: "lamp", Body: kozo.Body{1},
				From: kozo.RoleRef{Node: "other", Role: "other"}, Seq: 99, Time: time.Unix(1, 0),
			}), env.Event("tick", nil), errBroken)
		}
		cfg := config(does(send, send, waits).make)
		cfg.Send = func(m *kozo.Message) { sent = append(sent, *m) }
		h := build(t, cfg)
		began := time.Now()
		start(t, h)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(sent) != 4 || h.Status().Sent != 4 {
			t.Fatalf("sent %v, counted %d", sent, h.Status().Sent)
		}
		for i, m := range sent {
			if m.From != ref || m.Seq != uint64(i+1) || m.Time.Before(began) || m.Time.After(began.Add(time.Minute)) {
				t.Errorf("message %d is %+v", i, m)
			}
		}
		if m := sent[0]; m.Kind != kozo.Order || m.Type != "switch" || m.Channel != "lamp" || string(m.Body) != "\x01" {
			t.Errorf("got %+v", m)
		}
	})
}

// What is no message is refused with a reason, goes nowhere and uses up no
// number.
func TestSendRefuses(t *testing.T) {
	sent := 0
	s := &Sender{From: ref, Out: func(*kozo.Message) { sent++ }}
	for _, test := range []struct {
		m    kozo.Message
		want error
	}{
		{kozo.Message{Type: "tick"}, kozo.ErrKind},
		{kozo.Message{Kind: kozo.Event}, kozo.ErrType},
		{kozo.Message{Kind: kozo.Event, Type: strings.Repeat("x", kozo.MaxField+1)}, kozo.ErrField},
		{kozo.Message{Kind: kozo.Event, Type: "\xff"}, kozo.ErrFieldText},
		{kozo.Message{Kind: kozo.Event, Type: "tick", Body: kozo.Body{0xc1}}, kozo.ErrBody},
		{kozo.Message{Kind: kozo.Event, Type: "tick", Body: kozo.Body("\xa1\xff")}, kozo.ErrBodyText},
	} {
		if err := s.Send(test.m); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v, want %v", test.m, err, test.want)
		}
	}
	if sent != 0 || s.Sent() != 0 {
		t.Errorf("%d were sent, %d counted", sent, s.Sent())
	}
	if err := s.Send(event(0)); err != nil || sent != 1 || s.Sent() != 1 {
		t.Errorf("%v; %d were sent, %d counted", err, sent, s.Sent())
	}
}

// Many goroutines of a role may send at once: every number comes exactly once,
// and those of one goroutine in their order.
func TestSendTogether(t *testing.T) {
	const senders, each = 8, 200
	var mu sync.Mutex
	last := map[string]uint64{}
	seen := map[uint64]bool{}
	s := &Sender{From: ref, Out: func(m *kozo.Message) {
		mu.Lock()
		defer mu.Unlock()
		if seen[m.Seq] || m.Seq <= last[m.Type] {
			t.Errorf("%s: number %d after %d", m.Type, m.Seq, last[m.Type])
		}
		seen[m.Seq], last[m.Type] = true, m.Seq
	}}
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for range each {
				if err := s.Send(kozo.Message{Kind: kozo.Event, Type: string(rune('a' + i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != senders*each || s.Sent() != senders*each || !seen[senders*each] {
		t.Errorf("%d numbers, %d counted", len(seen), s.Sent())
	}
}
