package node_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"kozo"
	"kozo/internal/status"
)

// quick makes what takes seconds by default take less, for the tests that run in
// real time too.
const quick = "heartbeat: 1\nconnectionRetry: 2"

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprint("n", i)
	}
	return all
}

func specs(names []string) []spec {
	var all []spec
	for _, name := range names {
		all = append(all, spec{name: name})
	}
	return all
}

func TestTenNodesReachEachOther(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		all := names(10)
		w := newWorld(t, p, quick, specs(all)...)
		w.allUp()
		for _, name := range all {
			w.send(name, "hello", name)
		}
		for _, name := range all {
			w.until(name+" to hear from all others", func() bool { return len(w.received(name)) == 10 })
			heard := map[kozo.NodeName]bool{}
			for _, m := range w.received(name) {
				heard[m.From.Node] = true
				if m.Body.Text() != string(m.From.Node) || m.Seq != 1 {
					t.Errorf("%s got %+v", name, m)
				}
			}
			if len(heard) != 10 {
				t.Errorf("%s heard %v", name, heard)
			}
		}
	})
}

func TestOnlyNodesWithARoleThatWantsAMessageGetIt(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick,
			spec{name: "a", roles: map[string]string{"source": ""}},
			spec{name: "ticks", roles: map[string]string{"sink": `want: "event:tick"`}},
			spec{name: "tocks", roles: map[string]string{"sink": `want: "event:tock from source@a"`}},
			spec{name: "others", roles: map[string]string{"sink": `want: "* from nobody"`}},
		)
		w.allUp()
		w.send("a", "tick", nil)
		w.send("a", "tock", nil)
		w.until("tick", func() bool { return len(w.received("ticks")) == 1 })
		w.until("tock", func() bool { return len(w.received("tocks")) == 1 })
		for peer, want := range map[string]uint64{"ticks": 1, "tocks": 1, "others": 0} {
			if l := w.link("a", peer); l.Out.Sent != want {
				t.Errorf("%d messages went to %s", l.Out.Sent, peer)
			}
		}
	})
}

func TestANodeWithNothingToDialRidesOnTheConnectionOfItsPeer(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick, spec{name: "open"}, spec{name: "behind", mute: true})
		w.allUp()
		if l := w.link("open", "behind"); !l.Rides || l.Endpoint != "" {
			t.Errorf("%+v", l)
		}
		w.send("open", "down", nil)
		w.send("behind", "up", nil)
		w.until("both", func() bool { return len(w.received("open")) == 2 && len(w.received("behind")) == 2 })
		// It rides again after a cut, in both directions.
		w.place.cut("open", "behind")
		w.until("a new connection", func() bool {
			return w.link("behind", "open").Connects == 2 && w.link("open", "behind").Connects == 2
		})
		w.allUp()
		w.send("open", "down", nil)
		w.until("a message after the cut", func() bool { return len(w.received("behind")) == 3 })
	})
}

func TestMovesFromRidingToAConnectionOfItsOwn(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "heartbeat: 1\nconnectionRetry: 5", spec{name: "a"}, spec{name: "b"})
		w.allUp()
		// b's name cannot be resolved by a, but b reaches a.
		addr := m.host("b").Addr()
		m.net.SetName("b.test")
		w.stop("a")
		w.start("a")
		w.until("a to ride", func() bool { l := w.link("a", "b"); return l.State == "up" && l.Rides })
		for range 10 {
			w.send("a", "one", nil)
		}
		m.net.SetName("b.test", addr)
		for i := 0; w.link("a", "b").Rides; i++ {
			w.send("a", "more", nil)
			time.Sleep(100 * time.Millisecond)
			if i > 1000 {
				t.Fatal("it rides for ever")
			}
		}
		w.send("a", "last", nil)
		w.until("the last message", func() bool {
			got := w.received("b")
			return len(got) > 0 && got[len(got)-1].Type == "last"
		})
		l := w.link("a", "b")
		if lost := status.Sum(l.Out.Dropped); lost > 0 || l.State != "up" {
			t.Errorf("lost %d messages while moving: %+v", lost, l.Out)
		}
		var last uint64
		for _, m := range w.received("b") {
			if m.From.Node == "a" && m.Seq != last+1 {
				t.Fatalf("message %d came after %d", m.Seq, last)
			}
			if m.From.Node == "a" {
				last = m.Seq
			}
		}
	})
}

func TestPolicyTree(t *testing.T) {
	for _, alice := range []string{"constant", "ondemand", "never"} {
		for _, bob := range []string{"constant", "ondemand", "never"} {
			t.Run(alice+" to "+bob, func(t *testing.T) {
				inMemory(t, func(t *testing.T, m *memory) {
					w := newWorld(t, m, quick,
						spec{name: "alice", options: map[string]string{"selfToOthersConnectPolicy": alice}},
						spec{name: "bob", options: map[string]string{"othersToSelfConnectPolicy": bob, "selfToOthersConnectPolicy": "never"}},
					)
					testPolicy(t, w, kozo.OnDemand.String() == alice || kozo.OnDemand.String() == bob, alice == "never" || bob == "never")
				})
			})
		}
	}
}

func testPolicy(t *testing.T, w *world, onDemand, never bool) {
	state := func() status.Link { return w.link("alice", "bob") }
	time.Sleep(10 * time.Second)
	switch {
	case never:
		w.send("alice", "x", nil)
		time.Sleep(10 * time.Second)
		l := state()
		if l.State != "off" || l.Connects != 0 || l.Out.Dropped["refused"] != 1 || len(w.received("bob")) != 0 {
			t.Errorf("%+v", l)
		}
		return
	case onDemand:
		if l := state(); l.State != "idle" || l.Connects != 0 {
			t.Fatalf("before there is anything to send: %+v", l)
		}
		w.send("alice", "x", nil)
	}
	w.until("the link", func() bool { return state().State == "up" && state().Connects == 1 })
	if onDemand {
		// And it is known there, or the link would come back to send it again.
		w.until("the message that asked for the link", func() bool { return len(w.received("bob")) == 1 && state().Out.Delivered == 1 })
	}
	w.place.cut("alice", "bob")
	w.until("the cut to be noticed", func() bool { return state().State != "up" || state().Connects == 2 })
	time.Sleep(10 * time.Second)
	if l := state(); onDemand && (l.State != "idle" || l.Connects != 1) || !onDemand && l.Connects != 2 {
		t.Fatalf("10 s after the cut: %+v", l)
	}
	w.send("alice", "y", nil)
	w.until("a message after the cut", func() bool {
		got := w.received("bob")
		return len(got) > 0 && got[len(got)-1].Type == "y"
	})
	if l := state(); l.Connects != 2 {
		t.Errorf("%+v", l)
	}
}

func TestTheAcceptingSideEnforcesThePolicyToo(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick, spec{name: "alice"}, spec{name: "bob"})
		w.allUp()
		w.stop("bob")
		// bob's copy of the file now says that nobody may connect to it.
		w.sys = w.parse(quick, []spec{{name: "alice"}, {name: "bob", options: map[string]string{"othersToSelfConnectPolicy": "never"}}})
		w.start("bob")
		// An attempt may still have met bob as it stopped.
		w.until("alice to be told", func() bool {
			l := w.link("alice", "bob")
			return l.State != "up" && len(l.Targets) == 1 && l.Targets[0].Error == "the peer hung up: othersToSelfConnectPolicy of bob is never"
		})
	})
}

func TestTwoNodesThatRefuseEachOtherDoNotDialAllTheTime(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		w := newWorld(t, m, "connectionRetry: 60")
		never := map[string]string{"othersToSelfConnectPolicy": "never"}
		// Each has a copy of the file in which only itself refuses the other.
		w.sys = w.parse("connectionRetry: 60", []spec{{name: "a", options: never}, {name: "b"}})
		w.start("a")
		w.sys = w.parse("connectionRetry: 60", []spec{{name: "a"}, {name: "b", options: never}})
		w.start("b")
		time.Sleep(time.Hour)
		if n := m.dials.Load(); n < 100 || n > 300 {
			t.Errorf("%d dials in an hour", n)
		}
	})
}

func TestDriftIsReportedByBlock(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick, spec{name: "a"}, spec{name: "b"})
		w.allUp()
		w.stop("b")
		w.sys = w.parse("heartbeat: 2\nconnectionRetry: 2", []spec{{name: "a"}, {name: "b", roles: map[string]string{"sink": ""}}})
		w.start("b")
		w.allUp()
		for _, pair := range [][2]string{{"a", "b"}, {"b", "a"}} {
			w.until(pair[0]+" to see what differs", func() bool {
				return fmt.Sprint(w.link(pair[0], pair[1]).Drift) == "[heartbeat system.b]"
			})
		}
		if n := w.logs.count("a", "another configuration"); n != 1 {
			t.Errorf("said %d times", n)
		}
	})
}

func TestMessagesOfRolesThatTheSenderDoesNotHaveAreRefused(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		w := newWorld(t, p, quick, spec{name: "a"}, spec{name: "b"})
		w.allUp()
		w.stop("b")
		// For b, a has no role named source.
		w.sys = w.parse(quick, []spec{{name: "a", roles: map[string]string{"sink": ""}}, {name: "b"}})
		w.start("b")
		w.allUp()
		w.send("a", "x", nil)
		w.until("the refusal", func() bool { return w.link("b", "a").In.Dropped["refused"] == 1 })
		wanted, err := w.node("a").Send(kozo.Message{Kind: kozo.Order, Type: "by hand"})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(wanted, []kozo.NodeName{"a", "b"}) {
			t.Errorf("it is said that roles of %v want it", wanted)
		}
		w.until("what the node itself says", func() bool { return len(w.received("b")) == 1 })
	})
}
