package hostnet

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/resolve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testEnv(t *testing.T) *kozo.TransportEnv {
	return Env("clock", resolve.New(), slog.New(slog.NewTextHandler(t.Output(), nil)))
}

// connected returns the two ends of a connection, dialled and accepted.
func connected(t *testing.T, env *kozo.TransportEnv) (a, b net.Conn) {
	t.Helper()
	l, err := env.Listen(t.Context(), "tcp", "localhost:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = env.Dial(t.Context(), "tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

func TestEnvDialsListensAndResolves(t *testing.T) {
	env := testEnv(t)
	if env.Node != "clock" || env.Log == nil {
		t.Errorf("the environment is %+v", env)
	}
	a, b := connected(t, env)
	if _, err := a.Write([]byte("tick")); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4)
	if _, err := b.Read(text); err != nil || string(text) != "tick" {
		t.Errorf("read %q, %v", text, err)
	}
	addrs, err := env.Resolve(t.Context(), "localhost")
	if err != nil || !slices.ContainsFunc(addrs, netip.Addr.IsLoopback) {
		t.Errorf("localhost is at %v, %v", addrs, err)
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if c, err := testEnv(t).Dial(ctx, "tcp", "127.0.0.1:1"); err == nil {
		c.Close()
		t.Error("it dialled")
	}
}

func TestTakenPortIsAnError(t *testing.T) {
	env := testEnv(t)
	l, err := env.Listen(t.Context(), "tcp", "127.0.0.1:0", 5)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if again, err := env.Listen(t.Context(), "tcp", l.Addr().String(), 5); err == nil {
		again.Close()
		t.Error("the port was bound twice")
	}
}
