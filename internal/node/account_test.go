package node_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/status"
)

// TestNoMessageVanishesWithoutANumber sends messages through three nodes while
// connections are cut, frozen and slowed down at random, with queues that are
// too small and a role that is too slow, and then asks for the fate of every
// single one.
func TestNoMessageVanishesWithoutANumber(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inMemory(t, func(t *testing.T, m *memory) {
				r := rand.New(rand.NewPCG(seed, 1))
				names := []string{"a", "b", "c"}
				sinks := map[string]string{"source": "", "sink": "", "slow": "type: sink, pause: 20ms, messageQueueLength: 8"}
				settings := fmt.Sprintf("heartbeat: 2\nconnectionRetry: 1\noutgoingQueueLength: %d\noutgoingQueueAge: %gs\noutgoingQueueSize: 2KiB",
					1+r.IntN(60), 0.2+3*r.Float64())
				w := newWorld(t, m, settings,
					spec{name: "a", roles: sinks}, spec{name: "b", roles: sinks, mute: seed%3 == 0}, spec{name: "c", roles: sinks})
				shake(w, m, r, names)
				settle(w, m, names)
				for _, from := range names {
					for _, to := range names {
						if from != to {
							checkEdge(t, w, from, to)
						}
					}
				}
				for _, name := range names {
					checkRoles(t, w, name)
					checkArrivals(t, w, name)
				}
			})
		})
	}
}

// shake makes trouble for a while.
func shake(w *world, m *memory, r *rand.Rand, names []string) {
	pick := func() string { return names[r.IntN(len(names))] }
	for range 400 {
		switch r.IntN(13) {
		case 0:
			m.cut(pick(), pick())
		case 1:
			a, b := m.host(pick()), m.host(pick())
			if a != b {
				m.net.Shape(a, b, memnet.Conditions{Latency: time.Duration(r.IntN(200)) * time.Millisecond, Bandwidth: 1000 + r.IntN(100_000)})
			}
		case 2:
			a, b := m.host(pick()), m.host(pick())
			if a != b {
				m.net.Partition(a, b)
				time.Sleep(time.Duration(r.IntN(8000)) * time.Millisecond)
				m.net.Heal(a, b)
			}
		case 3: // too large for the outbox
			w.send(pick(), "large", make([]byte, 3000))
		case 4: // who cannot find it rides on its connection, and moves off later
			name := pick()
			m.net.SetName(name + ".test")
			m.cut(name, pick())
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
			m.net.SetName(name+".test", m.host(name).Addr())
		case 5:
			time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
		default:
			name := pick()
			for range r.IntN(30) {
				w.send(name, "event", make([]byte, r.IntN(300)))
			}
			time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
		}
	}
}

// settle ends the trouble and waits until nothing is on its way any more.
func settle(w *world, m *memory, names []string) {
	for _, a := range names {
		for _, b := range names {
			if a != b {
				m.net.Shape(m.host(a), m.host(b), memnet.Conditions{})
			}
		}
	}
	w.allUp()
	w.until("everything to have its fate", func() bool {
		for _, name := range names {
			s := w.node(name).Status()
			for _, l := range s.Links {
				if l.State != "up" || l.Out.Queued+l.Out.InFlight > 0 {
					return false
				}
			}
			for _, r := range s.Roles {
				if r.Inbox.Queued > 0 {
					return false
				}
			}
		}
		return true
	})
}

func checkEdge(t *testing.T, w *world, from, to string) {
	out, in := w.link(from, to).Out, w.link(to, from).In
	if !out.Balanced() || !in.Balanced() {
		t.Errorf("%s to %s does not add up: %+v, %+v", from, to, out, in)
	}
	if out.Delivered != in.Received {
		t.Errorf("%s to %s: %d delivered, %d received", from, to, out.Delivered, in.Received)
	}
	if in.Received != in.Accepted {
		t.Errorf("%s to %s: dropped on arrival: %+v", from, to, in)
	}
	for _, cause := range []kozo.Cause{kozo.Oversize} {
		if out.Dropped[string(cause)] == 0 {
			t.Logf("%s to %s: nothing was dropped as %q", from, to, cause)
		}
	}
}

func checkRoles(t *testing.T, w *world, name string) {
	s := w.node(name).Status()
	var own uint64 // what local roles sent to each other
	for _, r := range s.Roles {
		if !r.Inbox.Balanced() {
			t.Errorf("%s on %s does not add up: %+v", r.Name, name, r.Inbox)
		}
		own += r.Sent
	}
	accepted := own
	for _, l := range s.Links {
		accepted += l.In.Accepted
		if l.Out.Sent != own {
			t.Errorf("%s sent %d messages, but its link to %s was offered %d", name, own, l.Peer, l.Out.Sent)
		}
	}
	for _, r := range s.Roles {
		if r.Type == "sink" && r.Inbox.Offered != accepted {
			t.Errorf("%s on %s was offered %d of %d messages", r.Name, name, r.Inbox.Offered, accepted)
		}
	}
}

// checkArrivals compares the numbers with the messages themselves: the ones
// that the sink has, none of them twice, each sender's in order.
func checkArrivals(t *testing.T, w *world, name string) {
	last := map[kozo.NodeName]uint64{}
	count := map[kozo.NodeName]uint64{}
	for _, m := range w.received(name) {
		if m.Seq <= last[m.From.Node] {
			t.Errorf("%s got message %d of %s after %d", name, m.Seq, m.From.Node, last[m.From.Node])
		}
		last[m.From.Node] = m.Seq
		count[m.From.Node]++
	}
	for _, l := range w.node(name).Status().Links {
		roles := w.node(name).Status().Roles
		i := slices.IndexFunc(roles, func(r status.Role) bool { return r.Name == "sink" })
		full := status.Sum(roles[i].Inbox.Dropped)
		if got := count[kozo.NodeName(l.Peer)]; got > l.In.Accepted || got+full < l.In.Accepted {
			t.Errorf("%s has %d messages of %s, but %d were accepted and %d dropped", name, got, l.Peer, l.In.Accepted, full)
		}
	}
}

func TestWhatACrashedPeerHadNotConfirmedCountsAsCut(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 1", spec{name: "a"}, spec{name: "b"})
		w.allUp()
		w.send("a", "confirmed", nil)
		w.until("the confirmation", func() bool { return w.link("a", "b").Out.Delivered == 1 })
		m.net.Partition(m.host("a"), m.host("b"))
		for range 5 {
			w.send("a", "lost", nil)
		}
		w.until("the messages to be on their way", func() bool { return w.link("a", "b").Out.InFlight == 5 })
		w.until("the end of the link", func() bool { return !w.up("a", "b") })
		if out := w.link("a", "b").Out; out.InFlight != 5 || !out.Balanced() {
			t.Errorf("after the cut: %+v", out)
		}
		w.stop("b") // it never learns of them
		m.net.Heal(m.host("a"), m.host("b"))
		w.start("b")
		w.allUp()
		if out := w.link("a", "b").Out; out.Dropped["cut"] != 5 || out.Delivered != 1 || !out.Balanced() {
			t.Errorf("after the crash: %+v", out)
		}
	})
}

func TestACutLosesNothing(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 1", spec{name: "a"}, spec{name: "b"})
		w.allUp()
		w.send("a", "before", nil)
		w.until("the confirmation", func() bool { return w.link("a", "b").Out.Delivered == 1 })
		m.net.Partition(m.host("a"), m.host("b"))
		for range 5 {
			w.send("a", "in flight", nil)
		}
		w.until("the messages to be on their way", func() bool { return w.link("a", "b").Out.InFlight == 5 })
		w.until("the end of the link", func() bool { return !w.up("a", "b") })
		for range 3 {
			w.send("a", "queued", nil)
		}
		m.cut("a", "b") // nothing of it arrives late
		m.net.Heal(m.host("a"), m.host("b"))
		w.until("all messages", func() bool { return w.link("a", "b").Out.Delivered == 9 })
		for i, m := range w.received("b") {
			if m.Seq != uint64(i+1) {
				t.Errorf("message %d is the %dth one", m.Seq, i+1)
			}
		}
		if out := w.link("a", "b").Out; len(w.received("b")) != 9 || status.Sum(out.Dropped) != 0 || !out.Balanced() {
			t.Errorf("%+v", out)
		}
	})
}

func TestWhatArrivedBeforeTheCutIsNotCounted(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 1", spec{name: "a"}, spec{name: "b"})
		w.allUp()
		// What b answers is lost, so a cannot know that its messages arrived.
		for _, c := range m.between("a", "b") {
			if c.RemoteAddr().String() == m.host("b").Addr().String()+":9001" {
				c.Other().BlackHole()
			}
		}
		for range 5 {
			w.send("a", "arrives", nil)
		}
		w.until("the messages", func() bool { return len(w.received("b")) == 5 })
		w.until("the end of the link", func() bool { return w.link("a", "b").Connects == 2 })
		if out := w.link("a", "b").Out; out.Delivered != 5 || status.Sum(out.Dropped) != 0 {
			t.Errorf("%+v", out)
		}
	})
}
