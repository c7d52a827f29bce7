// Package node puts a node together: its listeners, its links, the router and
// its roles, under one Run. It only wires; everything that it wires can be
// understood, and is tested, without it.
package node

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"kozo"
	"kozo/internal/gate"
	"kozo/internal/link"
	"kozo/internal/rolehost"
	"kozo/internal/router"
	"kozo/internal/secure"
	"kozo/internal/status"
	"kozo/internal/storage"
	"kozo/internal/system"
	"kozo/internal/turns"
	"kozo/internal/wire"
)

// Config is what a node is made of.
type Config struct {
	System     *system.System
	Self       kozo.NodeName
	Key        *secure.Key
	Version    string // of the program, for people
	ConfigPath string // for people
	Out        io.Writer
	Log        *slog.Logger
	LogLevel   *slog.LevelVar // of Log, for roles that inspect the node

	// Helper makes the command that runs the helper of a type of role.
	Helper func(ctx context.Context, roleType string) *exec.Cmd

	// Stir is called after each handshake, which needs much memory for a moment.
	// It does not block, and can be nil.
	Stir func()

	// Net makes the way to the outside that a transport is given. It is called
	// once for each transport of the node, with the transport's log.
	Net func(*slog.Logger) *kozo.TransportEnv
}

// Limits of time. The first three are longer for transports that say so.
const (
	handshakeTimeout = 10 * time.Second       // to prove who one is
	dialTimeout      = 10 * time.Second       // for one endpoint, the handshake included
	firstStream      = 15 * time.Second       // until a peer that has connected opens a stream
	rolesTimeout     = 900 * time.Millisecond // for the roles to return when the node stops
	flushTimeout     = 500 * time.Millisecond // for their last messages to arrive
)

// Node runs one node of a system.
type Node struct {
	cfg    Config
	self   *system.Node
	boot   wire.Boot
	digest wire.Digest // of the configuration
	since  time.Time
	router *router.Router
	roles  []*rolehost.Host
	peers  map[kozo.NodeName]*peer
	order  []*peer // in the order of the file
	secure *secure.Config
	gate   *gate.Gate
	ports  []*port
	voice  *rolehost.Sender // the node's own, as the role kozo
	knocks knocks
	turns  *turns.Turns // to connect to peers

	ready   chan struct{}
	pending sync.WaitGroup // transports that have not tried to listen yet

	// The node stops in steps: the roles, what comes in, all the rest.
	receiving, life        context.Context
	stopReceiving, stopAll context.CancelFunc
	conns                  sync.WaitGroup // goroutines that end with their connection
}

// New makes a node of the system. It opens nothing and starts nothing. The
// error is about the configuration or the key.
func New(cfg Config) (*Node, error) {
	self := cfg.System.Node(cfg.Self)
	if self == nil {
		return nil, fmt.Errorf("there is no node %q in the configuration", cfg.Self)
	}
	n := &Node{
		cfg: cfg, self: self, since: time.Now(),
		router: router.New(wire.AppendHead),
		peers:  map[kozo.NodeName]*peer{},
		ready:  make(chan struct{}),
		digest: wire.DigestOf(cfg.System.Digest),
		turns:  turns.New(turnsMost),
	}
	if n.cfg.Stir == nil {
		n.cfg.Stir = func() {}
	}
	_, _ = rand.Read(n.boot[:]) // never fails
	n.life, n.stopAll = context.WithCancel(context.Background())
	n.receiving, n.stopReceiving = context.WithCancel(n.life)
	if err := n.prepareKeys(); err != nil {
		return nil, err
	}
	// Every peer may dial at the same moment, from behind one address.
	room := max(128, 2*len(cfg.System.Nodes))
	n.gate = gate.New(room, room/2)
	n.voice = &rolehost.Sender{
		From: kozo.RoleRef{Node: cfg.Self, Role: kozo.NodeRole}, Out: n.router.Outlet().Send,
	}
	for _, t := range self.Transports {
		log := cfg.Log.With("transport", t.Name)
		env := cfg.Net(log)
		Equip(env, cfg.System, self, t)
		n.ports = append(n.ports, &port{node: n, transport: t, env: env, log: log})
	}
	for _, other := range cfg.System.Nodes {
		if other != self {
			p := n.newPeer(other)
			n.peers[other.Name] = p
			n.order = append(n.order, p)
		}
	}
	return n, n.makeRoles()
}

// prepareKeys checks that the private key is the node's, and collects the public
// ones.
func (n *Node) prepareKeys() error {
	keys := map[kozo.NodeName]secure.PublicKey{}
	names := map[secure.PublicKey]kozo.NodeName{}
	slowest := map[kozo.NodeName]time.Duration{}
	for _, other := range n.cfg.System.Nodes {
		key, err := secure.ParsePublicKey(other.PublicKey)
		if err != nil {
			return fmt.Errorf("publicKey of node %s: %w", other.Name, err)
		}
		keys[other.Name], names[key] = key, other.Name
		slowest[other.Name] = max(other.Settings.Heartbeat, n.self.Settings.Heartbeat)
	}
	if err := checkKey(n.self, n.cfg.Key); err != nil {
		return err
	}
	s := n.self.Settings
	n.secure = &secure.Config{
		Self: n.cfg.Self, Key: n.cfg.Key,
		Peer: func(name kozo.NodeName) (secure.PublicKey, bool) {
			key, ok := keys[name]
			return key, ok && name != n.cfg.Self
		},
		NameOf: func(key secure.PublicKey) (kozo.NodeName, bool) {
			name, ok := names[key]
			return name, ok
		},
		Ciphers: s.Cipher, MACs: s.HMAC,
		HandshakeTimeout: handshakeTimeout,
		IdleTimeout:      func(name kozo.NodeName) time.Duration { return link.Lifetime(slowest[name]) },
		ReadSize:         int(s.MaxBufferReadSize),
		Watch:            secure.NewWatch(n.since, s.Heartbeat),
	}
	return nil
}

// Equip completes what a transport is given to work with by what the system has
// for it: the transports of the other nodes, and a place to store a value.
func Equip(env *kozo.TransportEnv, sys *system.System, self *system.Node, t *system.Transport) {
	env.Node, env.Peers = self.Name, remotes(sys, self)
	env.Storage = storage.None()
	if self.RoleStorage != "" {
		env.Storage = storage.Open(self.RoleStorage).Transport(t.Name)
	}
}

// secureWith is how to speak to peers over connections with these limits of time.
func (n *Node) secureWith(t kozo.Times) *secure.Config {
	cfg := *n.secure
	if t.Handshake > 0 {
		cfg.HandshakeTimeout = t.Handshake
	}
	if idle := cfg.IdleTimeout; t.Silence > 0 {
		cfg.IdleTimeout = func(name kozo.NodeName) time.Duration { return max(idle(name), t.Silence) }
	}
	return &cfg
}

// checkKey says whether a private key is that of a node of the configuration.
func checkKey(n *system.Node, key *secure.Key) error {
	want, err := secure.ParsePublicKey(n.PublicKey)
	if err != nil {
		return fmt.Errorf("publicKey of node %s: %w", n.Name, err)
	}
	if key.Public() != want {
		return fmt.Errorf("the private key %s does not belong to the publicKey of node %s: its public half is %s",
			n.PrivateKey, n.Name, key.Public().Line())
	}
	return nil
}

// makeRoles makes the roles of the node.
func (n *Node) makeRoles() error {
	out := &wholeWrites{to: n.cfg.Out}
	for _, r := range n.self.Roles {
		store := storage.None()
		if n.self.RoleStorage != "" {
			store = storage.Open(n.self.RoleStorage).Role(r.Name)
		}
		var host *rolehost.Host
		host, err := rolehost.New(rolehost.Config{
			Ref:  kozo.RoleRef{Node: n.cfg.Self, Role: r.Name},
			Type: r.Type, New: r.New,
			Configured: r.Limits,
			Default:    kozo.Limits{Length: system.DefaultInboxLength, Size: system.DefaultInboxSize},
			Size:       router.Size,
			Storage:    store, Out: out,
			Log:     n.cfg.Log.With("role", string(r.Name)),
			Send:    n.router.Outlet().Send,
			Inspect: n.inspect(r),
			SetInterest: func(filters []kozo.Filter) {
				n.router.SetLocal(r.Name, host, filters)
				for _, p := range n.order {
					p.inbound.Refresh()
				}
			},
		})
		if err != nil {
			return fmt.Errorf("role %s: %w", r.Name, err)
		}
		n.roles = append(n.roles, host)
	}
	return nil
}

// Run runs the node until ctx is done. It returns an error only if the node
// could not stop as it should.
func (n *Node) Run(ctx context.Context) error {
	defer n.stopAll()
	for i, r := range n.self.Roles {
		n.router.SetLocal(r.Name, n.roles[i], r.Interest) // before any peer asks
	}
	var parts, roles sync.WaitGroup
	n.pending.Add(len(n.ports))
	for _, p := range n.ports {
		parts.Go(func() { p.run(n.life) })
	}
	for _, p := range n.afterSelf() {
		parts.Go(func() { _ = p.link.Run(n.life) })
	}
	for _, host := range n.roles {
		roles.Go(func() { _ = host.Run(ctx) })
	}
	parts.Go(func() {
		n.pending.Wait()
		close(n.ready)
	})

	<-ctx.Done()
	// The roles have stopped, or should have. Their last words still find the
	// links up; then the peers are told how far everything has arrived.
	stuck := !within(rolesTimeout, roles.Wait)
	n.flush()
	n.stopReceiving()
	n.hangUp()
	n.stopAll()
	parts.Wait()
	n.conns.Wait()
	if stuck {
		return fmt.Errorf("the node stopped, but these roles did not: %v", n.unfinished())
	}
	return nil
}

// afterSelf returns the peers in an order that begins after this node in the file:
// of nodes that start together, all would connect to the first one first if they
// kept to that of the file.
func (n *Node) afterSelf() []*peer {
	i := slices.Index(n.cfg.System.Nodes, n.self)
	return slices.Concat(n.order[i:], n.order[:i])
}

// hangUp lets the peers read the goodbye before the connections are closed.
func (n *Node) hangUp() {
	var peers sync.WaitGroup
	for _, p := range n.order {
		peers.Go(func() {
			p.inbound.Wait()
			p.hangUp(link.ErrStopped)
		})
	}
	peers.Wait()
}

// within says whether f returned in time. If not, its goroutine stays behind
// until it does.
func within(limit time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// flush gives the last messages a moment to arrive.
func (n *Node) flush() {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	var links sync.WaitGroup
	for _, p := range n.order {
		links.Go(func() { p.link.Flush(ctx) })
	}
	links.Wait()
}

func (n *Node) unfinished() []string {
	var names []string
	for _, r := range n.roles {
		if s := r.Status(); s.State == "running" {
			names = append(names, s.Name)
		}
	}
	return names
}

// Ready is closed when the node runs and every transport has begun to listen, or
// has failed to and will try again.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Send sends a message as the node itself, and returns the nodes with roles that
// want it, in order. The error says that it is not a message.
func (n *Node) Send(m kozo.Message) ([]kozo.NodeName, error) {
	if err := n.voice.Send(m); err != nil {
		return nil, err
	}
	m.From = n.voice.From
	local, peers := n.router.Wanted(&m)
	if local {
		peers = append(peers, n.cfg.Self)
		slices.Sort(peers)
	}
	return peers, nil
}

// Reopen tells the roles to close their files and open them again.
func (n *Node) Reopen() {
	for _, r := range n.roles {
		r.Reopen()
	}
}

// Status returns a snapshot of the node.
func (n *Node) Status() status.Node {
	s := status.Node{
		Name: string(n.cfg.Self), Version: n.cfg.Version, PID: os.Getpid(),
		Since: n.since, Now: time.Now(), Config: n.cfg.ConfigPath,
		Strangers: n.knocks.list(),
	}
	for _, p := range n.order {
		s.Links = append(s.Links, p.status())
	}
	for _, r := range n.roles {
		s.Roles = append(s.Roles, r.Status())
	}
	for _, p := range n.ports {
		s.Transports = append(s.Transports, p.status())
	}
	return s
}

// wholeWrites lets the roles share the output of the node.
type wholeWrites struct {
	mu sync.Mutex
	to io.Writer
}

func (w *wholeWrites) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}
