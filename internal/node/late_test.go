package node_test

import (
	"fmt"
	"testing"
	"time"

	"kozo/internal/memnet"
)

// hole makes a name lead to where nothing comes back from, for a and b, until
// the returned function is called.
func (m *memory) hole(node string) (repair func()) {
	nowhere, addr := m.host("nowhere"), m.host(node).Addr()
	for _, h := range m.hosts {
		if h != nowhere {
			m.net.Partition(h, nowhere)
		}
	}
	m.net.SetName(node+".test", nowhere.Addr())
	return func() { m.net.SetName(node+".test", addr) }
}

// What a dials is swallowed. It rides on the connection of b after its head start,
// and not after the 10 s of its dial, and goes over to its own when it can.
func TestANodeWhoseDialsAreSwallowedRidesSoon(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		m.host("a")
		repair := m.hole("b")
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 5", spec{name: "a"}, spec{name: "b"})
		begun := time.Now()
		w.until("a to ride", func() bool { l := w.link("a", "b"); return l.State == "up" && l.Rides })
		if took := time.Since(begun); took > 1100*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		w.send("a", "tick", nil)
		w.until("the tick", func() bool { return len(w.received("b")) == 1 })
		if l := w.link("a", "b"); l.Targets[0].Error != "no answer after 1s" {
			t.Errorf("%+v", l.Targets)
		}

		// The peer is there before the next one, and comes back while a waits.
		time.Sleep(time.Minute)
		m.cut("a", "b")
		begun = time.Now()
		w.until("b to be back", func() bool { l := w.link("b", "a"); return l.State == "up" && l.Connects == 2 })
		w.until("a to ride again", func() bool { l := w.link("a", "b"); return l.State == "up" && l.Rides })
		if took := time.Since(begun); took > 1500*time.Millisecond {
			t.Errorf("again it took %v", took)
		}
		repair()
		w.until("a's own connection", func() bool { l := w.link("a", "b"); return l.State == "up" && !l.Rides })
		if l := w.link("b", "a"); l.Connects != 2 {
			t.Errorf("that cost b its connection: %+v", l)
		}
	})
}

// What a has for b waits for a dial that is swallowed: it goes as soon as b comes,
// which is when b has something for a.
func TestAMessageThatWaitsForADialGoesWhenThePeerComes(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		m.host("a")
		m.hole("b")
		ondemand := map[string]string{"selfToOthersConnectPolicy": "ondemand"}
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 60", spec{name: "a", options: ondemand}, spec{name: "b", options: ondemand})
		time.Sleep(time.Minute)
		if n := m.dials.Load(); n > 0 {
			t.Errorf("%d dials for nothing", n)
		}
		w.send("a", "tick", nil)
		time.Sleep(4 * time.Second)
		if n := m.dials.Load(); n != 1 || w.up("a", "b") {
			t.Errorf("%d dials, up: %v", n, w.up("a", "b"))
		}
		w.send("b", "tock", nil)
		took := w.within(time.Second, "both", func() bool { return len(w.received("a")) == 2 && len(w.received("b")) == 2 })
		if took > 300*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// Two nodes dial each other over lines that are so long that they find each other
// late, and may ride until their own connections are there.
func TestLateDialsSettle(t *testing.T) {
	for _, latency := range []time.Duration{0, 200, 400, 600, 700} {
		latency *= time.Millisecond
		for _, apart := range []time.Duration{0, time.Second, 3 * time.Second} {
			t.Run(fmt.Sprintf("%v, %v apart", latency, apart), func(t *testing.T) {
				inMemory(t, func(t *testing.T, m *memory) { lateDialsSettle(t, m, latency, apart) })
			})
		}
	}
}

func lateDialsSettle(t *testing.T, m *memory, latency, apart time.Duration) {
	far := memnet.Conditions{Latency: latency}
	m.net.Shape(m.host("a"), m.host("b"), far)
	m.net.Shape(m.host("b"), m.host("a"), far)
	const settings = "heartbeat: 5\nconnectionRetry: 60"
	w := newWorld(t, m, settings)
	w.sys = w.parse(settings, []spec{{name: "a"}, {name: "b"}})
	w.start("a")
	time.Sleep(apart)
	w.start("b")
	w.allUp()
	time.Sleep(2 * time.Minute)
	connects := func() uint64 { return w.link("a", "b").Connects + w.link("b", "a").Connects }
	before, dials := connects(), m.dials.Load()
	if before > 3 || w.link("a", "b").Rides || w.link("b", "a").Rides || len(m.between("a", "b")) != 2 {
		t.Errorf("%d connects, %d connections: %+v %+v", before, len(m.between("a", "b")), w.link("a", "b"), w.link("b", "a"))
	}
	w.send("a", "tick", nil) // each gets its own one too
	w.send("b", "tock", nil)
	w.until("both", func() bool { return len(w.received("a")) == 2 && len(w.received("b")) == 2 })
	time.Sleep(time.Hour)
	if after := connects(); after != before || m.dials.Load() != dials {
		t.Errorf("%d connects, then %d; %d dials, then %d", before, after, dials, m.dials.Load())
	}
}
