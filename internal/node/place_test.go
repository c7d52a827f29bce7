package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"kozo"
	"kozo/internal/hostnet"
	"kozo/internal/memnet"
	"kozo/internal/resolve"
)

// place is where the nodes of a world live: a network in memory, or the sockets
// of this machine.
type place interface {
	// transport returns the lines of the transport block of a node.
	transport(s spec) string
	env(name string, log *slog.Logger) *kozo.TransportEnv
	// cut ends every connection between two nodes.
	cut(a, b string)
}

// eachPlace runs a test over memory, in a synctest bubble, and over sockets.
func eachPlace(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { test(t, newMemory()) })
	})
	t.Run("sockets", func(t *testing.T) {
		t.Parallel()
		test(t, newSockets(t))
	})
}

// inMemory runs a test over memory only: one that needs hours, or faults that
// sockets do not have.
func inMemory(t *testing.T, test func(t *testing.T, m *memory)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newMemory()) })
}

// memory is a place in memory, whose time is that of a synctest bubble.
type memory struct {
	net   *memnet.Network
	hosts map[string]*memnet.Host
	dials atomic.Int64
}

func newMemory() *memory { return &memory{net: memnet.New(), hosts: map[string]*memnet.Host{}} }

func (m *memory) host(name string) *memnet.Host {
	if m.hosts[name] == nil {
		m.hosts[name] = m.net.Host(name + ".test")
	}
	return m.hosts[name]
}

func (m *memory) transport(s spec) string {
	m.host(s.name)
	if s.mute {
		return "address: []"
	}
	return "address: " + s.name + ".test"
}

func (m *memory) env(name string, log *slog.Logger) *kozo.TransportEnv {
	env := m.host(name).Env()
	env.Log = log
	dial := env.Dial
	env.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		m.dials.Add(1)
		return dial(ctx, network, address)
	}
	return env
}

func (m *memory) cut(a, b string) {
	for _, c := range m.between(a, b) {
		c.Reset()
	}
}

// between returns the connections that a has dialled to b and b to a.
func (m *memory) between(a, b string) []*memnet.Conn {
	var found []*memnet.Conn
	x, y := m.host(a).Addr().String(), m.host(b).Addr().String()
	for _, c := range m.net.Conns() {
		from, _, _ := net.SplitHostPort(c.LocalAddr().String())
		to, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		if from == x && to == y || from == y && to == x {
			found = append(found, c)
		}
	}
	return found
}

// sockets is a place on the loopback interface. Every connection goes through a
// relay that a test can cut.
type sockets struct {
	t       testing.TB
	resolve *resolve.Resolver
	direct  bool // without relays

	mu     sync.Mutex
	relays map[string]*relay
}

func newSockets(t testing.TB) *sockets {
	return &sockets{t: t, resolve: resolve.New(), relays: map[string]*relay{}}
}

func (s *sockets) transport(n spec) string {
	if n.mute {
		return "address: []"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.relays[n.name]
	if r == nil {
		r = newRelay(s.t)
		s.relays[n.name] = r
	}
	_, port, _ := net.SplitHostPort(r.behind)
	if s.direct {
		return fmt.Sprintf("address: %q, bindAddress: 127.0.0.1, port: %s", r.behind, port)
	}
	return fmt.Sprintf("address: %q, bindAddress: 127.0.0.1, port: %s", r.front.Addr(), port)
}

func (s *sockets) env(name string, log *slog.Logger) *kozo.TransportEnv {
	return hostnet.Env(kozo.NodeName(name), s.resolve, log)
}

// cut cannot tell who dialled: it cuts all connections to both nodes.
func (s *sockets) cut(a, b string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range []string{a, b} {
		if r := s.relays[name]; r != nil {
			r.cut()
		}
	}
}
