package testnets_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	"kozo/internal/vmlab"
	"kozo/transports/bluetooth"
	"kozo/transports/tcp"
)

// lan is a network that can be taken away: what is dialled over it ends.
type lan struct {
	mu    sync.Mutex
	gone  bool
	conns []net.Conn
}

func (l *lan) take(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = away
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

func (l *lan) env(name string, log *slog.Logger) *kozo.TransportEnv {
	env := hostnet.Env(kozo.NodeName(name), resolve.New(), log)
	dial := env.Dial
	env.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.gone {
			return nil, errors.New("network is unreachable")
		}
		c, err := dial(ctx, network, address)
		if err == nil {
			l.conns = append(l.conns, c)
		}
		return c, err
	}
	return env
}

// counting sends numbers as long as it should, and notes those that it gets.
type counting struct {
	counts *counts
}

type counts struct {
	stop atomic.Bool

	mu  sync.Mutex
	got map[kozo.RoleRef][]int64 // by who has got them
}

func (counting) Interest() []kozo.Filter { return []kozo.Filter{{Type: "count"}} }

func (c counting) Run(ctx context.Context, env *kozo.Env) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() {
		for m := range env.Messages(ctx) {
			v, _ := m.Body.Value()
			n, _ := v.(int64)
			c.counts.mu.Lock()
			c.counts.got[env.Self] = append(c.counts.got[env.Self], n)
			c.counts.mu.Unlock()
		}
	})
	for n := int64(1); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if c.counts.stop.Load() {
			continue
		}
		if err := env.Event("count", n); err != nil {
			return err
		}
		n++
	}
}

// A link moves to TCP when it is there and falls back to Bluetooth when it is not,
// under traffic both ways. Nothing is lost, doubled or reordered.
func testMovingOverBluetooth(t *testing.T) {
	c := &counts{got: map[kozo.RoleRef][]int64{}}
	types := kozo.NewRegistry()
	for _, err := range []error{
		types.AddTransport(tcp.Type()), types.AddTransport(bluetooth.Type()),
		types.AddRole(kozo.DefineRole("counting", "counts", func(struct{}) (kozo.Role, error) { return counting{c}, nil })),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	names := []string{"a", "b"}
	keys := map[string]*secure.Key{}
	text := "connectionRetry: 2\nheartbeat: 5\noutgoingQueueLength: 10000\noutgoingQueueAge: 120\nsystem:\n"
	for i, name := range names {
		key, err := secure.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key
		text += fmt.Sprintf("  %s:\n    privateKey: /none\n    publicKey: %s\n    roles: {counting: {messageQueueLength: 10000}}\n    transports:\n"+
			"      tcp: {address: 127.0.0.1, port: %d}\n      bluetooth: {uuid: 6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a%02d, adapter: hci%d}\n",
			name, key.Public().Line(), 9100+i, i, i)
	}
	file, err := config.Parse("moving.yml", []byte(text), config.Types{Registry: types})
	if err != nil {
		t.Fatal(err)
	}
	air := &lan{gone: true}
	nodes := map[string]*node.Node{}
	for _, name := range names {
		log := slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", name)
		n, err := node.New(node.Config{System: file.System, Self: kozo.NodeName(name), Key: keys[name], Version: "test", Out: t.Output(), Log: log,
			Net: func(log *slog.Logger) *kozo.TransportEnv { return air.env(name, log) }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- n.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		<-n.Ready()
		nodes[name] = n
	}
	link := func(name string) status.Link { return nodes[name].Status().Links[0] }
	uses := func(transport string, limit time.Duration) {
		t.Helper()
		begun := time.Now()
		vmlab.Eventually(t, limit, "both links use "+transport, func() bool {
			a, b := link("a"), link("b")
			return a.State == "up" && a.Transport == transport && b.State == "up" && b.Transport == transport
		})
		t.Logf("both links use %s after %v", transport, time.Since(begun).Round(time.Millisecond))
	}
	flows := func() {
		t.Helper()
		a, b := link("a").Out.Delivered, link("b").Out.Delivered
		vmlab.Eventually(t, airPatience, "messages flow both ways", func() bool {
			return link("a").Out.Delivered >= a+50 && link("b").Out.Delivered >= b+50
		})
	}
	uses("bluetooth", airPatience)
	flows()
	for range 2 {
		air.take(false)
		uses("tcp", time.Minute)
		flows()
		air.take(true)
		uses("bluetooth", airPatience)
		flows()
	}
	c.stop.Store(true)
	vmlab.Eventually(t, airPatience, "everything has its fate", func() bool {
		a, b := link("a").Out, link("b").Out
		return a.Queued+a.InFlight+b.Queued+b.InFlight == 0
	})
	for i, name := range names {
		out := link(name).Out
		to := kozo.RoleRef{Node: kozo.NodeName(names[1-i]), Role: "counting"}
		c.mu.Lock()
		got := c.got[to]
		c.mu.Unlock()
		if !out.Balanced() || out.Delivered != uint64(len(got)) || out.Sent != out.Delivered {
			t.Errorf("%s: %+v, and %d have arrived", name, out, len(got))
		}
		for j, n := range got {
			if n != int64(j+1) {
				t.Fatalf("%s: %d came as the %dth one", name, n, j+1)
			}
		}
		t.Logf("%s: %+v", name, out)
	}
}
