package motion

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/kozotest"
)

// wire stands for a line, in memory.
type wire struct {
	mu      sync.Mutex
	active  bool
	err     error
	bounces bool
	closed  bool
	changed func()
}

func (w *wire) set(active bool) {
	w.mu.Lock()
	w.active = active
	w.mu.Unlock()
	w.changed()
}

func (w *wire) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

func (w *wire) Active() (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active, w.err
}

func (w *wire) Bounces() bool { return w.bounces }

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

func run(t *testing.T, w *wire, values kozo.Values) *kozotest.RoleRun {
	role := kozotest.Make(t, Type(), values).(*motion)
	role.open = func(_ options, changed func()) (line, error) {
		w.changed = changed
		return w, nil
	}
	r := kozotest.RunRole(t, role)
	synctest.Wait()
	return r
}

// sent returns what was sent since the test began, in a few letters.
func sent(r *kozotest.RoleRun) string {
	synctest.Wait()
	var out []string
	for _, m := range r.Sent() {
		switch text := m.Body.Text(); {
		case m.Kind == kozo.Log:
			out = append(out, text)
		case text == `{"motion":true,"pin":"18"}`:
			out = append(out, "yes")
		case text == `{"motion":false,"pin":"18"}`:
			out = append(out, "no")
		default:
			out = append(out, text)
		}
	}
	return strings.Join(out, ", ")
}

func TestPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		r := run(t, w, nil)
		time.Sleep(1100 * time.Millisecond)
		w.set(true)
		if got := sent(r); got != "no, no, motion on pin 18" {
			t.Errorf("sent: %s", got)
		}
		time.Sleep(time.Second)
		w.set(false)
		time.Sleep(400 * time.Millisecond)
		if got, want := sent(r), "no, no, motion on pin 18, yes, yes, no more motion on pin 18, no"; got != want {
			t.Errorf("sent: %s, want %s", got, want)
		}
		if err := r.Stop(); err != nil || !w.closed {
			t.Errorf("%v, closed %v", err, w.closed)
		}
	})
}

func TestWithoutLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{active: true}
		r := run(t, w, kozo.Values{"log": false})
		time.Sleep(1100 * time.Millisecond)
		if got := sent(r); got != "yes, yes" {
			t.Errorf("sent: %s", got)
		}
	})
}

func TestEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		r := run(t, w, kozo.Values{"edges": true, "log": false, "period": time.Hour})
		w.set(true)
		if got := sent(r); got != "no, yes" {
			t.Fatalf("sent: %s", got)
		}
		for range 100 { // a line that nothing drives
			time.Sleep(time.Millisecond)
			w.set(!w.active)
		}
		if n := len(r.Sent()); n > 8 {
			t.Errorf("%d events in a tenth of a second", n)
		}
		w.set(false)
		time.Sleep(time.Second)
		if got := sent(r); !strings.HasSuffix(got, "no") {
			t.Errorf("at the end: %s", got)
		}
	})
}

func TestDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{bounces: true}
		r := run(t, w, kozo.Values{"edges": true, "log": false, "debounce": 200 * time.Millisecond, "period": 240 * time.Millisecond})
		for range 11 { // 0.33 s
			w.set(!w.active)
			time.Sleep(30 * time.Millisecond)
		}
		if got := sent(r); got != "no, no" {
			t.Errorf("while it bounces: %s", got)
		}
		time.Sleep(160 * time.Millisecond) // 0.49 s; at rest since 0.3 s
		if got := sent(r); got != "no, no, no" {
			t.Errorf("before it has rested: %s", got)
		}
		time.Sleep(20 * time.Millisecond)
		if got := sent(r); got != "no, no, no, yes" {
			t.Errorf("after it has rested: %s", got)
		}
	})
}

// A line that has gone is noticed, however long the period is.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{}
		r := run(t, w, kozo.Values{"period": time.Hour})
		gone := errors.New("unplugged")
		w.fail(gone)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := r.Err(); !errors.Is(err, gone) || !w.closed {
			t.Errorf("the role ends with %v; closed %v", err, w.closed)
		}
	})
}

func TestOptions(t *testing.T) {
	for _, values := range []kozo.Values{{"pin": ""}, {"bias": "sideways"}} {
		if _, err := Type().New(values); err == nil && values["pin"] != nil {
			t.Errorf("%v is accepted", values)
		}
	}
	role := kozotest.Make(t, Type(), nil).(*motion)
	if role.Pin != "18" || role.Period != 500*time.Millisecond || !role.Log || role.Edges {
		t.Errorf("the defaults are %+v", role.options)
	}
}
