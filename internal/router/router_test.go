package router

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kozo"
)

type sink struct{ got []kozo.Message }

func (s *sink) Put(messages ...kozo.Message) { s.got = append(s.got, messages...) }

type link struct{ frames [][]byte }

func (l *link) Offer(head, body []byte, _ time.Time) {
	l.frames = append(l.frames, slices.Concat(head, body))
}

func message(kind kozo.Kind, typ, channel, role string) *kozo.Message {
	return &kozo.Message{
		Kind: kind, Type: typ, Channel: channel,
		From: kozo.RoleRef{Node: "clock", Role: kozo.RoleName(role)}, Time: time.Now(),
	}
}

func send(r *Router, m *kozo.Message) { r.Outlet().Send(m) }

func newRouter() (*Router, *int) {
	encoded := 0
	return New(func(b []byte, m *kozo.Message) []byte {
		encoded++
		return append(b, m.Type...)
	}), &encoded
}

func TestMessageIsEncodedOnceForAllPeersAndNotForNone(t *testing.T) {
	r, encoded := newRouter()
	links := make([]link, 5)
	for i := range links {
		r.SetPeer(kozo.NodeName(fmt.Sprint("peer", i)), &links[i], []kozo.Filter{{Kind: kozo.Event, Type: "tick"}})
	}
	send(r, message(kozo.Event, "tock", "", "timer1"))
	if *encoded != 0 {
		t.Fatalf("a message that nobody wants was encoded %d times", *encoded)
	}
	send(r, message(kozo.Event, "tick", "", "timer1"))
	if *encoded != 1 {
		t.Fatalf("encoded %d times", *encoded)
	}
	for i := range links {
		if len(links[i].frames) != 1 || string(links[i].frames[0]) != "tick" {
			t.Fatalf("peer %d got %q", i, links[i].frames)
		}
	}
}

func TestRolesOfANodeGetEachOthersMessagesButNotTheirOwn(t *testing.T) {
	r, _ := newRouter()
	var timer, cuckoo sink
	all := []kozo.Filter{{}}
	r.SetLocal("timer1", &timer, all)
	r.SetLocal("cuckoo", &cuckoo, all)
	send(r, message(kozo.Event, "tick", "", "timer1"))
	if len(timer.got) != 0 || len(cuckoo.got) != 1 {
		t.Fatalf("timer1 got %d, cuckoo got %d", len(timer.got), len(cuckoo.got))
	}
	// A role of the same name on another node is somebody else.
	if !r.Deliver(*message(kozo.Event, "tick", "", "timer1")) || len(timer.got) != 1 {
		t.Fatalf("timer1 did not get the message of its namesake")
	}
}

func TestMessagesOfPeersAreNotForwarded(t *testing.T) {
	r, _ := newRouter()
	var peer link
	r.SetPeer("attic", &peer, []kozo.Filter{{}})
	if r.Deliver(*message(kozo.Event, "tick", "", "timer1")) {
		t.Fatal("somebody wanted it")
	}
	if len(peer.frames) != 0 {
		t.Fatal("it was forwarded")
	}
}

func TestInterestCanChange(t *testing.T) {
	r, _ := newRouter()
	var s sink
	tick := kozo.Filter{Kind: kozo.Event, Type: "tick"}
	r.SetLocal("cuckoo", &s, []kozo.Filter{tick, tick})
	r.SetLocal("logger", &s, []kozo.Filter{tick, {Kind: kozo.Log}})
	if got := r.Interest(); len(got) != 2 {
		t.Fatalf("interest %v", got)
	}
	r.SetLocal("cuckoo", &s, nil)
	r.SetLocal("logger", &s, nil)
	if r.Deliver(*message(kozo.Event, "tick", "", "timer1")) || len(s.got) != 0 {
		t.Fatal("delivered to a role that does not want it any more")
	}
}

// An outlet remembers who wanted the last message, until that changes.
func TestAnOutletFollowsChanges(t *testing.T) {
	r, _ := newRouter()
	var role sink
	var peer link
	o := r.Outlet()
	check := func(what string, m *kozo.Message, roles, peers int) {
		t.Helper()
		role.got, peer.frames = nil, nil
		for range 2 {
			o.Send(m)
		}
		if len(role.got) != 2*roles || len(peer.frames) != 2*peers {
			t.Errorf("%s: the role got %d, the peer %d", what, len(role.got), len(peer.frames))
		}
	}
	tick := message(kozo.Event, "tick", "hall", "timer1")
	check("nobody wants it", tick, 0, 0)
	r.SetPeer("attic", &peer, []kozo.Filter{{Type: "tick"}})
	check("a peer does", tick, 0, 1)
	r.SetLocal("cuckoo", &role, []kozo.Filter{{Channel: "hall"}})
	check("a role does", tick, 1, 1)
	check("another channel", message(kozo.Event, "tick", "cellar", "timer1"), 0, 1)
	check("another type", message(kozo.Event, "tock", "hall", "timer1"), 1, 0)
	check("another kind", message(kozo.Order, "tick", "hall", "timer1"), 1, 1)
	check("another sender", message(kozo.Event, "tick", "hall", "cuckoo"), 0, 1)
	check("as before", tick, 1, 1)
	r.SetPeer("attic", &peer, nil)
	check("not the peer any more", tick, 1, 0)
	tap := r.Tap(nil)
	check("as before, with a tap", tick, 1, 0)
	if shown, _ := tap.Take(); len(shown) != 2 {
		t.Errorf("the tap shows %d", len(shown))
	}
}

// A large body is not copied, and a small one comes with the rest.
func TestLargeBodiesAreShared(t *testing.T) {
	r, _ := newRouter()
	var got parts
	r.SetPeer("attic", &got, []kozo.Filter{{}})
	o := r.Outlet()
	m := message(kozo.Event, "tick", "", "timer1")
	for i := range byte(4) {
		m.Body = slices.Repeat([]byte{i}, 20+int(i%2)*largeBody)
		o.Send(m)
		if last := got[i]; string(last.head[:4]) != "tick" || len(last.head)+len(last.body) != 4+len(m.Body) {
			t.Errorf("%d and %d bytes of %d", len(last.head), len(last.body), len(m.Body))
		} else if large := i%2 == 1; large != (len(last.body) > 0 && &last.body[0] == &m.Body[0]) {
			t.Errorf("a body of %d bytes comes as %d", len(m.Body), len(last.body))
		}
	}
}

type parts []struct{ head, body []byte }

func (p *parts) Offer(head, body []byte, _ time.Time) {
	*p = append(*p, struct{ head, body []byte }{slices.Clone(head), body})
}

// TestIndexAgreesWithTheFilters compares the index with asking every filter.
func TestIndexAgreesWithTheFilters(t *testing.T) {
	word := rapid.SampledFrom([]string{"", "a", "b"})
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.Custom(func(t *rapid.T) kozo.Filter {
			return kozo.Filter{
				Kind: rapid.SampledFrom([]kozo.Kind{0, kozo.Event, kozo.Order, kozo.Log}).Draw(t, "kind"),
				Type: word.Draw(t, "type"), Channel: word.Draw(t, "channel"),
				Role: kozo.RoleName(word.Draw(t, "role")), Node: kozo.NodeName(word.Draw(t, "node")),
			}
		})
		// Enough subscribers to need more than one word of the bit set now and then.
		subscribers := rapid.SliceOfN(rapid.SliceOfN(filter, 0, 4), 0, 80).Draw(t, "subscribers")
		var x index[int]
		for i, filters := range subscribers {
			x.add(i, filters)
		}
		m := message(
			rapid.SampledFrom([]kozo.Kind{kozo.Event, kozo.Order, kozo.Log}).Draw(t, "kind"),
			word.Draw(t, "type"), word.Draw(t, "channel"), word.Draw(t, "role"))
		m.From.Node = kozo.NodeName(word.Draw(t, "node"))
		var want, got []int // in the same order
		for i, filters := range subscribers {
			if slices.ContainsFunc(filters, func(f kozo.Filter) bool { return f.Match(m) }) {
				want = append(want, i)
			}
		}
		x.match(m, func(i int) { got = append(got, i) })
		if !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

// Whoever wants a message by however many filters, finding them makes no garbage.
func TestMatchingAllocatesNothing(t *testing.T) {
	var x index[int]
	for i := range 1000 {
		x.add(i, []kozo.Filter{
			{}, {Kind: kozo.Event}, {Type: "tick"}, {Channel: "hall"}, {Role: "timer1"}, {Node: "clock"},
			{Kind: kozo.Event, Type: "tick"}, {Kind: kozo.Event, Type: "tick", Channel: fmt.Sprint("channel", i)},
		})
	}
	m := message(kozo.Event, "tick", "hall", "timer1")
	found := 0
	if n := testing.AllocsPerRun(10, func() { x.match(m, func(int) { found++ }) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if found != 11*1000 { // the first run is not counted
		t.Errorf("%d found", found)
	}
}

func TestTapShowsWhatPassesAndCountsWhatItMissed(t *testing.T) {
	r, _ := newRouter()
	tap := r.Tap([]kozo.Filter{{Kind: kozo.Event}})
	send(r, message(kozo.Log, "info", "", "a"))
	for range tapLength + 3 {
		send(r, message(kozo.Event, "tick", "", "a"))
	}
	<-tap.Ready()
	got, missed := tap.Take()
	if len(got) != tapLength || missed != 3 {
		t.Fatalf("%d messages, %d missed", len(got), missed)
	}
	tap.Close()
	send(r, message(kozo.Event, "tick", "", "a"))
	if got, _ := tap.Take(); len(got) != 0 {
		t.Fatal("a closed tap shows messages")
	}
}

func TestTapHoldsABoundedNumberOfBytes(t *testing.T) {
	r, _ := newRouter()
	tap := r.Tap(nil)
	defer tap.Close()
	large := message(kozo.Event, "large", "", "a")
	large.Body = make(kozo.Body, tapSize/4)
	for range 10 {
		send(r, large)
	}
	send(r, message(kozo.Event, "small", "", "a")) // would have room, but comes after what was missed
	got, missed := tap.Take()
	if len(got) != 3 || missed != 8 {
		t.Errorf("%d messages, %d missed", len(got), missed)
	}
	large.Body = make(kozo.Body, 2*tapSize)
	send(r, large)
	if got, missed := tap.Take(); len(got) != 1 || missed != 0 {
		t.Errorf("of one large message: %d, %d missed", len(got), missed)
	}
}

func TestAPeerThatSaysTheSameAgainChangesNothing(t *testing.T) {
	r, _ := newRouter()
	tick, tock := kozo.Filter{Kind: kozo.Event, Type: "tick"}, kozo.Filter{Kind: kozo.Event, Type: "tock"}
	var peer, other link
	r.SetPeer("peer", &peer, []kozo.Filter{tick, tock})
	before := r.present()
	r.SetPeer("peer", &peer, []kozo.Filter{tock, tick, tock})
	if r.present() != before {
		t.Error("the table was made anew")
	}
	r.SetPeer("peer", &other, []kozo.Filter{tick, tock})
	if send(r, message(kozo.Event, "tick", "", "a")); len(peer.frames) != 0 || len(other.frames) != 1 {
		t.Error("another link for the same peer went unnoticed")
	}
	r.SetPeer("peer", &other, nil)
	if send(r, message(kozo.Event, "tick", "", "a")); len(other.frames) != 1 {
		t.Error("a peer that wants nothing any more got a message")
	}
}

func BenchmarkStartOfANetwork(b *testing.B) {
	for _, nodes := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			for b.Loop() {
				r, _ := newRouter()
				for range 2 { // what the file says of a peer, and the same from itself
					for i := range nodes {
						filters := make([]kozo.Filter, 10)
						for j := range filters {
							filters[j] = kozo.Filter{Kind: kozo.Event, Type: fmt.Sprint("type", j)}
						}
						r.SetPeer(kozo.NodeName(fmt.Sprint("peer", i)), discard{}, filters)
					}
					r.present()
				}
			}
		})
	}
}

func BenchmarkSend(b *testing.B) {
	for _, filters := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprint("filters=", filters), func(b *testing.B) {
			r, _ := newRouter()
			wanted := []kozo.Filter{{Kind: kozo.Event, Type: "tick"}}
			for i := range filters - 1 {
				wanted = append(wanted, kozo.Filter{Kind: kozo.Event, Type: fmt.Sprint("other", i)})
			}
			r.SetPeer("peer", discard{}, wanted)
			m := message(kozo.Event, "tick", "", "timer1")
			o := r.Outlet()
			b.ReportAllocs()
			for b.Loop() {
				o.Send(m)
			}
		})
	}
}

type discard struct{}

func (discard) Offer([]byte, []byte, time.Time) {}
