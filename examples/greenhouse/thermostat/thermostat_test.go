package thermostat

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/kozotest"
)

// in makes a message for the room of the tests.
func in(room, kind, typ string, data any) kozo.Message {
	m, _ := kozo.NewOrder(typ, room, data)
	if kind == "event" {
		m.Kind = kozo.Event
	}
	return m
}

func TestKeepsTheRoomWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := kozotest.RunRole(t, kozotest.Make(t, Type(), kozo.Values{"room": "tomatoes"}))
		for _, degrees := range []float64{18, 19.8, 20.3, 21, 20.2, 19} {
			run.Deliver(in("tomatoes", "event", "temperature", degrees))
		}
		synctest.Wait() // until the role has nothing left to do
		var switched []string
		for _, m := range run.Sent() {
			switched = append(switched, m.Type+" "+m.Body.Text())
		}
		if got := strings.Join(switched, ", "); got != "heater true, heater false, heater true" {
			t.Errorf("the heater was switched: %s", got)
		}
		if run.Deliver(in("cucumbers", "event", "temperature", 3)) {
			t.Error("it listens to another room")
		}
		run.Stop()
		if sent := run.Sent(); sent[len(sent)-1].Body.Text() != "false" {
			t.Error("the heater stays on without the role")
		}
	})
}

func TestSilenceOfTheThermometer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := kozotest.RunRole(t, kozotest.Make(t, Type(), kozo.Values{"room": "tomatoes", "silence": time.Hour}))
		run.Deliver(in("tomatoes", "event", "temperature", 10))
		time.Sleep(time.Hour - time.Second) // takes no time
		synctest.Wait()
		if len(run.Sent()) != 1 {
			t.Fatalf("%d orders before the hour is over", len(run.Sent()))
		}
		run.Wait("the heater to be switched off", func() bool { return len(run.Sent()) == 2 })
		if !strings.Contains(run.Log(), "says nothing any more") {
			t.Errorf("the log says %s", run.Log())
		}
	})
}

func TestTargetIsKeptAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := kozotest.Options{Storage: kozotest.NewStorage()}
		first := kozotest.RunRole(t, kozotest.Make(t, Type(), kozo.Values{"room": "tomatoes"}), options)
		first.Deliver(in("tomatoes", "order", "target", 25))
		first.Deliver(in("tomatoes", "order", "target", "warm")) // makes no sense
		synctest.Wait()
		first.Stop()
		second := kozotest.RunRole(t, kozotest.Make(t, Type(), kozo.Values{"room": "tomatoes"}), options)
		second.Deliver(in("tomatoes", "event", "temperature", 23))
		second.Wait("the heater", func() bool { return second.Out() == "tomatoes: heater on\n" })
	})
}

func TestRoomHasAName(t *testing.T) {
	if _, err := Type().New(kozo.Values{"room": ""}); err == nil || !strings.Contains(err.Error(), "room: ") {
		t.Errorf("without a name: %v", err)
	}
}
