package memnet

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"kozo"
)

// Network is a set of hosts that reach each other. It is safe for concurrent
// use. In a synctest bubble it must be made inside the bubble.
type Network struct {
	mu       sync.Mutex
	hosts    int
	owners   map[netip.Addr]*Host
	names    map[string][]netip.Addr
	paths    map[path]Conditions
	pairs    []*route
	lastPort uint16
	changed  chan struct{} // closed and replaced when a dial may go on
}

// path is a direction between two hosts.
type path struct{ from, to *Host }

// route is a connection and the hosts of its ends. A host can be both.
type route struct {
	conn  *Conn // the dialling end
	hosts [2]*Host
	addrs [2]netip.Addr
}

// Host is a machine with a name, addresses and listeners.
type Host struct {
	Name      string
	network   *Network
	addrs     []netip.Addr // guarded by the network
	listeners []*listener  // guarded by the network
}

// New returns an empty network.
func New() *Network {
	return &Network{
		owners: map[netip.Addr]*Host{}, names: map[string][]netip.Addr{},
		paths: map[path]Conditions{}, changed: make(chan struct{}),
	}
}

// Host adds a host with some addresses, or with one that the network chooses
// from 10.0.0.0/8. Its name resolves to them. It panics if an address is none, or is taken.
func (n *Network) Host(name string, addrs ...string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts++
	if len(addrs) == 0 {
		addrs = []string{fmt.Sprintf("10.0.%d.%d", n.hosts/250, n.hosts%250+1)}
	}
	h := &Host{Name: name, network: n}
	for _, a := range addrs {
		addr := netip.MustParseAddr(a)
		if n.owners[addr] != nil {
			panic("memnet: the address " + a + " is taken")
		}
		n.owners[addr] = h
		h.addrs = append(h.addrs, addr)
	}
	n.names[key(name)] = slices.Clone(h.addrs)
	return h
}

// SetName makes a name resolve to these addresses from now on; to none, if there
// are none.
func (n *Network) SetName(name string, addrs ...netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[key(name)] = addrs
}

func key(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Move gives an address to another host. No more bytes arrive, in any direction,
// on connections that use the address: nobody tells the ends.
func (n *Network) Move(addr netip.Addr, to *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if from := n.owners[addr]; from != nil {
		from.addrs = slices.DeleteFunc(from.addrs, func(a netip.Addr) bool { return a == addr })
	}
	n.owners[addr] = to
	to.addrs = append(to.addrs, addr)
	for _, r := range n.pairs {
		if slices.Contains(r.addrs[:], addr) {
			r.conn.BlackHole()
			r.conn.Other().BlackHole()
		}
	}
	n.wake()
}

// Shape sets how everything travels from one host to another from now on, on
// the connections that there are and on those to come; it replaces what was set
// for a connection alone. While one direction is frozen, dialling waits.
func (n *Network) Shape(from, to *Host, with Conditions) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paths[path{from, to}] = with
	n.reshape()
}

// reshape makes the conditions of the paths those of the connections.
func (n *Network) reshape() {
	for _, r := range n.pairs {
		n.apply(r)
	}
	n.wake()
}

// apply gives a connection the conditions of its paths.
func (n *Network) apply(r *route) {
	r.conn.Shape(n.paths[path{r.hosts[0], r.hosts[1]}])
	r.conn.Other().Shape(n.paths[path{r.hosts[1], r.hosts[0]}])
}

// Partition lets nothing pass between two hosts, in any direction, until Heal.
// Connections do not break by it: what was written arrives after Heal.
func (n *Network) Partition(a, b *Host) { n.freeze(a, b, true) }

// Heal ends a partition.
func (n *Network) Heal(a, b *Host) { n.freeze(a, b, false) }

func (n *Network) freeze(a, b *Host, frozen bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range []path{{a, b}, {b, a}} {
		with := n.paths[p]
		with.Frozen = frozen
		n.paths[p] = with
	}
	n.reshape()
}

// Conns returns the dialling ends of the connections that neither end has
// closed, the oldest first.
func (n *Network) Conns() []*Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	var conns []*Conn
	for _, r := range n.pairs {
		if r.conn.pair.open() {
			conns = append(conns, r.conn)
		}
	}
	return conns
}

func (n *Network) forget(p *pair) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pairs = slices.DeleteFunc(n.pairs, func(r *route) bool { return r.conn.pair == p })
}

// port chooses a port.
func (n *Network) port() uint16 {
	n.lastPort = max(n.lastPort+1, 32768)
	return n.lastPort
}

// wake lets dials look again.
func (n *Network) wake() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// Addr returns the first address of the host.
func (h *Host) Addr() netip.Addr {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	if len(h.addrs) == 0 {
		return netip.Addr{}
	}
	return h.addrs[0]
}

// Env returns what a transport of this host is given.
func (h *Host) Env() *kozo.TransportEnv {
	return &kozo.TransportEnv{
		Node:    kozo.NodeName(h.Name),
		Resolve: h.network.resolve,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if err := checkNetwork("dial", network); err != nil {
				return nil, err
			}
			return h.Dial(ctx, address)
		},
		Listen: func(_ context.Context, network, address string, backlog int) (net.Listener, error) {
			if err := checkNetwork("listen", network); err != nil {
				return nil, err
			}
			return h.listen(address, backlog)
		},
		Log: slog.New(slog.DiscardHandler),
	}
}

func checkNetwork(op, network string) error {
	if network == "tcp" || network == "tcp4" || network == "tcp6" {
		return nil
	}
	return &net.OpError{Op: op, Net: network, Err: net.UnknownNetworkError(network)}
}

func (n *Network) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	addrs := n.names[key(host)]
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return slices.Clone(addrs), nil
}

// Dial connects to a listener. The address is IP:PORT; names must be resolved
// before. It waits while nothing passes between the hosts, or while the
// listener's backlog is full, until ctx is done.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: textAddr(address), Err: err}
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(err)
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	n := h.network
	for traveled := false; ; {
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		n.mu.Lock()
		conn, trip, err := n.connect(h, to, traveled)
		changed := n.changed
		n.mu.Unlock()
		switch {
		case conn != nil:
			return conn, nil
		case err != nil:
			return fail(err)
		}
		var timer <-chan time.Time
		if trip > 0 {
			timer = time.After(trip)
		}
		select {
		case <-timer:
			traveled = true
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// connect makes a connection, or says why that is impossible, or returns
// neither: then one has to wait, for the round trip if it is not 0.
func (n *Network) connect(from *Host, to netip.AddrPort, traveled bool) (*Conn, time.Duration, error) {
	owner := n.owners[to.Addr()]
	if to.Addr().IsLoopback() {
		owner = from
	}
	if owner == nil {
		return nil, 0, syscall.EHOSTUNREACH
	}
	there, back := n.paths[path{from, owner}], n.paths[path{owner, from}]
	if there.Frozen || back.Frozen {
		return nil, 0, nil
	}
	if trip := there.Latency + back.Latency; trip > 0 && !traveled {
		return nil, trip, nil
	}
	l := owner.listener(to)
	switch {
	case l == nil:
		return nil, 0, syscall.ECONNREFUSED
	case len(l.pending) == cap(l.pending):
		return nil, 0, nil
	}
	source := from.source(to.Addr())
	a, b := newPair(
		net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, n.port())),
		net.TCPAddrFromAddrPort(to))
	a.network, b.network = n, n
	r := &route{conn: a, hosts: [2]*Host{from, owner}, addrs: [2]netip.Addr{source, to.Addr()}}
	n.apply(r)
	n.pairs = append(n.pairs, r)
	l.pending <- b
	return a, 0, nil
}

// source chooses the address from which a host dials.
func (h *Host) source(to netip.Addr) netip.Addr {
	if to.IsLoopback() {
		return to
	}
	for _, a := range h.addrs {
		if a.Is4() == to.Is4() {
			return a
		}
	}
	return netip.IPv4Unspecified()
}

type textAddr string

func (a textAddr) Network() string { return "tcp" }
func (a textAddr) String() string  { return string(a) }
