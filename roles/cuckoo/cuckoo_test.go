package cuckoo

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/kozotest"
)

func event(t *testing.T, typ string, from kozo.RoleName, data any) kozo.Message {
	t.Helper()
	m, err := kozo.NewEvent(typ, data)
	if err != nil {
		t.Fatal(err)
	}
	m.From = kozo.RoleRef{Node: "clock", Role: from}
	return m
}

func TestPrintsTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := kozotest.RunRole(t, kozotest.Make(t, Type(), nil))
		at := time.Now().Format("15:04:05")
		for _, data := range []any{
			map[string]any{"tick": 1.0},
			map[string]any{"tick": 1.0, "message": "lunch"},
			map[string]any{"a": 1},
			nil,
			"a text",
			map[string]any{"message": "two\nlines \x1b[31m"},
			strings.Repeat("é", 1<<20),
		} {
			role.Deliver(event(t, "tick", "timer1", data))
		}
		synctest.Wait()
		head := "cuckoo! tick from timer1@clock at " + at
		want := head + "\n" + head + ": lunch\n" + head + `: {"a":1}` + "\n" + head + "\n" + head + ": a text\n" +
			head + `: two\nlines \x1b[31m` + "\n" + head + ": " + strings.Repeat("é", maxText/2) + "…\n"
		if got := role.Out(); got != want {
			t.Errorf("printed\n%s\nwant\n%s", got, want)
		}
		if err := role.Stop(); err != nil || len(role.Sent()) > 0 {
			t.Errorf("error %v, sent %v", err, role.Sent())
		}
	})
}

func TestWantsTheTicksOfItsTimer(t *testing.T) {
	for _, test := range []struct {
		timer, from kozo.RoleName
		typ         string
		want        bool
	}{
		{"", "timer1", "tick", true},
		{"", "anybody", "tick", true},
		{"timer1", "timer1", "tick", true},
		{"timer1", "timer2", "tick", false},
		{"", "timer1", "tock", false},
	} {
		role := kozotest.RunRole(t, kozotest.Make(t, Type(), kozo.Values{"timer": string(test.timer)}))
		if got := role.Deliver(event(t, test.typ, test.from, nil)); got != test.want {
			t.Errorf("%+v: delivered: %v", test, got)
		}
	}
	if _, err := Type().New(kozo.Values{"timer": "no name"}); err == nil {
		t.Error("a timer that cannot exist was accepted")
	} else if e, ok := errors.AsType[*kozo.OptionError](err); !ok || e.Option != "timer" {
		t.Errorf("the error %v does not name the option", err)
	}
}

func TestRemembersTheLastCuckoo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := kozotest.NewStorage()
		first := kozotest.RunRole(t, kozotest.Make(t, Type(), nil), kozotest.Options{Storage: storage})
		first.Deliver(event(t, "tick", "timer1", nil))
		synctest.Wait()
		time.Sleep(time.Second)
		first.Deliver(event(t, "tick", "timer2", map[string]any{"message": "bye"}))
		synctest.Wait()
		at := time.Now().Format(time.DateTime)
		first.Stop()

		time.Sleep(time.Hour)
		second := kozotest.RunRole(t, kozotest.Make(t, Type(), nil), kozotest.Options{Storage: storage})
		want := "last cuckoo before the restart: tick from timer2@clock at " + at + ", number 2: bye\n"
		synctest.Wait()
		if got := second.Out(); got != want {
			t.Errorf("printed %q, want %q", got, want)
		}
	})
}

// A kill loses the cuckoos of a few seconds, never all of them, and the disk is
// not written for each tick of a fast timer.
func TestSavesNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := kozotest.RunRole(t, kozotest.Make(t, Type(), nil))
		stored := func() (m memory) {
			synctest.Wait()
			if err := role.Storage().Load(&m); err != nil {
				t.Fatal(err)
			}
			return m
		}
		const ticks = 600
		for i := range ticks {
			role.Deliver(event(t, "tick", "timer1", nil))
			if lag := uint64(i+1) - stored().Count; lag > 100 {
				t.Fatalf("after %d ticks, %d are not stored", i+1, lag)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := role.Storage().Saves(); n > 7 {
			t.Errorf("stored %d times in a minute", n)
		}
		time.Sleep(saveEvery)
		if n := stored().Count; n != ticks {
			t.Errorf("%d of %d ticks are stored after the last one", n, ticks)
		}
		saves := role.Storage().Saves()
		time.Sleep(24 * time.Hour)
		if n := role.Storage().Saves(); n != saves {
			t.Errorf("stored %d times while there was nothing new", n-saves)
		}
		role.Deliver(event(t, "tick", "timer1", nil))
		if n := stored().Count; n != ticks+1 {
			t.Error("a rare tick was not stored at once")
		}
	})
}

func TestTroubleWithStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := kozotest.NewStorage()
		role := kozotest.RunRole(t, kozotest.Make(t, Type(), nil), kozotest.Options{Storage: storage})
		tick := func() {
			role.Deliver(event(t, "tick", "timer1", nil))
			synctest.Wait()
			time.Sleep(saveEvery)
		}
		tick()
		storage.Fail(errors.New("the disk is full"))
		for range 5 {
			tick()
		}
		if n := strings.Count(role.Log(), "the disk is full"); n != 1 {
			t.Errorf("the trouble was told %d times:\n%s", n, role.Log())
		}
		storage.Fail(nil)
		tick()
		if !strings.Contains(role.Log(), "stored again") {
			t.Errorf("the end of the trouble was not told:\n%s", role.Log())
		}
		role.Stop()
		if n := strings.Count(role.Out(), "cuckoo!"); n != 7 {
			t.Errorf("%d cuckoos, want 7", n)
		}

		storage.Fail(fmt.Errorf("cuckoo.json is broken"))
		role = kozotest.RunRole(t, kozotest.Make(t, Type(), nil), kozotest.Options{Storage: storage})
		synctest.Wait()
		storage.Fail(nil)
		saves := storage.Saves()
		tick()
		role.Stop()
		if !strings.Contains(role.Log(), "cuckoo.json is broken") || !strings.Contains(role.Out(), "cuckoo!") {
			t.Errorf("log: %s\nout: %s", role.Log(), role.Out())
		}
		if storage.Saves() != saves {
			t.Error("a stored value that could not be read was replaced")
		}
	})
}
