package discover

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/kozotest"
)

// ether is what a radio in memory hears.
type ether struct {
	mu       sync.Mutex
	err      error
	shown    []device
	hidden   map[string]bool
	searches []time.Time
	open     int
}

func (e *ether) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

func (e *ether) Search(ctx context.Context, d time.Duration) ([]device, error) {
	e.set(func() { e.searches = append(e.searches, time.Now()) })
	if err := wait(ctx, d); err != nil {
		return nil, nil // as Search of bluez
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]device(nil), e.shown...), e.err
}

func (e *ether) Reach(_ context.Context, address string) (bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hidden[address], e.err
}

func (e *ether) Close() error {
	e.set(func() { e.open-- })
	return nil
}

func run(t *testing.T, e *ether, values kozo.Values) *kozotest.RoleRun {
	t.Helper()
	role := kozotest.Make(t, Type(), values).(*discover)
	role.open = func(context.Context, options) (radio, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.err != nil {
			return nil, e.err
		}
		e.open++
		return e, nil
	}
	return kozotest.RunRole(t, role)
}

// news returns the log messages since the last call, and the addresses in the
// last event.
func news(r *kozotest.RoleRun, seen *int) (lines, inRange string) {
	synctest.Wait()
	var texts []string
	all := r.Sent()
	for _, m := range all[*seen:] {
		if m.Kind == kozo.Log {
			texts = append(texts, m.Body.Text())
			continue
		}
		inRange = m.Body.Text()
	}
	*seen = len(all)
	return strings.Join(texts, "; "), inRange
}

const (
	phone  = "00:11:22:AA:BB:01"
	laptop = "00:11:22:AA:BB:02"
)

func TestComingAndGoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rssi := int16(-60)
		e := &ether{shown: []device{{Address: laptop, Name: "desk", Kind: "computer", Class: 0x10c, RSSI: &rssi}}}
		r := run(t, e, nil)
		seen := 0
		next := func(lines string, in ...string) {
			t.Helper()
			got, event := news(r, &seen)
			if got != lines {
				t.Errorf("log: %q, want %q", got, lines)
			}
			for _, part := range in {
				if !strings.Contains(event, part) {
					t.Errorf("the event %s lacks %s", event, part)
				}
			}
			if len(in) == 0 && event != `{"devices":[]}` {
				t.Errorf("the event is %s", event)
			}
			time.Sleep(38 * time.Second)
		}
		time.Sleep(8*time.Second + time.Millisecond)
		next("Bluetooth device in range: desk ("+laptop+"), computer", `"address":"`+laptop+`"`, `"class":268`, `"rssi":-60`, `"kind":"computer"`, `"missed":0`)
		e.set(func() { e.shown = []device{{Address: laptop, Name: "desk"}} })
		next("", laptop)
		e.set(func() { e.shown = []device{{Address: laptop, Name: "my\x1bdesk"}} })
		next("", laptop)
		e.set(func() { e.shown = nil })
		next("Bluetooth device "+laptop+` is now called my\x1bdesk, and was desk`, laptop)
		next("", `"missed":1`)
		next("Bluetooth device out of range: my\\x1bdesk (" + laptop + ")")
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		if len(e.searches) < 3 || e.searches[1].Sub(e.searches[0]) != 38*time.Second {
			t.Errorf("the searches begin at %v", e.searches)
		}
	})
}

func TestKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ether{hidden: map[string]bool{phone: true}}
		r := run(t, e, kozo.Values{"known": kozo.List{strings.ToLower(phone), laptop}, "misses": 1})
		seen := 0
		time.Sleep(8*time.Second + time.Millisecond)
		if lines, event := news(r, &seen); lines != "Bluetooth device in range: "+phone || !strings.Contains(event, `"known":true`) || strings.Contains(event, laptop) {
			t.Errorf("%q, %s", lines, event)
		}
		e.set(func() { e.hidden = nil })
		time.Sleep(38 * time.Second)
		if lines, _ := news(r, &seen); lines != "Bluetooth device out of range: "+phone {
			t.Errorf("%q", lines)
		}
	})
}

// An interruption is said once, and nobody is forgotten for it.
func TestInterruption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ether{shown: []device{{Address: laptop}}}
		r := run(t, e, kozo.Values{"misses": 1})
		seen := 0
		time.Sleep(9 * time.Second)
		news(r, &seen)
		e.set(func() { e.err = errors.New("bluetoothd has ended") })
		time.Sleep(45 * time.Second)
		e.set(func() { e.err = nil })
		time.Sleep(20 * time.Second)
		if lines, event := news(r, &seen); lines != "" || !strings.Contains(event, laptop) {
			t.Errorf("after the interruption: %q, %s", lines, event)
		}
		if n := strings.Count(r.Log(), "was interrupted"); n != 1 {
			t.Errorf("it is said %d times:\n%s", n, r.Log())
		}
		e.set(func() { e.err = errors.New("unplugged for good") })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if err := r.Err(); err == nil || err.Error() != "unplugged for good" {
			t.Errorf("the role ends with %v", err)
		}
		if e.open != 0 {
			t.Errorf("%d radios are left open", e.open)
		}
	})
}

func TestNoRadio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, &ether{err: errors.New("no adapter")}, nil)
		synctest.Wait()
		if err := r.Err(); err == nil || err.Error() != "no adapter" {
			t.Errorf("the role ends with %v", err)
		}
	})
}

func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ether{}
		for i := range 3 * most {
			e.shown = append(e.shown, device{Address: fmt.Sprintf("00:11:22:33:%02X:%02X", i>>8, i&0xff)})
		}
		r := run(t, e, kozo.Values{"log": false})
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if sent := r.Sent(); len(sent) != 1 || strings.Count(sent[0].Body.Text(), "address") != most {
			t.Errorf("%d messages", len(sent))
		}
	})
}

// Stopping cuts a search short, and nobody is declared gone for it.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ether{shown: []device{{Address: laptop}}}
		r := run(t, e, kozo.Values{"misses": 1})
		time.Sleep(9 * time.Second)
		seen := 0
		news(r, &seen)
		time.Sleep(32 * time.Second) // in the middle of the next search
		if err := r.Stop(); err != nil {
			t.Error(err)
		}
		if lines, _ := news(r, &seen); lines != "" {
			t.Errorf("after a stop: %s", lines)
		}
	})
}

func TestKnownMustBeAddresses(t *testing.T) {
	for _, bad := range []string{"phone", "00:11:22:AA:BB", "00:11:22:33:44:55:66:77"} {
		_, err := Type().New(kozo.Values{"known": kozo.List{bad}})
		if o, ok := errors.AsType[*kozo.OptionError](err); !ok || o.Option != "known" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
