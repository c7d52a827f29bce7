package gate

import (
	"net"
	"testing"
)

// conn is a connection of which only the address and the end matter.
type conn struct {
	net.Conn
	address string
	closed  bool
}

func (c *conn) RemoteAddr() net.Addr { return address(c.address) }
func (c *conn) Close() error         { c.closed = true; return nil }

type address string

func (a address) Network() string { return "tcp" }
func (a address) String() string  { return string(a) }

func TestNewcomersPushOutWhoHasWaitedLongest(t *testing.T) {
	g := New(3, 3)
	conns := make([]*conn, 5)
	for i := range conns {
		conns[i] = &conn{address: "10.0.0.1:1"}
		g.Enter(conns[i])
	}
	for i, c := range conns {
		if want := i < 2; c.closed != want {
			t.Errorf("connection %d closed: %v", i, c.closed)
		}
	}
	if now, evicted := g.Waiting(); now != 3 || evicted != 2 {
		t.Errorf("%d waiting, %d evicted", now, evicted)
	}
}

func TestOneAddressCannotTakeThePlacesOfOthers(t *testing.T) {
	g := New(10, 2)
	peer := &conn{address: "[fe80::1]:9"}
	g.Enter(peer)
	for range 100 {
		g.Enter(&conn{address: "10.0.0.1:1"})
	}
	if peer.closed {
		t.Error("the peer was pushed out by another address")
	}
	if now, _ := g.Waiting(); now != 3 {
		t.Errorf("%d waiting", now)
	}
}

func TestConnectionsWithoutAnAddressCountAsOfOne(t *testing.T) {
	g := New(10, 2)
	peer := &conn{address: "10.0.0.1:1"}
	g.Enter(peer)
	for range 100 {
		g.Enter(nameless{})
	}
	if now, _ := g.Waiting(); now != 3 || peer.closed {
		t.Errorf("%d waiting, the peer pushed out: %v", now, peer.closed)
	}
}

type nameless struct{ net.Conn }

func (nameless) RemoteAddr() net.Addr { return nil }
func (nameless) Close() error         { return nil }

func TestLeavingMakesRoom(t *testing.T) {
	g := New(1, 1)
	a, b := &conn{address: "10.0.0.1:1"}, &conn{address: "10.0.0.1:2"}
	leave := g.Enter(a)
	leave()
	leave() // twice does no harm
	g.Enter(b)
	if a.closed || b.closed {
		t.Error("a connection was closed though there was room")
	}
	if now, evicted := g.Waiting(); now != 1 || evicted != 0 {
		t.Errorf("%d waiting, %d evicted", now, evicted)
	}
}
