package kozotest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/kozotest"
)

// plain is the smallest transport that there is.
type plain struct {
	Address kozo.List `option:"address" doc:"host:port"`
}

func (p plain) Endpoints() []string { return slices.Clone(p.Address) }

func (p plain) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	return env.Dial(ctx, "tcp", endpoint)
}

func (p plain) Listen(ctx context.Context, env *kozo.TransportEnv) (net.Listener, error) {
	return env.Listen(ctx, "tcp", ":9001", 0)
}

// broken is a plain transport with a fault.
type broken struct {
	plain
	endpoints func() []string
	dial      func(ctx context.Context, endpoint string, next func(context.Context) (net.Conn, error)) (net.Conn, error)
	listen    func(ctx context.Context, l net.Listener) (net.Listener, error)
	conn      func(net.Conn) net.Conn
}

func (b *broken) Endpoints() []string {
	if b.endpoints != nil {
		return b.endpoints()
	}
	return b.plain.Endpoints()
}

func (b *broken) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	next := func(ctx context.Context) (net.Conn, error) { return b.wrap(b.plain.Dial(ctx, env, endpoint)) }
	if b.dial != nil {
		return b.dial(ctx, endpoint, next)
	}
	return next(ctx)
}

func (b *broken) wrap(c net.Conn, err error) (net.Conn, error) {
	if err != nil || b.conn == nil {
		return c, err
	}
	return b.conn(c), nil
}

func (b *broken) Listen(ctx context.Context, env *kozo.TransportEnv) (net.Listener, error) {
	l, err := b.plain.Listen(ctx, env)
	if err == nil && b.listen != nil {
		l, err = b.listen(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	return &listener{l, b}, nil
}

type listener struct {
	net.Listener
	b *broken
}

func (l *listener) Accept() (net.Conn, error) { return l.b.wrap(l.Listener.Accept()) }

// TestJudgesTransports breaks a transport in every way that the suite knows, and
// sees whether the check that is for it says so.
func TestJudgesTransports(t *testing.T) {
	later := func(f func()) { time.AfterFunc(30*time.Minute, f) } // so that the bubble comes to an end
	for _, test := range []struct {
		name, check string
		fault       func() broken
		want        string
	}{
		{"sound", "", func() broken { return broken{} }, ""},
		{"no endpoints", "bulk", func() broken { return broken{endpoints: func() []string { return nil }} }, "has no endpoints"},
		{"endpoints by chance", "endpoints", func() broken {
			n := 0
			return broken{endpoints: func() []string { n++; return []string{"10.0.0.1:9001", "x"}[:1+n%2] }}
		}, "must depend on the options alone"},
		{"an empty endpoint", "endpoints", func() broken { return broken{endpoints: func() []string { return []string{"10.0.0.1:9001", ""} }} }, "an endpoint is empty"},
		{"a dead endpoint", "dialling", func() broken {
			return broken{endpoints: func() []string { return []string{"10.0.0.1:9001", "10.0.0.1:9002"} }}
		}, "the side that dialled 10.0.0.1:9002: dial tcp 10.0.0.1:9002: connection refused"},
		{"no address", "dialling", func() broken { return broken{conn: func(c net.Conn) net.Conn { return &nowhere{c} }} }, "does not say its addresses"},
		{"tied to the context", "dialling", func() broken {
			return broken{dial: func(ctx context.Context, _ string, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
				c, err := next(ctx)
				if err == nil {
					context.AfterFunc(ctx, func() { c.Close() })
				}
				return c, err
			}}
		}, "use of closed network connection"},
		{"deaf to its context", "cancelled dial", func() broken {
			return broken{dial: func(_ context.Context, _ string, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
				return next(context.Background())
			}}
		}, "Dial connects though its context has ended before"},
		{"conns of a cancelled dial", "cancelled dial", func() broken {
			return broken{dial: func(ctx context.Context, _ string, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
				c, err := next(context.Background())
				if ctx.Err() != nil {
					later(func() { c.Close() })
					return nil, ctx.Err()
				}
				return c, err
			}}
		}, "the end of all connections whose Dial was cancelled"},
		{"deaf in silence", "silence", func() broken {
			return broken{dial: func(_ context.Context, _ string, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				return next(ctx)
			}}
		}, "Dial where nobody answers, after the "},
		{"somebody everywhere", "nobody", func() broken {
			return broken{dial: func(ctx context.Context, _ string, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
				if c, err := next(ctx); err == nil {
					return c, nil
				}
				a, b := net.Pipe()
				return a, b.Close()
			}}
		}, "Dial connects to 10.0.0.1:9001, where nobody listens"},
		{"a conn and an error", "nobody", func() broken {
			return broken{dial: func(ctx context.Context, _ string, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
				_, err := next(ctx)
				a, _ := net.Pipe()
				return a, err
			}}
		}, "Dial returned a connection and an error"},
		{"a listener with a context", "listening", func() broken {
			return broken{listen: func(ctx context.Context, l net.Listener) (net.Listener, error) {
				context.AfterFunc(ctx, func() { l.Close() })
				return l, nil
			}}
		}, "connection refused"},
		{"an endless Accept", "accepting", func() broken {
			return broken{listen: func(_ context.Context, l net.Listener) (net.Listener, error) { return &endless{l}, nil }}
		}, "the end of every Accept after the listener was closed: not done within"},
		{"conns that die with the listener", "accepting", func() broken { return withListener() }, "a connection that should work"},
		{"a listener for once", "reopening", func() broken {
			opened := false
			return broken{listen: func(_ context.Context, l net.Listener) (net.Listener, error) {
				if opened {
					l.Close()
					return nil, errors.New("it is still open")
				}
				opened = true
				return l, nil
			}}
		}, "Listen: it is still open"},
		{"never closed", "closing", func() broken {
			return broken{conn: func(c net.Conn) net.Conn {
				return &closing{c, sync.OnceValue(func() error { later(func() { c.Close() }); return nil })}
			}}
		}, "not done within"},
		{"last words lost", "closing", func() broken {
			return broken{conn: func(c net.Conn) net.Conn { return buffered(c) }}
		}, `has written "famous last words" and closed, and the other one has read ""`},
		{"half-close is the end", "half-close", func() broken {
			return broken{conn: func(c net.Conn) net.Conn { return &halfClosing{c, c.Close} }}
		}, "after CloseWrite of the dialling side the other one cannot write"},
		{"half-close is nothing", "half-close", func() broken {
			return broken{conn: func(c net.Conn) net.Conn { return &halfClosing{c, func() error { return nil }} }}
		}, "the dialling side ends what it sends: not done within"},
		{"no half-close", "half-close", func() broken {
			return broken{conn: func(c net.Conn) net.Conn { return &noDeadline{c} }}
		}, "skipped: the connections have no CloseWrite"},
		{"reads without deadline", "deadlines", func() broken { return broken{conn: func(c net.Conn) net.Conn { return &noReadLimit{c} }} }, "reads up to a deadline: not done within"},
		{"writes without deadline", "deadlines", func() broken { return broken{conn: func(c net.Conn) net.Conn { return &noWriteLimit{c} }} }, "writes up to a deadline, and nobody reads: not done within"},
		{"no deadline for both", "deadlines", func() broken { return broken{conn: func(c net.Conn) net.Conn { return &noDeadline{c} }} }, "a connection that should work"},
		{"a deadline for ever", "deadlines", func() broken { return broken{conn: func(c net.Conn) net.Conn { return &stickyTimeout{Conn: c} }} }, "reading with an extended deadline"},
		{"another error for deadlines", "deadlines", func() broken {
			return broken{conn: func(c net.Conn) net.Conn {
				return &reading{c, func(p []byte) (int, error) {
					n, err := c.Read(p)
					if err != nil && err != io.EOF {
						err = errors.New("too late")
					}
					return n, err
				}}
			}}
		}, "too late, which is not os.ErrDeadlineExceeded"},
		{"room for 50", "many", func() broken {
			room := make(chan struct{}, 50)
			return broken{dial: func(ctx context.Context, _ string, next func(context.Context) (net.Conn, error)) (net.Conn, error) {
				select {
				case room <- struct{}{}:
					return next(ctx)
				default:
					return nil, errors.New("there is no room")
				}
			}}
		}, "of 100 at once: there is no room"},
		{"loses bytes", "bulk", func() broken { return broken{conn: losing} }, "is not the one that was written"},
		{"loses bytes slowly", "slow reader", func() broken { return broken{conn: losing} }, "is not the one that was written"},
		{"short writes", "bulk", func() broken {
			return broken{conn: func(c net.Conn) net.Conn {
				return &writing{c, func(p []byte) (int, error) { return c.Write(p[:min(len(p), 32<<10)]) }}
			}}
		}, "short write"},
		{"no end to buffers", "slow reader", func() broken { return broken{conn: unbounded} }, "while nobody reads; writing must wait for the reader"},
		{"a goroutine a conn", "dialling", func() broken {
			return broken{conn: func(c net.Conn) net.Conn {
				go func() { time.Sleep(30 * time.Minute) }()
				return c
			}}
		}, "goroutines are left behind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			names := []string{test.check}
			if test.check == "" {
				names = kozotest.Checks()
			}
			for _, name := range names {
				got := judgeTransport(t, test.fault(), name)
				if test.want == "" && len(got) > 0 {
					t.Errorf("%s: %q", name, got)
				} else if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, test.want) }) && test.want != "" {
					t.Errorf("%s: %q, and none of it says %q", name, got, test.want)
				}
			}
		})
	}
}

// judgeTransport tries a transport in memory, and returns how it has failed.
func judgeTransport(t *testing.T, b broken, name string) []string {
	t.Helper()
	typ := kozo.DefineTransport("broken", "", func(p plain) (kozo.Transport, error) {
		b.plain = p
		return &b, nil
	})
	j := &judged{TB: t}
	synctest.Test(t, func(*testing.T) {
		defer func() {
			if p := recover(); p != nil && p != j {
				panic(p)
			}
			time.Sleep(time.Hour)
		}()
		kozotest.Try(j, kozotest.TransportTest{
			Type: typ, InMemory: true, Buffer: 2 << 20,
			Options: kozo.Values{"address": kozo.List{"10.0.0.1:9001", "[fd00::1]:9001"}},
		}, name)
	})
	return j.failures
}
