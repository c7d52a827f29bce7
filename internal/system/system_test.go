package system

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"kozo"
)

// wire is a transport of which only the description matters.
type wire struct {
	endpoints []string
	priority  kozo.Priority
}

func (w wire) Endpoints() []string     { return w.endpoints }
func (w wire) Priority() kozo.Priority { return w.priority }

func (wire) Dial(context.Context, *kozo.TransportEnv, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}

func (wire) Listen(context.Context, *kozo.TransportEnv) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

// incoming is a transport that does not dial.
type incoming struct{ wire }

func (incoming) CanConnect(kozo.Transport) bool { return false }

func transport(name, typ string, t kozo.Transport) *Transport {
	return &Transport{Name: name, Type: typ, Known: t != nil, Transport: t}
}

func pair(a, b []*Transport) (*System, *Node, *Node) {
	alice := &Node{Name: "alice", Transports: a}
	bob := &Node{Name: "bob", Transports: b}
	return &System{Nodes: []*Node{alice, bob}}, alice, bob
}

func TestPolicyOfALinkIsTheMoreReluctantOne(t *testing.T) {
	for _, row := range []struct{ alice, bob, want kozo.Policy }{
		{kozo.Constant, kozo.Constant, kozo.Constant},
		{kozo.Constant, kozo.OnDemand, kozo.OnDemand},
		{kozo.Constant, kozo.Never, kozo.Never},
		{kozo.OnDemand, kozo.Constant, kozo.OnDemand},
		{kozo.OnDemand, kozo.OnDemand, kozo.OnDemand},
		{kozo.OnDemand, kozo.Never, kozo.Never},
		{kozo.Never, kozo.Constant, kozo.Never},
		{kozo.Never, kozo.OnDemand, kozo.Never},
		{kozo.Never, kozo.Never, kozo.Never},
	} {
		tcp := []*Transport{transport("tcp", "tcp", wire{endpoints: []string{"x"}})}
		s, alice, bob := pair(tcp, tcp)
		alice.SelfToOthers, bob.OthersToSelf = row.alice, row.bob
		e := s.Edge(alice, bob)
		if e.Policy != row.want || (e.Never != "") != (row.want == kozo.Never) {
			t.Errorf("%v, %v: policy %v, never %q", row.alice, row.bob, e.Policy, e.Never)
		}
		if back := s.Edge(bob, alice); back.Policy != kozo.Constant {
			t.Errorf("%v, %v: the way back has policy %v", row.alice, row.bob, back.Policy)
		}
	}
}

func TestTargetsAreOrderedByPriorityThenAsInTheFile(t *testing.T) {
	local := []*Transport{
		transport("slow", "onion", wire{priority: kozo.Worst}),
		transport("fast", "tcp", wire{priority: kozo.Best}),
	}
	remote := []*Transport{
		transport("o", "onion", wire{endpoints: []string{"o1"}, priority: kozo.Worst}),
		transport("t", "tcp", wire{endpoints: []string{"t1", "t2"}, priority: kozo.Best}),
		transport("t2", "tcp", wire{endpoints: []string{"t3"}, priority: kozo.Best}),
		transport("u", "unheard-of", nil),
	}
	s, alice, bob := pair(local, remote)
	var got []string
	for _, target := range s.Edge(alice, bob).Targets {
		got = append(got, target.Local.Name+">"+target.Endpoint)
	}
	if want := "fast>t1 fast>t2 fast>t3 slow>o1"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnEdgeThatCannotBeDialledRidesOrSaysWhy(t *testing.T) {
	reachable := transport("tcp", "tcp", wire{endpoints: []string{"x"}})
	outgoing := transport("tcp", "tcp", wire{})
	s, alice, bob := pair([]*Transport{reachable}, []*Transport{outgoing})
	if e := s.Edge(alice, bob); !e.Rides || e.Never != "" {
		t.Errorf("to a node that only dials out: %+v", e)
	}
	if e := s.Edge(bob, alice); e.Rides || len(e.Targets) != 1 {
		t.Errorf("from a node that only dials out: %+v", e)
	}
	bob.SelfToOthers = kozo.Never // then there is nothing to ride on
	if e := s.Edge(alice, bob); e.Rides || e.Never == "" {
		t.Errorf("to a node that only dials out, and may not: %+v", e)
	}

	for _, row := range []struct {
		a, b []*Transport
		want string
	}{
		{nil, []*Transport{reachable}, "alice has no transports"},
		{[]*Transport{reachable}, nil, "bob has no transports"},
		{[]*Transport{outgoing}, []*Transport{outgoing}, "has no address that"},
		{[]*Transport{transport("b", "bluetooth", wire{endpoints: []string{"y"}})}, []*Transport{reachable}, "no transport in common: alice has bluetooth, bob has tcp"},
		{[]*Transport{transport("i", "tcp", incoming{wire{endpoints: []string{"z"}}})}, []*Transport{transport("i", "tcp", incoming{wire{endpoints: []string{"z"}}})}, "has no address that"},
	} {
		s, alice, bob := pair(row.a, row.b)
		if e := s.Edge(alice, bob); !strings.Contains(e.Never, row.want) {
			t.Errorf("got %q, want %q", e.Never, row.want)
		}
	}
}

func TestEdgesAreAllOrderedPairs(t *testing.T) {
	s := &System{Nodes: []*Node{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	var got []string
	for _, e := range s.Edges() {
		got = append(got, string(e.From.Name+e.To.Name))
	}
	if strings.Join(got, " ") != "ab ac ba bc ca cb" {
		t.Error(got)
	}
}

func TestUnheardSubscriptions(t *testing.T) {
	timer := &Role{
		Name: "timer1", Known: true, Declares: true,
		Publishes: []kozo.Filter{{Kind: kozo.Event, Type: "tick"}},
	}
	listener := func(f kozo.Filter) *Role {
		return &Role{Name: "listener", Known: true, Declares: true, Interest: []kozo.Filter{f}}
	}
	for _, row := range []struct {
		filter kozo.Filter
		extra  *Role
		want   string // part of the reason; empty if somebody can be heard
	}{
		{filter: kozo.Filter{Kind: kozo.Event, Type: "tick"}},
		{filter: kozo.Filter{Kind: kozo.Event, Type: "tick", Role: "timer1", Node: "clock"}},
		{filter: kozo.Filter{}},
		{filter: kozo.Filter{Kind: kozo.Log}},
		{filter: kozo.Filter{Kind: kozo.Order, Type: "debug"}}, // a person can send it
		{filter: kozo.Filter{Kind: kozo.Event, Type: "tock"}, want: "no role sends event:tock"},
		{filter: kozo.Filter{Kind: kozo.Event, Type: "tock"}, extra: &Role{Name: "x"}}, // a type that is not known
		{filter: kozo.Filter{Kind: kozo.Event, Type: "tick", Role: "timer2"}, want: `no role "timer2"`},
		{filter: kozo.Filter{Kind: kozo.Log, Role: "timer2"}, want: `no role "timer2"`},
		{filter: kozo.Filter{Kind: kozo.Log, Role: "timer1"}},
		{filter: kozo.Filter{Node: "nowhere"}, want: `no node "nowhere"`},
		{filter: kozo.Filter{Role: kozo.NodeRole}},
	} {
		clock := &Node{Name: "clock", Roles: []*Role{timer}}
		if row.extra != nil {
			clock.Roles = append(clock.Roles, row.extra)
		}
		s := &System{Nodes: []*Node{clock, {Name: "scribe", Roles: []*Role{listener(row.filter)}}}}
		found := s.Unheard()
		switch {
		case row.want == "" && len(found) > 0:
			t.Errorf("%v: %q", row.filter, found[0].Why)
		case row.want != "" && (len(found) != 1 || !strings.Contains(found[0].Why, row.want)):
			t.Errorf("%v: %+v, want %q", row.filter, found, row.want)
		}
	}
}
