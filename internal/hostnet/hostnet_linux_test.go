package hostnet

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
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

// A port that is taken by this process, and by another one, on any address.
func TestTakenPortNamesItsOwner(t *testing.T) {
	env := testEnv(t)
	for _, bind := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		l, err := env.Listen(t.Context(), "tcp", bind, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		again, err := env.Listen(t.Context(), "tcp", l.Addr().String(), 0)
		if err == nil {
			again.Close()
		}
		want := fmt.Sprintf("(process %d) has it", os.Getpid())
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bind, err, want)
		}
	}

	// The descriptor goes to a child, and this process closes its own.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60")
	child.ExtraFiles = []*os.File{file}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	file.Close()
	l.Close()
	_, err = env.Listen(t.Context(), "tcp", l.Addr().String(), 0)
	if want := fmt.Sprintf("\"sleep\" (process %d) has it", child.Process.Pid); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestFreePortHasNoOwner(t *testing.T) {
	sockets := map[string]bool{}
	listeners("/proc/net/tcp", 0, sockets)
	if len(sockets) > 0 {
		t.Errorf("port 0 is taken by %v", sockets)
	}
	if name, pid := owner(map[string]bool{"socket:[0]": true}); pid != "" {
		t.Errorf("%s (%s) has it", name, pid)
	}
}
