package node_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"kozo/internal/memnet"
	"kozo/internal/status"
)

// The tests of this file are named after what breaks in other meshes.

func TestHalfOpenConnectionIsReplaced(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 60\nconnectionRetry: 60", spec{name: "a"}, spec{name: "b"})
		w.allUp()
		// All cables are pulled, and nobody hears of it. Then a is started anew:
		// for b, its old connections look as healthy as ever.
		for _, c := range m.between("a", "b") {
			c.Freeze(true)
			c.Other().Freeze(true)
		}
		before := w.link("b", "a").In.Since
		w.stop("a")
		w.start("a")
		took := w.within(2*time.Second, "a's new connection", func() bool { return w.up("a", "b") })
		if since := w.link("b", "a").In.Since; !since.After(*before) {
			t.Errorf("b still serves the connection of %v", before)
		}
		// b's own link led to the earlier run of a, and would take long to notice.
		w.within(2*time.Second, "b's new connection", func() bool {
			l := w.link("b", "a")
			return l.State == "up" && l.Connects == 2
		})
		w.send("a", "new", nil)
		w.send("b", "new", nil)
		w.until("messages over them", func() bool { return len(w.received("b")) == 2 && len(w.received("a")) == 2 })
		t.Logf("up after %v", took)
	})
}

func TestTwoSimultaneousDialsSettle(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, quick, spec{name: "a"}, spec{name: "b"})
		w.allUp()
		for i := range uint64(20) {
			w.place.cut("a", "b") // both dial at the same moment
			w.until("new connections", func() bool {
				return w.link("a", "b").Connects == i+2 && w.link("b", "a").Connects == i+2
			})
			w.allUp()
		}
		time.Sleep(time.Minute)
		if open := len(m.between("a", "b")); open != 2 {
			t.Errorf("%d connections, want one each way", open)
		}
		if n := w.link("a", "b").Connects; n != 21 {
			t.Errorf("%d connections were made for 20 cuts", n)
		}
	})
}

func TestOneWayBlackHoleIsNoticedWithinThreeHeartbeats(t *testing.T) {
	for _, from := range []string{"a", "b"} {
		t.Run("what "+from+" sends vanishes", func(t *testing.T) {
			inMemory(t, func(t *testing.T, m *memory) {
				w := newWorld(t, m, "heartbeat: 10\nconnectionRetry: 5", spec{name: "a"}, spec{name: "b", mute: true})
				w.allUp()
				stop := make(chan struct{})
				defer close(stop)
				go func() { // steady traffic, so that it is not silence that is noticed
					for {
						select {
						case <-stop:
							return
						case <-time.After(100 * time.Millisecond):
							w.send("a", "steady", nil)
							w.send("b", "steady", nil)
						}
					}
				}()
				time.Sleep(time.Minute)
				if n := w.link("b", "a").Connects; n != 1 {
					t.Fatalf("%d connections before anything happened", n)
				}
				for _, c := range m.between("a", "b") { // b has dialled
					if from == "a" {
						c = c.Other()
					}
					c.BlackHole()
				}
				w.within(30*time.Second, "the death to be noticed", func() bool {
					return w.link("b", "a").Connects > 1 || !w.up("b", "a")
				})
				w.within(10*time.Second, "the links to come back", func() bool { return w.up("a", "b") && w.up("b", "a") })
			})
		})
	}
}

func TestSlowBulkTransferIsNotTakenForDeath(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 10\nconnectionRetry: 5\noutgoingQueueSize: 5MiB", spec{name: "a"},
			spec{name: "b", roles: map[string]string{"source": "", "sink": "messageQueueSize: 5MiB"}})
		w.allUp()
		m.net.Shape(m.host("a"), m.host("b"), memnet.Conditions{Bandwidth: 20_000})
		m.net.Shape(m.host("b"), m.host("a"), memnet.Conditions{Bandwidth: 20_000})
		bulk := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
		w.send("a", "bulk", bulk)
		w.within(5*time.Minute, "4 MB at 20 kB/s", func() bool { return len(w.received("b")) == 1 })
		if v, _ := w.received("b")[0].Body.Value(); !bytes.Equal(v.([]byte), bulk) {
			t.Error("it arrived damaged")
		}
		for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
			if l := w.link(pair[0], pair[1]); l.Connects != 1 || l.State != "up" {
				t.Errorf("%s to %s: %+v", pair[0], pair[1], l)
			}
		}
	})
}

func TestThousandReconnectsLoseNoSubscription(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		cuts := 1000
		if _, real := p.(*sockets); real {
			cuts = 20 // each takes a pause of real time
		}
		w := newWorld(t, p, quick, spec{name: "a"}, spec{name: "b"})
		w.allUp()
		for i := range cuts {
			connects := w.link("a", "b").Connects
			w.place.cut("a", "b")
			w.until("a new connection", func() bool { return w.link("a", "b").Connects > connects })
			w.allUp()
			before := len(w.received("b"))
			w.send("a", fmt.Sprint("after", i), nil)
			w.until("the next message", func() bool { return len(w.received("b")) == before+1 })
		}
	})
}

func TestPeerThatComesBackElsewhereIsFoundWithinOneRetry(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 10\nconnectionRetry: 60",
			spec{name: "a"}, spec{name: "b", options: map[string]string{"selfToOthersConnectPolicy": "ondemand"}, roles: map[string]string{"sink": ""}})
		w.until("a's link", func() bool { return w.up("a", "b") })
		w.stop("b")
		m.net.Move(netip.MustParseAddr("10.99.0.1"), m.host("b"))
		m.net.SetName("b.test") // it is nowhere for ten minutes
		time.Sleep(10 * time.Minute)
		m.net.SetName("b.test", netip.MustParseAddr("10.99.0.1"))
		w.start("b")
		w.within(61*time.Second, "the link", func() bool { return w.up("a", "b") })
	})
}

func TestSwappedAddressesEndOnTheRightKeys(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, quick, specs([]string{"a", "b", "c"})...)
		w.allUp()
		b, c := m.host("b").Addr(), m.host("c").Addr()
		m.net.Move(b, m.host("c"))
		m.net.Move(c, m.host("b"))
		for _, conn := range m.net.Conns() {
			conn.Reset()
		}
		// The names still point to the old addresses: each dial ends on the wrong
		// node, and must not be believed.
		time.Sleep(10 * time.Second)
		if l := w.link("a", "b"); l.State == "up" && !l.Rides {
			t.Errorf("a takes c for b: %+v", l)
		}
		m.net.SetName("b.test", c)
		m.net.SetName("c.test", b)
		w.until("the links to be direct again", func() bool {
			for _, peer := range []string{"b", "c"} {
				if l := w.link("a", peer); l.State != "up" || l.Rides {
					return false
				}
			}
			return true
		})
		w.send("a", "x", nil)
		for _, name := range []string{"b", "c"} {
			w.until(name, func() bool { return len(w.received(name)) == 1 })
		}
	})
}

func TestSlowReceiverHurtsNobodyElseAndIsNamed(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick+"\noutgoingQueueLength: 5000",
			spec{name: "a"},
			spec{name: "b", roles: map[string]string{"sink": "", "stuck": "type: sink, never: true, messageQueueLength: 10", "source": ""}},
			spec{name: "c"},
		)
		w.allUp()
		const n = 1000
		for i := range n {
			w.send("a", fmt.Sprint(i), nil)
		}
		w.until("all messages at b", func() bool { return len(w.received("b")) == n })
		w.until("all messages at c", func() bool { return len(w.received("c")) == n })
		stuck := func() status.Role {
			for _, r := range w.node("b").Status().Roles {
				if r.Name == "stuck" {
					return r
				}
			}
			panic("no such role")
		}
		if r := stuck(); r.Inbox.Offered != n || r.Inbox.Queued != 10 || r.Inbox.Dropped["inbox full"] != n-10 || !r.Inbox.Balanced() {
			t.Errorf("%+v", r)
		}
		w.until("the role to be named", func() bool { return stuck().Note != "" })
	})
}

func TestStaleBacklogDoesNotArrive(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 2\noutgoingQueueAge: 5", spec{name: "a"}, spec{name: "b"})
		w.allUp()
		w.stop("b")
		w.until("a to notice", func() bool { return !w.up("a", "b") })
		w.send("a", "old", nil)
		time.Sleep(4 * time.Second)
		w.send("a", "young", nil)
		time.Sleep(2 * time.Second)
		w.start("b")
		w.until("the young message", func() bool { return len(w.received("b")) > 0 })
		if got := w.received("b"); len(got) != 1 || got[0].Type != "young" {
			t.Errorf("%+v", got)
		}
		l := w.link("a", "b")
		if l.Out.Dropped["expired"] != 1 || !l.Out.Balanced() {
			t.Errorf("%+v", l.Out)
		}
	})
}

func TestPeerAwayForADayCostsAboutTenLines(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "", spec{name: "a"}, spec{name: "b"})
		w.allUp()
		before := w.logs.count("a", "")
		w.stop("b")
		time.Sleep(24 * time.Hour)
		if n := w.logs.count("a", "") - before; n > 12 {
			t.Errorf("%d lines", n)
			w.logs.print(t)
		}
		w.start("b")
		w.within(61*time.Second, "the link after a day", func() bool { return w.up("a", "b") })
	})
}
