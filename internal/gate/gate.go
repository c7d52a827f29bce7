// Package gate bounds the connections that have not said yet who they are, so
// that strangers cannot use up the memory of a node, nor keep its peers out.
//
// When there are too many, the oldest ones are closed, and not the new ones
// turned away: a peer needs a fraction of a second to prove who it is, while
// those who only hold a place grow old in it.
package gate

import (
	"container/list"
	"net"
	"sync"
)

// Gate holds the connections that are being authenticated. It is safe for
// concurrent use.
type Gate struct {
	total      int
	perAddress int

	mu      sync.Mutex
	waiting *list.List // of *guest, oldest first
	from    map[string]int
	evicted uint64
}

type guest struct {
	conn    net.Conn
	address string
	place   *list.Element // nil once it has left
}

// New makes a gate that holds at most total connections, and at most perAddress
// from one address.
func New(total, perAddress int) *Gate {
	return &Gate{total: total, perAddress: perAddress, waiting: list.New(), from: map[string]int{}}
}

// Enter admits a connection, and closes older ones if there are too many. The
// returned function must be called when it has been authenticated or has failed.
func (g *Gate) Enter(conn net.Conn) (leave func()) {
	n := &guest{conn: conn, address: host(conn)}
	g.mu.Lock()
	var out *guest
	if g.from[n.address] >= g.perAddress {
		out = g.oldest(n.address)
	} else if g.waiting.Len() >= g.total {
		out = g.oldest("")
	}
	if out != nil {
		g.remove(out)
		g.evicted++
	}
	n.place = g.waiting.PushBack(n)
	g.from[n.address]++
	g.mu.Unlock()
	if out != nil {
		_ = out.conn.Close()
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.remove(n)
	}
}

// oldest returns the connection that has waited longest, of all or of one
// address.
func (g *Gate) oldest(address string) *guest {
	for e := g.waiting.Front(); e != nil; e = e.Next() {
		if n := e.Value.(*guest); address == "" || n.address == address {
			return n
		}
	}
	return nil
}

func (g *Gate) remove(n *guest) {
	if n.place == nil {
		return
	}
	g.waiting.Remove(n.place)
	n.place = nil
	if g.from[n.address]--; g.from[n.address] == 0 {
		delete(g.from, n.address)
	}
}

// Waiting returns how many connections are being authenticated, and how many
// were closed so far to make room.
func (g *Gate) Waiting() (now int, evicted uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting.Len(), g.evicted
}

// host returns where a connection comes from. One that was reset before it was
// accepted has no address on some systems.
func host(conn net.Conn) string {
	address := conn.RemoteAddr()
	if address == nil {
		return "unknown"
	}
	if h, _, err := net.SplitHostPort(address.String()); err == nil {
		return h
	}
	return address.String()
}
