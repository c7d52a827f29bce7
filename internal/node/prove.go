package node

import (
	"context"
	"fmt"
	"net"
	"time"

	"kozo"
	"kozo/internal/link"
	"kozo/internal/secure"
	"kozo/internal/system"
)

// remotes are the transports of all nodes but one.
func remotes(s *system.System, self *system.Node) []kozo.Remote {
	var all []kozo.Remote
	for _, n := range s.Nodes {
		for _, t := range n.Transports {
			if n != self && t.Known {
				all = append(all, t.Remote(n.Name))
			}
		}
	}
	return all
}

// dial connects to a peer, and proves that it is at the other end. answered is
// called in between.
func (p *port) dial(ctx context.Context, to kozo.Remote, endpoint string, cfg *secure.Config, answered func()) (*secure.Conn, error) {
	t := p.transport.Transport
	var raw net.Conn
	var err error
	if s, ok := t.(kozo.Seeker); ok {
		raw, err = s.Seek(ctx, p.env, to, endpoint)
	} else {
		raw, err = t.Dial(ctx, p.env, endpoint)
	}
	if err != nil {
		return nil, err
	}
	answered()
	s, ok := t.(kozo.Secured)
	if !ok {
		return secure.Client(ctx, raw, to.Node, cfg)
	}
	conn, name, err := s.Secure(ctx, p.env, raw, &to)
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("handshake with %s: %w", to.Node, err)
	}
	if name != to.Node {
		_ = conn.Close()
		return nil, fmt.Errorf("the node that answered at this address is %q, not %s", name, to.Node)
	}
	return secure.Proven(conn, name, true, cfg), nil
}

// admit finds out who has connected, and serves it if it is a peer.
func (p *port) admit(ctx context.Context, raw net.Conn) {
	begun := time.Now()
	leave := p.node.gate.Enter(raw)
	times := kozo.TimesOf(p.transport.Transport, "")
	cfg := p.node.secureWith(times)
	ctx, cancel := context.WithTimeout(ctx, cfg.HandshakeTimeout)
	c, err := p.identify(ctx, raw, cfg)
	cancel()
	leave()
	p.node.cfg.Stir()
	if err != nil {
		p.refuse(err)
		return
	}
	peer := p.node.peers[c.Peer()]
	peer.welcome(c)
	// The peer has dialled before it was accepted, and says hello only after it
	// was told that it has proven who it is.
	line := link.Line{Conn: c, Hello: times.Handshake, Begun: begun, Alive: time.Now()}
	// In a goroutine of its own: the stack of this one has grown with the
	// handshake, and the connection may last for months.
	p.node.conns.Go(func() {
		peer.accept(c, line)
		peer.leave(c)
	})
}

// identify finds out who has connected.
func (p *port) identify(ctx context.Context, raw net.Conn, cfg *secure.Config) (*secure.Conn, error) {
	s, ok := p.transport.Transport.(kozo.Secured)
	if !ok {
		return secure.Server(ctx, raw, cfg)
	}
	from := address(raw)
	conn, name, err := s.Secure(ctx, p.env, raw, nil)
	switch {
	case err != nil:
		_ = raw.Close()
		return nil, fmt.Errorf("handshake with %s: %w", from, err)
	case p.node.peers[name] != nil:
		return secure.Proven(conn, name, false, cfg), nil
	}
	_ = conn.Close()
	stranger := &secure.Stranger{Address: from, Name: kozo.Printable(string(name[:min(len(name), kozo.MaxName)])), Reason: "no node of the system has this name"}
	if name == p.node.cfg.Self {
		stranger.Reason = "it has the name of this node itself"
	}
	return nil, stranger
}

func address(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil {
		return a.String()
	}
	return "unknown"
}
