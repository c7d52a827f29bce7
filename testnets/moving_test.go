package testnets_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kozo"
	"kozo/internal/config"
	"kozo/internal/hostnet"
	"kozo/internal/node"
	"kozo/internal/resolve"
	"kozo/internal/secure"
	"kozo/internal/status"
	"kozo/standard"
	"kozo/transports/onion"
)

// cable is a TCP connection that a test can pull and plug in again.
type cable struct {
	to string

	mu      sync.Mutex
	l       net.Listener
	conns   map[net.Conn]bool
	pulling sync.WaitGroup
	address string

	swallows atomic.Bool // what is sent over it vanishes
}

// lossy is an end of a cable.
type lossy struct {
	io.Writer
	cable *cable
}

func (l lossy) Write(p []byte) (int, error) {
	if l.cable.swallows.Load() {
		return len(p), nil
	}
	return l.Writer.Write(p)
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	c := &cable{to: to, conns: map[net.Conn]bool{}, address: "127.0.0.1:0"}
	c.plug(t)
	c.pull()
	t.Cleanup(c.pull)
	return c
}

// plug lets connections through.
func (c *cable) plug(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.l, c.address = l, l.Addr().String()
	c.mu.Unlock()
	c.pulling.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", c.to)
			if err != nil {
				_ = near.Close()
				continue
			}
			c.mu.Lock()
			c.conns[near], c.conns[far] = true, true
			c.mu.Unlock()
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				c.pulling.Go(func() {
					_, _ = io.Copy(lossy{pair[0], c}, pair[1])
					_ = pair[0].Close()
				})
			}
		}
	})
}

// pull ends all connections, and lets no more through.
func (c *cable) pull() {
	c.mu.Lock()
	_ = c.l.Close()
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
	c.mu.Unlock()
	c.pulling.Wait()
}

// pair is two nodes in this process, alice and bob, who reach each other over
// Tor, and alice reaches bob over a cable too.
type pair struct {
	t     *testing.T
	cable *cable
	nodes map[string]*node.Node

	mu  sync.Mutex
	env *kozo.Env
	got []int
}

// newPair runs the two. settings are lines of the root, options those of the node
// block of bob.
func newPair(t *testing.T, settings, options string) *pair {
	t.Helper()
	two := tors(t)
	p := &pair{t: t, nodes: map[string]*node.Node{}}
	types := standard.Registry()
	for _, err := range []error{
		types.AddRole(kozo.DefineRole("source", "sends for a test", func(struct{}) (kozo.Role, error) { return source{p}, nil })),
		types.AddRole(kozo.DefineRole("sink", "receives for a test", func(struct{}) (kozo.Role, error) { return sink{p}, nil })),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	port := freePort(t)
	p.cable = newCable(t, fmt.Sprintf("127.0.0.1:%d", port))

	text := "heartbeat: 1\n" + settings + "system:\n"
	keys := map[string]*secure.Key{}
	for i, name := range []string{"alice", "bob"} {
		key, err := secure.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key
		text += fmt.Sprintf("  %s:\n    privateKey: /none\n    publicKey: %s\n%s", name, key.Public().Line(), strings.Repeat(options, i))
		text += fmt.Sprintf("    roles: {%s: {messageQueueLength: 100000}}\n    transports:\n      tcp: {address: %q, bindAddress: 127.0.0.1, port: %d}\n",
			[]string{"source", "sink"}[i], []string{"", p.cable.address}[i], []int{1, port}[i])
		address, file := p.service(two[i].Control())
		text += fmt.Sprintf("      onion: {address: %s, port: %d, controlPort: %q, socksProxy: %q, keyFile: %q}\n",
			address, freePort(t), two[i].Control(), two[i].Socks(), file)
	}
	file, err := config.Parse("config.yml", []byte(text), config.Types{Registry: types})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, name := range []string{"alice", "bob"} {
		p.run(node.Config{
			System: file.System, Self: kozo.NodeName(name), Key: keys[name], Version: "test", Out: t.Output(),
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", name),
			Net: func(log *slog.Logger) *kozo.TransportEnv {
				return hostnet.Env(kozo.NodeName(name), resolve.New(), log)
			},
		})
	}
	return p
}

// service makes the keys of an onion service.
func (p *pair) service(control string) (address, file string) {
	p.t.Helper()
	file = filepath.Join(p.t.TempDir(), "onion.keys")
	tr, err := onion.Type().New(kozo.Values{"controlPort": control, "keyFile": kozo.Path(file)})
	if err != nil {
		p.t.Fatal(err)
	}
	values, err := tr.(kozo.Announcer).Announce(&kozo.TransportEnv{})
	if err != nil {
		p.t.Fatal(err)
	}
	return values["address"].(string), file
}

func (p *pair) run(cfg node.Config) {
	p.t.Helper()
	n, err := node.New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
	p.nodes[string(cfg.Self)] = n
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

type source struct{ *pair }

func (s source) Run(ctx context.Context, env *kozo.Env) error {
	s.mu.Lock()
	s.env = env
	s.mu.Unlock()
	<-ctx.Done()
	return nil
}

type sink struct{ *pair }

func (sink) Interest() []kozo.Filter { return []kozo.Filter{{}} }

func (s sink) Run(ctx context.Context, env *kozo.Env) error {
	for m := range env.Messages(ctx) {
		v, err := m.Body.Value()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.got = append(s.got, int(v.(int64)))
		s.mu.Unlock()
	}
	return nil
}

// send sends a number from alice to bob.
func (p *pair) send(number int) {
	p.t.Helper()
	p.mu.Lock()
	env := p.env
	p.mu.Unlock()
	if err := env.Event("number", number); err != nil {
		p.t.Error(err)
	}
}

func (p *pair) received() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]int(nil), p.got...)
}

func (p *pair) link() status.Link { return p.nodes["alice"].Status().Links[0] }

func (p *pair) until(what string, limit time.Duration, good func() bool) time.Duration {
	p.t.Helper()
	begun := time.Now()
	for ; !good(); time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > limit {
			p.t.Fatalf("waited %v in vain for %s: %+v", limit, what, p.link())
		}
	}
	return time.Since(begun)
}

func (p *pair) over(transport string) func() bool {
	return func() bool { l := p.link(); return l.State == "up" && l.Transport == transport }
}

// A link moves from Tor to a cable, and falls back when the cable is pulled, or
// swallows everything, with messages on it all the time: each of them comes, once
// and in order.
func TestMovesBetweenTorAndCable(t *testing.T) {
	p := newPair(t, "connectionRetry: 2\noutgoingQueueLength: 100000\noutgoingQueueAge: 600\n", "")
	took := p.until("the link over Tor", patience, p.over("onion"))
	t.Logf("up over Tor after %v", took.Round(time.Millisecond))

	var sending sync.WaitGroup
	stop := make(chan struct{})
	sent := 0
	sending.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				sent++
				p.send(sent)
			}
		}
	})
	const (
		rounds = 3
		death  = 2500 * time.Millisecond // two and a half heartbeats of silence
		head   = 5 * time.Second         // for somebody who answers, and then says nothing
	)
	for i := range rounds {
		p.cable.plug(t)
		took = p.until("the link over the cable", time.Minute, p.over("tcp"))
		t.Logf("moved to the cable after %v", took.Round(time.Millisecond))
		if i < rounds-1 {
			p.cable.pull()
		} else {
			p.cable.swallows.Store(true)
			took = p.until("another way", death+head+2*time.Second, func() bool { // its own, or that of bob
				l := p.link()
				return l.State == "up" && l.Transport != "tcp"
			})
			t.Logf("gave up the cable after %v", took.Round(time.Millisecond))
		}
		took = p.until("the link over Tor again", 30*time.Second, p.over("onion"))
		t.Logf("fell back to Tor after %v", took.Round(time.Millisecond))
	}
	close(stop)
	sending.Wait()

	var l status.Link
	p.until("all messages to be accounted for", time.Minute, func() bool {
		l = p.link()
		return l.Out.Queued == 0 && l.Out.InFlight == 0 && l.Out.Delivered == uint64(len(p.received()))
	})
	if l.Out.Delivered != uint64(sent) || !l.Out.Balanced() {
		t.Errorf("%d were sent: %+v", sent, l.Out)
	}
	for i, number := range p.received() {
		if number != i+1 {
			t.Fatalf("message %d came as the %dth one", number, i+1)
		}
	}
	t.Logf("%d were sent, and arrived in order", sent)
	if l.Connects > 2*rounds+2 {
		t.Errorf("it took %d connections", l.Connects)
	}
}

// The message for which a link on demand comes up is still there when Tor has
// found a way, though messages usually wait for three heartbeats only. For longer
// than that there is no Tor at first.
func TestOnDemandWaitsForTheCircuit(t *testing.T) {
	p := newPair(t, "connectionRetry: 0.5\n", "    othersToSelfConnectPolicy: ondemand\n")
	p.until("alice to run", patience, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.env != nil
	})
	if l := p.link(); l.State != "idle" {
		t.Errorf("nothing was sent, and the link is %s", l.State)
	}
	tor := shared.tors[0]
	tor.Kill()
	begun := time.Now()
	p.send(1)
	const usual = 3 * time.Second
	p.until("alice to know why it takes so long", patience, func() bool {
		return time.Since(begun) > usual+2*time.Second && strings.Contains(p.link().Reason, "tor is not running")
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := tor.Start(ctx); err != nil {
		t.Fatal(err)
	}
	p.until("the message", patience, func() bool { return len(p.received()) == 1 })
	if l := p.link(); l.Out.Sent != 1 || l.Out.Delivered+l.Out.InFlight != 1 {
		t.Errorf("%+v", l.Out)
	}
	t.Logf("it came after %v", time.Since(begun).Round(time.Millisecond))
}
