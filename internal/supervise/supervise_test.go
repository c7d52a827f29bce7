package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errBroken = errors.New("it is broken")
	errCause  = errors.New("the node stops")
)

func TestNilIsDone(t *testing.T) {
	var states []string
	runs := 0
	err := Run(t.Context(), Options{OnChange: func(s State) { states = append(states, s.State) }},
		func(context.Context) error { runs++; return nil })
	if err != nil || runs != 1 || !slices.Equal(states, []string{Running, Done}) {
		t.Errorf("Run returned %v after %d runs; the states were %v", err, runs, states)
	}
}

// The pauses begin under Min, grow to Max, stay there, and begin anew after a
// healthy run.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var starts []time.Time
		var ends []time.Time
		_ = Run(ctx, Options{Min: time.Second, Max: time.Minute, Healthy: time.Minute},
			func(context.Context) error {
				starts = append(starts, time.Now())
				defer func() { ends = append(ends, time.Now()) }()
				switch len(starts) {
				case 12:
					time.Sleep(time.Minute)
				case 15:
					cancel()
				}
				return errBroken
			})
		longest := time.Second
		different := map[time.Duration]bool{}
		for i := range len(starts) - 1 {
			if i == 11 {
				longest = time.Second
			}
			pause := starts[i+1].Sub(ends[i])
			if pause < longest/2 || pause > longest {
				t.Errorf("pause %d was %v; it should be in %v to %v", i, pause, longest/2, longest)
			}
			different[pause] = true
			longest = min(2*longest, time.Minute)
		}
		if len(starts) != 15 || len(different) < 10 {
			t.Errorf("%d runs, %d different pauses", len(starts), len(different))
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var failure error
		runs := 0
		err := Run(t.Context(), Options{
			Log:      slog.New(slog.NewTextHandler(&log, nil)).With("role", "timer1"),
			OnChange: func(s State) { failure = s.Err },
		}, func(context.Context) error {
			if runs++; runs == 1 {
				panic(fmt.Errorf("cannot read: %w", io.ErrUnexpectedEOF))
			}
			return nil
		})
		if err != nil || runs != 2 {
			t.Errorf("Run returned %v after %d runs", err, runs)
		}
		if _, ok := errors.AsType[*PanicError](failure); !ok || !errors.Is(failure, io.ErrUnexpectedEOF) {
			t.Errorf("the failure is %v", failure)
		}
		for _, want := range []string{"ERROR", "role=timer1", "panic: cannot read", "TestPanicIsAnError"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("%q is not in the log: %s", want, &log)
			}
		}
	})
}

func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states []State
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		err := Run(ctx, Options{Min: time.Second, OnChange: func(s State) { states = append(states, s) }},
			func(ctx context.Context) error {
				if len(states) == 1 {
					return errBroken
				}
				<-ctx.Done()
				return ctx.Err()
			})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Hour || len(states) != 4 {
			t.Fatalf("Run returned %v after %v; the states are %v", err, time.Since(start), states)
		}
		next := states[1].Next
		if next.Before(start.Add(time.Second/2)) || next.After(start.Add(time.Second)) {
			t.Errorf("the next run is at %v, %v after the start", next, next.Sub(start))
		}
		want := []State{
			{State: Running}, {State: Waiting, Err: errBroken, Next: next},
			{State: Running, Err: errBroken, Restarts: 1}, {State: Stopped, Err: errBroken, Restarts: 1},
		}
		if !slices.Equal(states, want) {
			t.Errorf("the states are %v; want %v", states, want)
		}
	})
}

// A context that is done during a pause ends it at once, and one that is done
// from the start lets nothing run.
func TestStopWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start, runs := time.Now(), 0
		var last State
		opts := Options{Min: 24 * time.Hour, Max: 24 * time.Hour, OnChange: func(s State) { last = s }}
		fn := func(context.Context) error { runs++; return errBroken }
		if err := Run(ctx, opts, fn); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Hour {
			t.Errorf("Run returned %v after %v", err, time.Since(start))
		}
		if last.State != Stopped || last.Restarts != 0 || runs != 1 {
			t.Errorf("%d runs; the last state is %+v", runs, last)
		}
		if err := Run(ctx, opts, fn); !errors.Is(err, context.DeadlineExceeded) || runs != 1 || last.State != Stopped {
			t.Errorf("with a context that is done: %v, %d runs, %+v", err, runs, last)
		}
	})
}

// A task that fails the same way all day fills no log; a new failure is news.
func TestQuietLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		var log bytes.Buffer
		start := time.Now()
		_ = Run(ctx, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(context.Context) error {
			if time.Since(start) > 23*time.Hour {
				return io.ErrClosedPipe
			}
			return errBroken
		})
		lines := strings.Count(log.String(), "\n")
		if lines < 10 || lines > 25 || !strings.Contains(log.String(), io.ErrClosedPipe.Error()) {
			t.Errorf("%d lines:\n%s", lines, &log)
		}
	})
}

// What goes wrong while stopping is said; being stopped is no failure.
func TestFailureWhileStopping(t *testing.T) {
	for _, test := range []struct {
		err   error
		lines int
	}{{nil, 0}, {context.Canceled, 0}, {errCause, 0}, {errBroken, 1}} {
		var log bytes.Buffer
		var last State
		ctx, cancel := context.WithCancelCause(t.Context())
		err := Run(ctx, Options{
			Log: slog.New(slog.NewTextHandler(&log, nil)), OnChange: func(s State) { last = s },
		}, func(context.Context) error { cancel(errCause); return test.err })
		if !errors.Is(err, context.Canceled) || last.State != Stopped {
			t.Errorf("Run returned %v in the state %+v", err, last)
		}
		if n := strings.Count(log.String(), "\n"); n != test.lines || (n > 0) != (last.Err != nil) {
			t.Errorf("after %v: %+v and %d lines: %s", test.err, last, n, &log)
		}
	}
}
