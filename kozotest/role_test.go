package kozotest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/kozotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every event of type ping with one of type pong.
type echo struct{}

func (echo) Interest() []kozo.Filter  { return []kozo.Filter{{Kind: kozo.Event, Type: "ping"}} }
func (echo) Publishes() []kozo.Filter { return []kozo.Filter{{Kind: kozo.Event, Type: "pong"}} }

func (echo) Run(ctx context.Context, env *kozo.Env) error {
	for m := range env.Messages(ctx) {
		fmt.Fprintf(env.Out, "%s from %s\n", m.Body.Text(), m.From)
		env.Log.Info("pinged")
		if err := env.Event("pong", m.Body.Text()); err != nil {
			return err
		}
	}
	return env.Storage.Save("stopped")
}

func ping(t *testing.T, data any) kozo.Message {
	t.Helper()
	m, err := kozo.NewEvent("ping", data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func testEcho(t *testing.T) {
	run := kozotest.RunRole(t, echo{}, kozotest.Options{Self: kozo.RoleRef{Node: "here", Role: "echo"}})
	for i := range 100 {
		if !run.Deliver(ping(t, i)) {
			t.Fatal("the role does not want what it wants")
		}
	}
	if run.Deliver(kozo.NewLog(kozo.Info, "x")) {
		t.Error("the role got what it does not want")
	}
	run.Wait("100 answers", func() bool { return len(run.Sent()) == 100 })
	last := run.Sent()[99]
	if last.Body.Text() != "99" || last.From.String() != "echo@here" || last.Seq != 100 || last.Time.IsZero() {
		t.Errorf("the last answer is %+v", last)
	}
	if !strings.HasSuffix(run.Out(), "\n99 from sender@peer\n") || strings.Count(run.Log(), "pinged") != 100 {
		t.Errorf("out: %s\nlog: %s", run.Out(), run.Log())
	}
	if err := run.Stop(); err != nil {
		t.Error(err)
	}
	var stored string
	if err := run.Storage().Load(&stored); err != nil || stored != "stopped" || run.Waiting() != 0 {
		t.Errorf("stored %q (%v), %d messages waiting", stored, err, run.Waiting())
	}
}

func TestRunRole(t *testing.T)          { testEcho(t) }
func TestRunRoleInABubble(t *testing.T) { synctest.Test(t, testEcho) }

// roleFunc is a role that publishes nothing.
type roleFunc func(ctx context.Context, env *kozo.Env) error

func (f roleFunc) Run(ctx context.Context, env *kozo.Env) error { return f(ctx, env) }
func (f roleFunc) Publishes() []kozo.Filter                     { return nil }

// judged is a test of which one wants to know whether it fails.
type judged struct {
	testing.TB
	cleanups []func()
	failures []string
}

func (j *judged) Helper()          {}
func (j *judged) Cleanup(f func()) { j.cleanups = append(j.cleanups, f) }
func (j *judged) Skip(args ...any) {
	j.failures = append(j.failures, "skipped: "+fmt.Sprint(args...))
	panic(j)
}
func (j *judged) Error(args ...any) { j.Errorf("%s", fmt.Sprint(args...)) }
func (j *judged) Fatal(args ...any) { j.Fatalf("%s", fmt.Sprint(args...)) }
func (j *judged) Errorf(format string, args ...any) {
	j.failures = append(j.failures, fmt.Sprintf(format, args...))
}
func (j *judged) Fatalf(format string, args ...any) {
	j.Errorf(format, args...)
	panic(j)
}

// judge runs a role and a test in a bubble, and returns how the test has failed.
func judge(t *testing.T, role roleFunc, test func(*kozotest.RoleRun)) []string {
	t.Helper()
	j := &judged{TB: t}
	synctest.Test(t, func(*testing.T) {
		defer func() {
			if p := recover(); p != nil && p != j {
				panic(p)
			}
			for _, f := range j.cleanups {
				f()
			}
			time.Sleep(time.Hour) // until the last goroutine is gone
		}()
		run := kozotest.RunRole(j, role)
		if test != nil {
			test(run)
		} else {
			synctest.Wait()
		}
	})
	return j.failures
}

func TestJudgesRoles(t *testing.T) {
	errBad := errors.New("bad luck")
	for _, test := range []struct {
		name string
		role roleFunc
		test func(*kozotest.RoleRun)
		want string // the beginning of the failure; empty: none
	}{
		{"done", func(context.Context, *kozo.Env) error { return nil }, nil, ""},
		{"error", func(context.Context, *kozo.Env) error { return errBad }, nil, "the role has ended with an error: bad luck"},
		{"seen error", func(context.Context, *kozo.Env) error { return errBad }, func(r *kozotest.RoleRun) {
			if err := r.Stop(); err != errBad {
				t.Errorf("the error is %v", err)
			}
		}, ""},
		{"panic", func(context.Context, *kozo.Env) error { panic("oh") }, func(r *kozotest.RoleRun) { r.Stop() }, "the role panicked: oh"},
		{"deaf", func(context.Context, *kozo.Env) error { time.Sleep(time.Minute); return nil }, nil, "Run has not returned 30s after"},
		{"unpublished", func(_ context.Context, env *kozo.Env) error { return env.Event("x", nil) }, nil, "the role has sent what it does not publish: event x"},
		{"log", func(_ context.Context, env *kozo.Env) error { return env.Logf(kozo.Info, "x") }, nil, ""},
		{"too late", func(_ context.Context, env *kozo.Env) error {
			time.AfterFunc(time.Second, func() { env.Logf(kozo.Info, "x") })
			return nil
		}, func(*kozotest.RoleRun) { time.Sleep(2 * time.Second) }, "the role has sent a message after Run had returned"},
		{"in vain", func(ctx context.Context, _ *kozo.Env) error { <-ctx.Done(); return nil }, func(r *kozotest.RoleRun) {
			r.Wait("rain", func() bool { return false })
		}, "waited 30s in vain for rain"},
		{"end", func(context.Context, *kozo.Env) error { time.Sleep(time.Second); return errBad }, func(r *kozotest.RoleRun) {
			if err := r.End(); err != errBad {
				t.Errorf("it ends with %v", err)
			}
		}, ""},
		{"no end", func(ctx context.Context, _ *kozo.Env) error { <-ctx.Done(); return nil }, func(r *kozotest.RoleRun) { r.End() },
			"waited 30s in vain for the end of the role"},
		{"said", func(_ context.Context, env *kozo.Env) error { return env.Logf(kozo.Info, "the door is open") }, func(r *kozotest.RoleRun) {
			_ = r.End()
			if !r.Said("door is") || r.Said("door was") {
				t.Errorf("it has said %v", r.Sent())
			}
		}, ""},
		{"not a message", func(ctx context.Context, env *kozo.Env) error {
			if err := env.Send(kozo.Message{Kind: kozo.Event}); !errors.Is(err, kozo.ErrType) {
				t.Errorf("sending an event without a type: error %v", err)
			}
			return nil
		}, nil, ""},
		{"undeliverable", func(ctx context.Context, _ *kozo.Env) error { <-ctx.Done(); return nil }, func(r *kozotest.RoleRun) {
			r.Deliver(kozo.Message{})
		}, "a node would not deliver this message"},
	} {
		got := judge(t, test.role, test.test)
		if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.want)) {
			t.Errorf("%s: failures %q, want %q", test.name, got, test.want)
		}
	}
}
