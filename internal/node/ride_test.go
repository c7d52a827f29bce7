package node_test

import (
	"testing"
	"time"

	"kozo/internal/memnet"
	"kozo/internal/status"
)

// riding makes two nodes of which a rides on b's connection, although b has an
// address: a cannot resolve it. The returned function lets it.
func riding(t *testing.T, m *memory, settings string) (w *world, resolve func()) {
	w = newWorld(t, m, settings, spec{name: "a"}, spec{name: "b"})
	w.allUp()
	addr := m.host("b").Addr()
	m.net.SetName("b.test")
	w.stop("a")
	w.start("a")
	w.until("a to ride", func() bool { l := w.link("a", "b"); return l.State == "up" && l.Rides })
	w.allUp()
	return w, func() { m.net.SetName("b.test", addr) }
}

func TestWhoStopsRidingLeavesTheConnectionToItsOwner(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w, resolve := riding(t, m, "heartbeat: 1\nconnectionRetry: 5")
		before := w.link("b", "a").Connects
		resolve()
		w.until("a's own connection", func() bool { return !w.link("a", "b").Rides })
		time.Sleep(time.Minute)
		if l := w.link("b", "a"); l.Connects != before || l.State != "up" {
			t.Errorf("b's own link to a is %s, with %d connections instead of %d", l.State, l.Connects, before)
		}
	})
}

func TestWhoStopsRidingOverAFarWayLeavesTheConnectionToItsOwner(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w, resolve := riding(t, m, "heartbeat: 4\nconnectionRetry: 5")
		far := memnet.Conditions{Latency: 700 * time.Millisecond}
		m.net.Shape(m.host("a"), m.host("b"), far)
		m.net.Shape(m.host("b"), m.host("a"), far)
		stop := make(chan struct{})
		defer close(stop)
		go func() { // so that there is always something to confirm
			for {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					w.send("a", "steady", nil)
				}
			}
		}()
		before := w.link("b", "a").Connects
		resolve()
		w.until("a's own connection", func() bool { return !w.link("a", "b").Rides })
		time.Sleep(time.Minute)
		if l := w.link("b", "a"); l.Connects != before || l.State != "up" {
			t.Errorf("b's own link to a is %s, with %d connections instead of %d", l.State, l.Connects, before)
		}
		if l := w.link("a", "b"); status.Sum(l.Out.Dropped) > 0 {
			t.Errorf("a lost messages: %+v", l.Out)
		}
	})
}

// A node that was switched off in the middle of much that it got on its own
// connection comes back: nobody waits for that connection, which takes nothing more.
func TestAFullConnectionDoesNotKeepThePeerOut(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 60\nconnectionRetry: 60", spec{name: "open"}, spec{name: "behind", mute: true})
		w.allUp()
		for _, c := range m.between("open", "behind") {
			c.Freeze(true)
			c.Other().Freeze(true)
		}
		for range 100 {
			w.send("open", "bulk", make([]byte, 16<<10))
		}
		time.Sleep(time.Second)
		w.stop("behind")
		w.start("behind")
		w.within(2*time.Second, "the new connection", func() bool { return w.up("behind", "open") })
		w.within(2*time.Second, "to ride on it", func() bool {
			l := w.link("open", "behind")
			return l.State == "up" && l.Connects == 2
		})
		w.send("open", "new", nil)
		w.until("a message", func() bool {
			got := w.received("behind")
			return len(got) > 0 && got[len(got)-1].Type == "new"
		})
	})
}
