package system

import (
	"context"
	"net"
	"strings"
	"testing"

	"kozo"
)

// sealed is a transport that brings its own encryption.
type sealed struct{ wire }

func (sealed) Secure(context.Context, *kozo.TransportEnv, net.Conn, *kozo.Remote) (net.Conn, kozo.NodeName, error) {
	return nil, "", nil
}

// picky is a transport that looks at whom it dials.
type picky struct{ wire }

func (picky) CanSeek(r kozo.Remote) bool { return r.Node == "bob" && r.Values["open"] == true }

func (picky) Seek(context.Context, *kozo.TransportEnv, kozo.Remote, string) (net.Conn, error) {
	return nil, nil
}

func TestOwnEncryptionIsForBothSidesOrNone(t *testing.T) {
	plain := wire{endpoints: []string{"x"}}
	for _, ends := range [][2]kozo.Transport{{plain, sealed{plain}}, {sealed{plain}, plain}} {
		s, alice, bob := pair([]*Transport{transport("l", "same", ends[0])}, []*Transport{transport("r", "same", ends[1])})
		if e := s.Edge(alice, bob); len(e.Targets) > 0 || e.Never == "" {
			t.Errorf("%T to %T: %+v", ends[0], ends[1], e)
		}
	}
}

func TestConnectionsWithOwnEncryptionCarryOneLink(t *testing.T) {
	mute, open := sealed{}, sealed{wire{endpoints: []string{"x"}}}
	s, alice, bob := pair([]*Transport{transport("l", "sealed", open)}, []*Transport{transport("r", "sealed", mute)})
	if e := s.Edge(bob, alice); len(e.Targets) != 1 {
		t.Errorf("bob dials alice: %+v", e)
	}
	if e := s.Edge(alice, bob); e.Rides || !strings.Contains(e.Never, "brings its own encryption") {
		t.Errorf("alice cannot dial bob: %+v", e)
	}
	// Any other transport carries both.
	alice.Transports = append(alice.Transports, transport("t", "tcp", wire{endpoints: []string{"y"}}))
	bob.Transports = append(bob.Transports, transport("t", "tcp", wire{}))
	if e := s.Edge(alice, bob); !e.Rides {
		t.Errorf("alice rides on the other transport: %+v", e)
	}
}

func TestTransportThatLooksAtWhomItDials(t *testing.T) {
	open := transport("r", "other", wire{endpoints: []string{"x"}})
	s, alice, bob := pair([]*Transport{transport("l", "picky", picky{})}, []*Transport{open})
	if e := s.Edge(alice, bob); len(e.Targets) > 0 {
		t.Errorf("it dials what it does not want: %+v", e)
	}
	open.Values = kozo.Values{"open": true}
	if e := s.Edge(alice, bob); len(e.Targets) != 1 {
		t.Errorf("it does not dial what it wants: %+v", e)
	}
}
