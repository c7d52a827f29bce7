package hostnet

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// fill dials until nobody is taken any more, and returns how many were.
func fill(t *testing.T, address string, most int) int {
	t.Helper()
	for i := range most {
		c, err := net.DialTimeout("tcp", address, 300*time.Millisecond)
		if err != nil {
			return i
		}
		t.Cleanup(func() { c.Close() })
	}
	return most
}

func TestBacklogBoundsWhoWaits(t *testing.T) {
	for backlog, most := range map[int]int{1: 3, 0: 20, 10: 12} {
		l, err := testEnv(t).Listen(t.Context(), "tcp", "127.0.0.1:0", backlog)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if n := fill(t, l.Addr().String(), 20); n > most || n < min(most-2, 20) {
			t.Errorf("with a backlog of %d, %d connections wait", backlog, n)
		}
	}
}

func TestConnectionsAreWatchedByTheSystem(t *testing.T) {
	env := testEnv(t)
	l, err := env.Listen(t.Context(), "tcp", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := env.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for who, c := range map[string]net.Conn{"dialled": a, "accepted": b} {
		raw, err := c.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if v, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); v != 1 || err != nil {
				t.Errorf("%s: keepalive is %d, %v", who, v, err)
			}
			if v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE); v != 60 || err != nil {
				t.Errorf("%s: keepalive begins after %d s, %v", who, v, err)
			}
			if v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, 18); v != int(userTimeout.Milliseconds()) || err != nil {
				t.Errorf("%s: the user timeout is %d ms, %v", who, v, err)
			}
		})
	}
}
