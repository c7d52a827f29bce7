package memnet

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
)

const defaultBacklog = 128

type listener struct {
	host    *Host
	addr    netip.AddrPort
	pending chan *Conn
	closed  chan struct{}
	once    sync.Once
}

// Listen accepts connections at IP:PORT, at :PORT on all addresses of the host,
// those that it gets later included. Port 0 chooses one.
func (h *Host) Listen(address string) (net.Listener, error) { return h.listen(address, 0) }

func (h *Host) listen(address string, backlog int) (net.Listener, error) {
	fail := func(err error) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: textAddr(address), Err: err}
	}
	if len(address) > 0 && address[0] == ':' {
		address = "0.0.0.0" + address
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(err)
	}
	if backlog <= 0 {
		backlog = defaultBacklog
	}
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if ip := at.Addr(); !ip.IsUnspecified() && !ip.IsLoopback() && n.owners[ip] != h {
		return fail(syscall.EADDRNOTAVAIL)
	}
	if at.Port() == 0 {
		at = netip.AddrPortFrom(at.Addr(), n.port())
	}
	for _, l := range h.listeners {
		if l.addr.Port() == at.Port() && (l.addr.Addr() == at.Addr() ||
			l.addr.Addr().IsUnspecified() || at.Addr().IsUnspecified()) {
			return fail(syscall.EADDRINUSE)
		}
	}
	l := &listener{
		host: h, addr: at, pending: make(chan *Conn, backlog), closed: make(chan struct{}),
	}
	h.listeners = append(h.listeners, l)
	return l, nil
}

// listener finds who listens for connections to an address of the host.
func (h *Host) listener(to netip.AddrPort) *listener {
	for _, l := range h.listeners {
		if l.addr.Port() == to.Port() && (l.addr.Addr() == to.Addr() || l.addr.Addr().IsUnspecified()) {
			return l
		}
	}
	return nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
	default:
		select {
		case c := <-l.pending:
			n := l.host.network
			n.mu.Lock()
			n.wake() // there is room in the backlog
			n.mu.Unlock()
			return c, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

// Close resets the connections that nobody has accepted yet.
func (l *listener) Close() error {
	err := error(&net.OpError{Op: "close", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed})
	l.once.Do(func() {
		err = nil
		n := l.host.network
		n.mu.Lock()
		l.host.listeners = slices.DeleteFunc(l.host.listeners, func(o *listener) bool { return o == l })
		close(l.closed)
		var orphans []*Conn
		for len(l.pending) > 0 {
			select {
			case c := <-l.pending:
				orphans = append(orphans, c)
			default: // an Accept was faster
			}
		}
		n.wake()
		n.mu.Unlock()
		for _, c := range orphans {
			c.Reset()
			_ = c.Close()
		}
	})
	return err
}
