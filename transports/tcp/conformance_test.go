package tcp

import (
	"log/slog"
	"net"
	"testing"
	"time"

	"kozo/internal/hostnet"
	"kozo/internal/resolve"
	"kozo/kozotest"
)

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		kozotest.TestTransport(t, kozotest.TransportTest{
			Type: Type(), InMemory: true,
			Options: addresses("listener", "10.0.0.1", "fd00::1"), Dialer: addresses(),
		})
	})
	t.Run("sockets", func(t *testing.T) {
		v := addresses("127.0.0.1", "localhost")
		v["bindAddress"], v["port"] = "localhost", kozotest.FreePort(t)
		kozotest.TestTransport(t, kozotest.TransportTest{Type: Type(), Options: v, Silent: silent})
	})
}

// silent listens and accepts nobody, until the system lets no more connect.
func silent(t testing.TB) string {
	t.Helper()
	env := hostnet.Env("full", resolve.New(), slog.New(slog.DiscardHandler))
	l, err := env.Listen(t.Context(), "tcp", "127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 50*time.Millisecond)
		if err != nil {
			return l.Addr().String()
		}
		t.Cleanup(func() { c.Close() })
	}
}
