// Package supervise keeps a task running: what fails or panics is run again
// after a pause, for ever, and what went wrong is remembered for people.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// The states of a task.
const (
	Running = "running"
	Waiting = "waiting" // for the next run, after a failure
	Done    = "done"    // it returned nil: it has finished its work
	Stopped = "stopped" // the context is done
)

// State is what a task is doing.
type State struct {
	State    string    // one of the constants
	Restarts int       // runs after the first one
	Err      error     // of the last failure; it stays while the task runs again
	Next     time.Time // of the next run; only while Waiting
}

// Options say how a task is supervised.
type Options struct {
	// Min and Max bound the pause after a failure: the first is at most Min,
	// and each is up to twice as long as the one before. The lower half of a
	// pause is certain, the upper half random. Zero means 1 s and 1 minute.
	Min, Max time.Duration

	// Healthy is how long a task must have run so that the pauses begin again
	// with Min. Zero means 1 minute.
	Healthy time.Duration

	// Log, which should name the task already, gets a line when the task fails
	// in a new way, and every 2, 4, 8, … failures in the same way. Nil means
	// no log.
	Log *slog.Logger

	// OnChange is called with every new state, by Run itself. Nil is allowed.
	OnChange func(State)
}

// PanicError is a panic that was turned into an error.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns the value of the panic if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Run runs fn until it returns nil, which is also what Run returns then, or
// until ctx is done, whose error it returns. fn runs in the goroutine of the
// caller and must return soon after its context is done. A panic in a goroutine
// that fn starts cannot be caught.
func Run(ctx context.Context, opts Options, fn func(ctx context.Context) error) error {
	t := task{Options: opts}
	t.defaults()
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			t.state.Restarts++
		}
		t.set(Running, time.Time{})
		start := time.Now()
		err := try(ctx, fn)
		switch {
		case ctx.Err() != nil:
			t.stopping(ctx, err)
			return ctx.Err()
		case err == nil:
			t.set(Done, time.Time{})
			return nil
		}
		pause := t.failed(err, time.Since(start))
		t.set(Waiting, time.Now().Add(pause))
		sleep(ctx, pause)
	}
	t.set(Stopped, time.Time{})
	return ctx.Err()
}

type task struct {
	Options
	state  State
	pause  time.Duration // the longest that the next one can be
	logged string        // the last failure in the log, until the task was healthy
	same   uint          // failures like it
}

func (t *task) defaults() {
	if t.Min <= 0 {
		t.Min = time.Second
	}
	if t.Max <= 0 {
		t.Max = time.Minute
	}
	if t.Healthy <= 0 {
		t.Healthy = time.Minute
	}
	if t.Log == nil {
		t.Log = slog.New(slog.DiscardHandler)
	}
	t.Min = min(t.Min, t.Max)
	t.pause = t.Min
}

func (t *task) set(state string, next time.Time) {
	t.state.State, t.state.Next = state, next
	if t.OnChange != nil {
		t.OnChange(t.state)
	}
}

// failed remembers a failure and returns how long to wait.
func (t *task) failed(err error, ran time.Duration) time.Duration {
	if ran >= t.Healthy {
		t.pause, t.logged = t.Min, ""
	}
	longest := t.pause
	t.pause = min(2*t.pause, t.Max)
	pause := longest/2 + rand.N(longest/2+1)
	t.state.Err = err
	t.report(err, pause)
	return pause
}

// report logs a failure, but not every one of a long row.
func (t *task) report(err error, pause time.Duration) {
	if text := err.Error(); text != t.logged {
		t.logged, t.same = text, 0
	}
	if t.same++; bits.OnesCount(t.same) != 1 {
		return
	}
	t.log("failed, will be run again", err, "pause", pause.Round(time.Millisecond), "failures", t.same)
}

// stopping is for what fn returned after its context was done.
func (t *task) stopping(ctx context.Context, err error) {
	if err != nil && !errors.Is(err, ctx.Err()) && !errors.Is(err, context.Cause(ctx)) {
		t.state.Err = err
		t.log("failed while stopping", err)
	}
	t.set(Stopped, time.Time{})
}

func (t *task) log(message string, err error, details ...any) {
	args := append([]any{"err", err}, details...)
	level := slog.LevelWarn
	if p, ok := errors.AsType[*PanicError](err); ok {
		level = slog.LevelError
		args = append(args, "stack", string(p.Stack))
	}
	t.Log.Log(context.Background(), level, message, args...)
}

func try(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn(ctx)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
