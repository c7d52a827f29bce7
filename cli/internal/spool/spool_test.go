package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink is a pipe without room: each write waits until it is allowed to end.
type sink struct {
	mu     sync.Mutex
	text   strings.Builder
	writes int
	err    error         // what a write returns
	pause  time.Duration // how long one takes
	let    chan struct{} // closed when writes may end; nil: at once
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	let, pause := s.let, s.pause
	s.mu.Unlock()
	if let != nil {
		<-let
	}
	time.Sleep(pause)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.err != nil {
		return 0, s.err
	}
	s.text.Write(p)
	return len(p), nil
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// run runs a spool until the function that is returned is called.
func run(s *Spool) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func note(lines int) []byte { return fmt.Appendf(nil, "lost %d\n", lines) }

func line(i int) string { return fmt.Sprintf("line %04d\n", i) } // 10 bytes

func TestAllIsWritten(t *testing.T) {
	out := &sink{}
	s := New(Config{To: out, Size: 1 << 20, Lost: note})
	end := run(s)
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 1000 {
				if n, err := fmt.Fprintf(s, "%d %d\n", w, i); err != nil || n == 0 {
					t.Errorf("writing says %d, %v", n, err)
				}
			}
		})
	}
	writers.Wait()
	end()
	next := map[int]int{}
	for text := range strings.Lines(out.String()) {
		var w, i int
		if _, err := fmt.Sscanf(text, "%d %d\n", &w, &i); err != nil || next[w] != i {
			t.Fatalf("%q: %v; want number %d", text, err, next[w])
		}
		next[w]++
	}
	if len(next) != 4 || next[0]+next[1]+next[2]+next[3] != 4000 {
		t.Errorf("written: %v", next)
	}
}

// While the writer blocks nobody who writes waits. The oldest lines go, and each
// one that is missing is counted where it would have been.
func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{let: make(chan struct{})}
		s := New(Config{To: out, Size: 1000, Lost: note})
		end := run(s)
		fmt.Fprint(s, line(0))
		synctest.Wait() // line 0 is being written
		for i := 1; i <= 500; i++ {
			fmt.Fprint(s, line(i))
			if len(s.waiting) > 1000 || cap(s.waiting) > 2048 {
				t.Fatalf("%d bytes wait, in %d of memory", len(s.waiting), cap(s.waiting))
			}
		}
		close(out.let)
		synctest.Wait()
		fmt.Fprint(s, line(501))
		end()

		lines := strings.SplitAfter(out.String(), "\n")
		lost := 0
		if _, err := fmt.Sscanf(lines[1], "lost %d\n", &lost); err != nil || lines[0] != line(0) {
			t.Fatalf("written:\n%s", out)
		}
		rest := lines[2 : len(lines)-1]
		for i, text := range rest {
			if want := line(1 + lost + i); text != want {
				t.Fatalf("%q after %d lost lines, want %q", text, lost, want)
			}
		}
		if 1+lost+len(rest) != 502 || len(rest) < 75 {
			t.Errorf("%d lines are lost and %d written", lost, len(rest))
		}
	})
}

// A reader who is only slow loses nothing, and slows down who writes. One who has
// gone costs the patience once.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{pause: 90 * time.Millisecond}
		s := New(Config{To: out, Size: 100, Patience: 100 * time.Millisecond, Lost: note})
		end := run(s)
		want := ""
		for i := range 200 {
			want += line(i)
			fmt.Fprint(s, line(i))
		}
		time.Sleep(time.Second)
		if got := out.String(); got != want {
			t.Errorf("a slow reader got %d of %d bytes", len(got), len(want))
		}

		let := make(chan struct{})
		out.mu.Lock()
		out.let, out.pause = let, 0
		out.mu.Unlock()
		start := time.Now()
		for i := range 200 {
			fmt.Fprint(s, line(i))
		}
		if took := time.Since(start); took != 100*time.Millisecond {
			t.Errorf("with a reader who has gone 200 lines took %v", took)
		}
		close(let)
		synctest.Wait()
		if s.stuck {
			t.Error("there is no patience with the reader who has come back")
		}
		end()
	})
}

// What fails is counted, and said when something can be written again.
func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &sink{err: errors.New("the disk is full")}
		s := New(Config{To: out, Size: 1000, Lost: note})
		end := run(s)
		for i := range 5 {
			fmt.Fprint(s, line(i))
			synctest.Wait()
		}
		if out.writes != 5 {
			t.Errorf("5 lines were tried %d times", out.writes)
		}
		out.fail(nil)
		fmt.Fprint(s, line(5))
		synctest.Wait()
		fmt.Fprint(s, line(6))
		end()
		if got, want := out.String(), line(5)+"lost 5\n"+line(6); got != want {
			t.Errorf("written:\n%swant:\n%s", got, want)
		}
	})
}

// A line that is longer than what may wait is written; beside others it goes like
// them.
func TestLongLine(t *testing.T) {
	out := &sink{}
	s := New(Config{To: out, Size: 100, Lost: note})
	long := strings.Repeat("x", 5000) + "\n"
	fmt.Fprint(s, line(0))
	fmt.Fprint(s, long)
	run(s)()
	if got, want := out.String(), long+"lost 1\n"; got != want {
		t.Errorf("written: %.50q", got)
	}
}
