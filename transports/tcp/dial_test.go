package tcp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/hostnet"
	"kozo/internal/memnet"
	"kozo/internal/resolve"
)

// place is where a transport is tested: what two nodes are given, and the
// addresses of the second.
type place struct {
	client, server *kozo.TransportEnv
	options        kozo.Values
}

// everywhere runs a test in memory and over sockets.
func everywhere(t *testing.T, test func(*testing.T, place)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := memnet.New()
			client, server := n.Host("client"), n.Host("server.local")
			test(t, place{client.Env(), server.Env(), addresses("server.local")})
		})
	})
	t.Run("sockets", func(t *testing.T) {
		// A port that is free now; nothing else on the machine takes one.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		env := hostnet.Env("clock", resolve.New(), slog.New(slog.DiscardHandler))
		v := addresses("127.0.0.1")
		v["bindAddress"], v["port"] = "localhost", kozo.Port(port)
		test(t, place{env, env, v})
	})
}

// listen begins to listen, and closes the listener at the end of the test.
func (p place) listen(t *testing.T) (*transport, net.Listener) {
	t.Helper()
	tr := newTransport(t, p.options)
	l, err := tr.Listen(t.Context(), p.server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return tr, l
}

func (p place) dial(t *testing.T, tr *transport) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := tr.Dial(ctx, p.client, tr.Endpoints()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestEitherSideCanClose(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		tr, l := p.listen(t)
		for _, dialler := range []bool{true, false} {
			a := p.dial(t, tr)
			b, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if !dialler {
				a, b = b, a
			}
			a.Close()
			if _, err := b.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the other side reads %v", err)
			}
			b.Close()
			if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("after it closed itself it reads %v", err)
			}
		}
	})
}

func TestClosedListenerAcceptsNobody(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		tr, l := p.listen(t)
		accepted := make(chan error, 1)
		go func() {
			_, err := l.Accept()
			accepted <- err
		}()
		l.Close()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("accepting says %v", err)
		}
		_, err := tr.Dial(t.Context(), p.client, tr.Endpoints()[0])
		if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), tr.Endpoints()[0]) {
			t.Errorf("dialling %s says %v", tr.Endpoints()[0], err)
		}
		if again, err := tr.Listen(t.Context(), p.server); err != nil {
			t.Errorf("listening again: %v", err)
		} else {
			again.Close()
		}
	})
}

// fake is a network of which every address behaves as it is told.
type fake struct {
	sync.Mutex
	names map[string][]netip.Addr
	does  map[string]dialler
	tried []string
	open  int
}

type dialler func(context.Context) (net.Conn, error)

type countedConn struct {
	net.Conn
	f    *fake
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.f.Lock()
		c.f.open--
		c.f.Unlock()
	})
	return c.Conn.Close()
}

func (f *fake) env() *kozo.TransportEnv {
	return &kozo.TransportEnv{
		Resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			if host == "slow.example" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			if a, ok := f.names[host]; ok {
				return a, nil
			}
			return nil, errors.New("cannot resolve " + host + ": no such host")
		},
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			f.Lock()
			f.tried = append(f.tried, address)
			f.Unlock()
			return f.does[address](ctx)
		},
	}
}

func (f *fake) answers(after time.Duration) dialler {
	return func(context.Context) (net.Conn, error) {
		time.Sleep(after)
		a, _ := memnet.Pipe()
		f.Lock()
		f.open++
		f.Unlock()
		return &countedConn{Conn: a, f: f}, nil
	}
}

func swallows(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func refuses(context.Context) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connect: " + syscall.ECONNREFUSED.Error())}
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func TestAllAddressesOfANameAreTried(t *testing.T) {
	four := addrs("10.0.0.1", "10.0.0.2", "10.0.0.3", "fe80::4%eth0")
	for name, c := range map[string]struct {
		does func(f *fake) [4]dialler
		took time.Duration
		says string // empty: it connects
	}{
		"the first answers":     {func(f *fake) [4]dialler { return [4]dialler{f.answers(0), swallows, swallows, swallows} }, 0, ""},
		"only the last answers": {func(f *fake) [4]dialler { return [4]dialler{refuses, refuses, refuses, f.answers(0)} }, 0, ""},
		"black holes first":     {func(f *fake) [4]dialler { return [4]dialler{swallows, swallows, refuses, f.answers(0)} }, 2 * stagger, ""},
		"all answer late": {func(f *fake) [4]dialler {
			return [4]dialler{f.answers(time.Second), f.answers(time.Second), f.answers(time.Second), f.answers(time.Second)}
		}, time.Second, ""},
		"none answers": {func(f *fake) [4]dialler { return [4]dialler{refuses, swallows, refuses, refuses} }, 5 * time.Second, "10.0.0.2:9001: no answer in time"},
		"all refuse":   {func(f *fake) [4]dialler { return [4]dialler{refuses, refuses, refuses, refuses} }, 0, "none of 4 addresses answers: 10.0.0.1:9001: connection refused; 10.0.0.2:9001: connection refused; 10.0.0.3:9001: connection refused; [fe80::4%eth0]:9001: connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{names: map[string][]netip.Addr{"clock.example": four}, does: map[string]dialler{}}
				for i, do := range c.does(f) {
					f.does[net.JoinHostPort(four[i].String(), "9001")] = do
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				start := time.Now()
				tr := newTransport(t, addresses("clock.example"))
				conn, err := tr.Dial(ctx, f.env(), tr.Endpoints()[0])
				took := time.Since(start)
				if c.says == "" {
					if err != nil {
						t.Fatal(err)
					}
					// The losers have been closed, and late ones have been waited for.
					if f.open != 1 {
						t.Errorf("%d connections are open", f.open)
					}
					conn.Close()
				} else if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v does not say %q", err, c.says)
				}
				if slack := took - c.took; slack < 0 || slack > time.Second {
					t.Errorf("it took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestNamesAreLookedUpEveryTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New()
		client, first, second := n.Host("client"), n.Host("first"), n.Host("second")
		tr := newTransport(t, addresses("clock.local"))
		for _, h := range []*memnet.Host{first, second} {
			l, err := tr.Listen(t.Context(), h.Env())
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			n.SetName("clock.local", h.Addr())
			c, err := tr.Dial(t.Context(), client.Env(), "clock.local:9001")
			if err != nil {
				t.Fatal(err)
			}
			if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != h.Addr() {
				t.Errorf("the name is at %s, and %s was dialled", h.Addr(), got)
			}
			c.Close()
		}
	})
}

func TestNameThatDoesNotResolve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{names: map[string][]netip.Addr{"empty.example": nil}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		for endpoint, want := range map[string]string{
			"nowhere.example:1": "cannot resolve nowhere.example: no such host",
			"empty.example:1":   "empty.example has no address",
			"nonsense":          `"nonsense" is no endpoint of a tcp transport`,
		} {
			if _, err := newTransport(t, addresses()).Dial(ctx, f.env(), endpoint); err == nil || err.Error() != want {
				t.Errorf("%s: %v", endpoint, err)
			}
		}
		start := time.Now()
		if _, err := newTransport(t, addresses()).Dial(ctx, f.env(), "slow.example:1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the lookup took %v of 3s", took)
		}
	})
}

// A name server cannot make a node dial the whole world.
func TestNotAllOfManyAddressesAreTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{names: map[string][]netip.Addr{}, does: map[string]dialler{}}
		for i := range 100 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			f.names["many.example"] = append(f.names["many.example"], a)
			f.does[a.String()+":1"] = refuses
		}
		if _, err := newTransport(t, addresses()).Dial(t.Context(), f.env(), "many.example:1"); err == nil {
			t.Error("it connected")
		}
		if len(f.tried) != maxTries {
			t.Errorf("%d addresses were tried", len(f.tried))
		}
	})
}

func TestTakenPortSaysWhatToDo(t *testing.T) {
	everywhere(t, func(t *testing.T, p place) {
		tr, l := p.listen(t)
		defer l.Close()
		again, err := tr.Listen(t.Context(), p.server)
		if err == nil {
			again.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "choose another bindAddress or port") || !strings.Contains(err.Error(), "in use") {
			t.Errorf("listening twice says %v", err)
		}
	})
}
