package node

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kozo"
	"kozo/internal/link"
	"kozo/internal/secure"
	"kozo/internal/status"
	"kozo/internal/system"
	"kozo/internal/turns"
	"kozo/internal/wire"
)

// peer is what a node has for another one: the link to it, what comes in from
// it, and the connections that it has dialled.
type peer struct {
	node    *Node
	config  *system.Node
	link    *link.Link
	inbound *link.Inbound
	refused string // why the peer may not send to this node; empty if it may
	log     *slog.Logger

	warnRefused sync.Once // it will come again and again

	turn atomic.Pointer[turns.Turn] // the latest that the link had to connect

	mu     sync.Mutex
	dialed []*secure.Conn // by the peer; the newest is last
	drift  []string
	lines  budget // for lines about drift
}

// dialedMost is how many connections one peer may have made at a time. It needs
// one, and a second one while it moves from one to the other.
const dialedMost = 4

// frameOverhead is more than what a frame adds to the body of a message.
const frameOverhead = 4 << 10

// helloMost is room for what is said about the configuration of a large network.
const helloMost = 4 << 20

func (n *Node) newPeer(other *system.Node) *peer {
	log := n.cfg.Log.With("peer", string(other.Name))
	p := &peer{node: n, config: other, log: log}
	edge := n.cfg.System.Edge(n.self, other)
	back := n.cfg.System.Edge(other, n.self)
	if back.Policy == kozo.Never {
		p.refused = back.Never
	}
	s := n.self.Settings
	maxFrame := max(n.cfg.System.MaxMessage()+frameOverhead, helloMost)
	program := "kozo " + n.cfg.Version
	p.link = link.New(link.Config{
		Peer: other.Name, Policy: edge.Policy, Never: edge.Never,
		Targets: p.targets(edge), Turn: p.takeTurn, Ride: p.ride,
		Since: n.since, Heartbeat: s.Heartbeat, Retry: s.ConnectionRetry,
		QueueLength: s.OutgoingQueueLength, QueueSize: int(s.OutgoingQueueSize), QueueAge: queueAge(s, edge),
		Boot: n.boot, Program: program, Digest: n.digest, Blocks: n.cfg.System.Digest, MaxFrame: maxFrame,
		OnInterest: p.setInterest, OnHello: p.hello, OnBlocks: p.compare, Log: log,
	})
	p.inbound = link.NewInbound(link.InboundConfig{
		Peer: other.Name, Since: n.since, Heartbeat: s.Heartbeat, Program: program, Boot: n.boot,
		Digest: n.digest, Blocks: n.cfg.System.Digest, MaxFrame: maxFrame,
		Interest: n.router.Interest, Deliver: p.deliver, OnHello: p.arrived, OnBlocks: p.compare, Log: log,
	})
	n.router.SetPeer(other.Name, p.link, expectedInterest(other))
	return p
}

// queueAge is how long messages wait for their link, by default for as long as it
// may take to connect: the message for which a link on demand comes up must still
// be there when it is.
func queueAge(s system.Settings, edge system.Edge) time.Duration {
	age := s.QueueAge()
	if s.OutgoingQueueAge == 0 {
		for _, t := range edge.Targets {
			age += kozo.TimesOf(t.Local.Transport, t.Endpoint).Dial
		}
	}
	return age
}

// expectedInterest is what the roles of a peer want according to the
// configuration, until the peer itself says it.
func expectedInterest(other *system.Node) []kozo.Filter {
	var filters []kozo.Filter
	for _, r := range other.Roles {
		filters = append(filters, r.Wants()...)
	}
	return filters
}

// targets makes the targets of a link from those of the configuration.
func (p *peer) targets(edge system.Edge) []link.Target {
	var targets []link.Target
	for _, t := range edge.Targets {
		port := p.node.portOf(t.Local)
		times := kozo.TimesOf(t.Local.Transport, t.Endpoint)
		cfg := p.node.secureWith(times)
		targets = append(targets, link.Target{
			Transport: t.Local.Name, Endpoint: t.Endpoint,
			Rank: int(kozo.Best - t.Priority), Timeout: cmp.Or(times.Dial, dialTimeout), Hello: times.Handshake,
			Dial: func(ctx context.Context, answered func()) (link.Conn, error) {
				begun := time.Now()
				conn, err := port.dial(ctx, t.Remote.Remote(p.config.Name), t.Endpoint, cfg, func() {
					p.answered()
					answered()
				})
				p.node.cfg.Stir()
				if err != nil {
					return nil, err
				}
				// The peer has answered, so it runs now, and did not end before
				// the dial began.
				line := link.Line{Conn: conn, Shared: true, Hello: times.Handshake, Begun: time.Now(), Alive: begun}
				p.node.conns.Go(func() { p.accept(conn, line) })
				return connOf(conn), nil
			},
		})
	}
	return targets
}

// A node connects to so many of its peers at a time. That keeps a small computer
// busy, and is over soon: if all of a large network began at once, each of the
// handshakes would take as long as all of them together, until most run out of
// time and begin again. Who does not answer leaves its turn to the next after a
// second; who does has time for the handshake.
const (
	turnsMost   = 8
	turnAsking  = time.Second
	turnProving = handshakeTimeout
)

// takeTurn waits until the link to the peer may try to connect.
func (p *peer) takeTurn(ctx context.Context) (done func(), err error) {
	turn, err := p.node.turns.Take(ctx, turnAsking)
	if err != nil {
		return nil, err
	}
	p.turn.Store(turn)
	return turn.End, nil
}

// answered notes that the peer is there, so that it is worth to wait for it.
func (p *peer) answered() {
	if turn := p.turn.Load(); turn != nil {
		turn.Extend(turnProving)
	}
}

func (n *Node) portOf(t *system.Transport) *port {
	i := slices.IndexFunc(n.ports, func(p *port) bool { return p.transport == t })
	return n.ports[i]
}

// connOf shows a link what it needs of a connection.
func connOf(c *secure.Conn) link.Conn { return conn{c} }

type conn struct{ *secure.Conn }

func (c conn) Open(ctx context.Context) (io.ReadWriteCloser, error) { return c.Conn.Open(ctx) }

// ride returns the newest connection that the peer has dialled, that lives, and
// that can carry what this node sends.
func (p *peer) ride() link.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range slices.Backward(p.dialed) {
		if c.Carries() && c.Err() == nil {
			return connOf(c)
		}
	}
	return nil
}

// welcome takes a connection that the peer has dialled, until leave.
func (p *peer) welcome(c *secure.Conn) {
	p.mu.Lock()
	p.dialed = append(p.dialed, c)
	var old *secure.Conn
	if len(p.dialed) > dialedMost {
		old = p.dialed[0]
		p.dialed = slices.Delete(p.dialed, 0, 1)
	}
	p.mu.Unlock()
	if old != nil {
		old.Close(link.ErrReplaced)
	}
}

func (p *peer) leave(c *secure.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dialed = slices.DeleteFunc(p.dialed, func(d *secure.Conn) bool { return d == c })
}

// accept serves the streams that the peer opens on a connection, until the
// connection ends. A peer that has dialled opens its first one at once. Of a
// connection that this node has dialled itself, a newer stream replaces only the
// stream: its own link is on the same connection.
func (p *peer) accept(c *secure.Conn, line link.Line) {
	came := func() {}
	if !line.Shared {
		limit := max(firstStream, line.Hello)
		late := time.AfterFunc(limit, func() {
			c.Close(fmt.Errorf("the peer connected and opened no stream within %v", limit))
		})
		came = func() { late.Stop() }
	}
	_ = c.Serve(p.node.life, func(s *secure.Stream) { // whoever uses a stream is told the reason
		came()
		p.serve(s, line)
	})
	came()
}

// serve works off one stream of the peer.
func (p *peer) serve(s *secure.Stream, line link.Line) {
	if p.refused != "" {
		_, _ = s.Write(wire.AppendBye(nil, p.refused))
		_ = s.Close()
		p.warnRefused.Do(func() {
			p.log.Warn("refused what the peer wants to send", "reason", p.refused)
		})
		return
	}
	err := p.inbound.Serve(p.node.receiving, s, line)
	p.log.Debug("stream of the peer ended", "reason", err)
}

// deliver gives messages of one role of the peer to the roles of this node.
func (p *peer) deliver(messages ...kozo.Message) bool {
	from := messages[0].From.Role
	if from != kozo.NodeRole && p.config.Role(from) == nil {
		return false
	}
	return p.node.router.Deliver(messages...)
}

func (p *peer) setInterest(filters []kozo.Filter) {
	p.node.router.SetPeer(p.config.Name, p.link, filters)
}

// arrived notes that the peer has opened a stream to this node. It is there, so
// that there is no need to wait any longer before dialling it. To have shown its
// key would not be enough: two nodes that refuse each other would dial back and
// forth for ever.
func (p *peer) arrived(h *wire.Hello) {
	p.hello(h)
	p.link.Arrived(h.Boot)
}

// driftMost is how many blocks that differ are named: enough to find the cause,
// whatever the peer says.
const driftMost = 16

// unnamed stands for the blocks that differ until the peer has said which.
const unnamed = "(not named yet)"

// hello notes whether the peer has the configuration of this node.
func (p *peer) hello(h *wire.Hello) {
	if h.Digest == p.node.digest {
		p.setDrift(nil)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.drift) == 0 {
		p.drift = []string{unnamed}
	}
}

// compare finds out in which blocks the configuration of the peer differs.
func (p *peer) compare(theirs map[string]string) {
	var drift []string
	ours := p.node.cfg.System.Digest
	for block, digest := range ours {
		if theirs[block] != digest {
			drift = append(drift, block)
		}
	}
	for block := range maps.Keys(theirs) {
		if _, ok := ours[block]; !ok {
			drift = append(drift, block)
		}
	}
	slices.Sort(drift)
	if len(drift) > driftMost {
		drift = append(drift[:driftMost:driftMost], fmt.Sprintf("and %d more", len(drift)-driftMost))
	}
	p.setDrift(drift)
}

func (p *peer) setDrift(drift []string) {
	p.mu.Lock()
	say := !slices.Equal(p.drift, drift) && p.lines.spend(time.Now())
	p.drift = drift
	p.mu.Unlock()
	switch {
	case say && len(drift) > 0:
		p.log.Warn("the peer has another configuration", "blocks", drift)
	case say:
		p.log.Info("the peer has the same configuration again")
	}
}

// hangUp closes the connections that the peer has dialled.
func (p *peer) hangUp(reason error) {
	p.mu.Lock()
	dialed := slices.Clone(p.dialed)
	p.mu.Unlock()
	for _, c := range dialed {
		c.Close(reason)
	}
}

func (p *peer) status() status.Link {
	var s status.Link
	p.link.Fill(&s)
	p.inbound.Fill(&s.In)
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Drift = slices.Clone(p.drift)
	return s
}
