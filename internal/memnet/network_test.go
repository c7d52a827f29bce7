package memnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// dial connects and returns both ends.
func dial(t *testing.T, from *Host, address string, l net.Listener) (a, b *Conn) {
	t.Helper()
	x, err := from.Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	y, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); y.Close() })
	return x.(*Conn), y.(*Conn)
}

func listen(t *testing.T, h *Host, address string) net.Listener {
	t.Helper()
	l, err := h.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestEnv(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		clock, scribe := n.Host("clock", "192.168.0.1", "fd00::1"), n.Host("scribe")
		env := clock.Env()
		l, err := env.Listen(t.Context(), "tcp", ":9001", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs, err := scribe.Env().Resolve(t.Context(), "Clock")
		if err != nil || len(addrs) != 2 {
			t.Fatalf("Resolve returned %v, %v", addrs, err)
		}
		for _, addr := range addrs {
			c, err := scribe.Env().Dial(t.Context(), "tcp", netip.AddrPortFrom(addr, 9001).String())
			if err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			write(t, c, "hello")
			read(t, s, "hello")
			if s.LocalAddr().String() != c.RemoteAddr().String() || c.LocalAddr().String() != s.RemoteAddr().String() {
				t.Error("the ends disagree on their addresses")
			}
			c.Close()
			s.Close()
		}
		if _, err := env.Resolve(t.Context(), "nobody"); err == nil {
			t.Error("an unknown name resolves")
		}
		n.SetName("nobody", clock.Addr())
		if addrs, err := env.Resolve(t.Context(), "nobody"); err != nil || addrs[0] != clock.Addr() {
			t.Errorf("Resolve returned %v, %v", addrs, err)
		}
		n.SetName("nobody")
		if _, err := env.Resolve(t.Context(), "nobody"); err == nil {
			t.Error("a name without addresses resolves")
		}
		if addrs, err := env.Resolve(t.Context(), "1.2.3.4"); err != nil || len(addrs) != 1 {
			t.Errorf("Resolve returned %v, %v", addrs, err)
		}
		if _, err := env.Dial(t.Context(), "udp", "192.168.0.1:9001"); err == nil {
			t.Error("a network that there is not can be dialled")
		}
	})
}

func TestDialErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, b := n.Host("a"), n.Host("b", "10.9.9.9")
		for address, want := range map[string]error{
			"10.9.9.9:1":  syscall.ECONNREFUSED,
			"10.9.9.8:1":  syscall.EHOSTUNREACH,
			"127.0.0.1:1": syscall.ECONNREFUSED,
		} {
			if _, err := a.Dial(t.Context(), address); !errors.Is(err, want) {
				t.Errorf("dialling %s: %v; want %v", address, err, want)
			}
		}
		if _, err := a.Dial(t.Context(), "b:1"); err == nil {
			t.Error("a name can be dialled")
		}
		l := listen(t, b, "10.9.9.9:1")
		for address, want := range map[string]error{
			"10.9.9.9:1": syscall.EADDRINUSE,
			":1":         syscall.EADDRINUSE,
			"10.9.9.8:2": syscall.EADDRNOTAVAIL,
		} {
			if _, err := b.Listen(address); !errors.Is(err, want) {
				t.Errorf("listening at %s: %v; want %v", address, err, want)
			}
		}
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept of a closed listener: %v", err)
		}
		listen(t, b, ":1")
		zero := listen(t, b, "127.0.0.1:0")
		dial(t, b, zero.Addr().String(), zero)
	})
}

// A listener whose backlog is full makes dials wait, and closing it resets
// those that nobody accepted.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, b := n.Host("a"), n.Host("b", "10.9.9.9")
		l, err := b.Env().Listen(t.Context(), "tcp", ":1", 1)
		if err != nil {
			t.Fatal(err)
		}
		first, err := a.Dial(t.Context(), "10.9.9.9:1")
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := a.Dial(ctx, "10.9.9.9:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second dial returned %v", err)
		}
		second := make(chan net.Conn)
		go func() {
			c, _ := a.Dial(t.Context(), "10.9.9.9:1")
			second <- c
		}()
		synctest.Wait()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		d := <-second
		defer d.Close()
		l.Close()
		readError(t, d, syscall.ECONNRESET)
	})
}

func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, b, other := n.Host("a"), n.Host("b", "10.9.9.9"), n.Host("other")
		l := listen(t, b, ":1")
		x, y := dial(t, a, "10.9.9.9:1", l)
		n.Partition(a, b)
		write(t, x, "to")
		write(t, y, "fro")
		x.SetReadDeadline(time.Now().Add(time.Hour))
		readError(t, x, os.ErrDeadlineExceeded)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := a.Dial(ctx, "10.9.9.9:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialling through a partition returned %v", err)
		}
		dial(t, other, "10.9.9.9:1", l)
		time.AfterFunc(time.Minute, func() { n.Heal(b, a) })
		start := time.Now()
		dial(t, a, "10.9.9.9:1", l)
		if d := time.Since(start); d != time.Minute {
			t.Errorf("the dial took %v", d)
		}
		for _, p := range []path{{a, b}, {b, a}} { // one direction is enough
			n.Shape(p.from, p.to, Conditions{Frozen: true})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := a.Dial(ctx, "10.9.9.9:1"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("dialling while one direction is frozen returned %v", err)
			}
			n.Shape(p.from, p.to, Conditions{})
		}
		x.SetReadDeadline(time.Time{})
		read(t, x, "fro")
		read(t, y, "to")
	})
}

func TestShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, b := n.Host("a"), n.Host("b", "10.9.9.9")
		l := listen(t, b, ":1")
		old, oldEnd := dial(t, a, "10.9.9.9:1", l)
		n.Shape(a, b, Conditions{Latency: 40 * time.Millisecond})
		n.Shape(b, a, Conditions{Latency: 60 * time.Millisecond})
		start := time.Now()
		x, y := dial(t, a, "10.9.9.9:1", l)
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("dialling took %v", d)
		}
		for _, c := range [][2]*Conn{{old, oldEnd}, {x, y}} {
			start = time.Now()
			write(t, c[0], "ping")
			read(t, c[1], "ping")
			write(t, c[1], "pong")
			read(t, c[0], "pong")
			if d := time.Since(start); d != 100*time.Millisecond {
				t.Errorf("there and back took %v", d)
			}
		}
	})
}

// An address moves to another host: who dials it finds the other one, and old
// connections are dead without a word.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, b, c := n.Host("a"), n.Host("b", "10.9.9.9"), n.Host("c", "10.9.9.8")
		lb, lc := listen(t, b, ":1"), listen(t, c, ":1")
		x, y := dial(t, a, "10.9.9.9:1", lb)
		n.Move(netip.MustParseAddr("10.9.9.9"), c)
		dial(t, a, "10.9.9.9:1", lc)
		write(t, x, "to")
		write(t, y, "fro")
		x.SetReadDeadline(time.Now().Add(time.Hour))
		readError(t, x, os.ErrDeadlineExceeded)
		if b.Addr().IsValid() || c.Addr().String() != "10.9.9.8" {
			t.Errorf("b has %v, c has %v", b.Addr(), c.Addr())
		}
	})
}

func TestConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		a, b := n.Host("a"), n.Host("b", "10.9.9.9")
		l := listen(t, b, ":1")
		first, firstEnd := dial(t, a, "10.9.9.9:1", l)
		second, secondEnd := dial(t, a, "10.9.9.9:1", l)
		if got := n.Conns(); len(got) != 2 || got[0] != first || got[1] != second || got[0].Other() != firstEnd {
			t.Errorf("the connections are %v", got)
		}
		firstEnd.Close()
		if got := n.Conns(); len(got) != 1 || got[0] != second {
			t.Errorf("the connections are %v", got)
		}
		first.Close()
		second.Close()
		secondEnd.Close()
		if len(n.pairs) != 0 {
			t.Errorf("%d connections that are over are remembered", len(n.pairs))
		}
	})
}
