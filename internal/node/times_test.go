package node_test

import (
	"testing"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/transports/tcp"
)

// slow is the tcp transport for a network on which everything takes longer.
type slow struct{ kozo.Transport }

func (slow) Times(string) kozo.Times {
	return kozo.Times{Dial: 2 * time.Minute, Handshake: time.Minute, Silence: time.Minute}
}

func slowType() kozo.TransportType {
	typ := tcp.Type()
	typ.Name = "slow"
	build := typ.New
	typ.New = func(v kozo.Values) (kozo.Transport, error) {
		t, err := build(v)
		return slow{t}, err
	}
	return typ
}

// Where bytes travel for seconds and stop for longer than heartbeats allow, a
// transport that says so is given the time.
func TestTransportsHaveTheTimeThatTheyAskFor(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		far := func(c memnet.Conditions) {
			for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}, {"c", "d"}, {"d", "c"}} {
				m.net.Shape(m.host(pair[0]), m.host(pair[1]), c)
			}
		}
		w := newWorld(t, m, "heartbeat: 2\nconnectionRetry: 5")
		w.sys = w.parse("heartbeat: 2\nconnectionRetry: 5", []spec{{name: "a", slow: true}, {name: "b", slow: true}, {name: "c"}, {name: "d"}})
		far(memnet.Conditions{Latency: 3 * time.Second})
		for _, name := range []string{"a", "b", "c", "d"} {
			w.start(name)
		}
		w.within(2*time.Minute, "the slow ones to meet", func() bool { return w.up("a", "b") && w.up("b", "a") })
		if w.up("c", "d") || w.up("d", "c") {
			t.Error("so much time is not usual")
		}
		far(memnet.Conditions{Frozen: true})
		time.Sleep(40 * time.Second)
		far(memnet.Conditions{})
		w.send("a", "tick", nil)
		w.within(time.Minute, "the tick", func() bool { return len(w.received("b")) == 1 })
		if l := w.link("a", "b"); l.Connects != 1 {
			t.Errorf("a silence of 40 s ended a connection: %+v", l)
		}
	})
}

// The message for which a link on demand comes up waits for as long as that takes
// over a slow transport: longer than messages wait otherwise.
func TestOnDemandWaitsForASlowTransport(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		ondemand := map[string]string{"selfToOthersConnectPolicy": "ondemand", "othersToSelfConnectPolicy": "ondemand"}
		const settings = "heartbeat: 2\nconnectionRetry: 5"
		w := newWorld(t, m, settings)
		w.sys = w.parse(settings, []spec{{name: "a", slow: true, options: ondemand}, {name: "b", slow: true, options: ondemand}})
		for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
			m.net.Shape(m.host(pair[0]), m.host(pair[1]), memnet.Conditions{Latency: 3 * time.Second})
		}
		w.start("a")
		w.start("b")
		w.within(time.Minute, "a link without a wish", func() bool { return w.link("a", "b").State == "idle" })
		begun := time.Now()
		w.send("a", "tick", nil)
		w.within(2*time.Minute, "the tick", func() bool { return len(w.received("b")) == 1 })
		if took := time.Since(begun); took < 10*time.Second {
			t.Errorf("it came after %v, before it would have been given up", took)
		}
		if l := w.link("a", "b"); len(l.Out.Dropped) > 0 {
			t.Errorf("%+v", l.Out)
		}
	})
}
