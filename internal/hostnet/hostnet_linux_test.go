package hostnet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
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
	a, b := connected(t, testEnv(t))
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
			if v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL); v != 15 || err != nil {
				t.Errorf("%s: keepalive asks every %d s, %v", who, v, err)
			}
			if v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT); v != 4 || err != nil {
				t.Errorf("%s: keepalive asks %d times, %v", who, v, err)
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

	address, child := lend(t, "127.0.0.1:0")
	_, err := env.Listen(t.Context(), "tcp", address, 0)
	if want := fmt.Sprintf("\"sleep\" (process %d) has it", child); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// lend listens, gives the descriptor to a child, and closes its own.
func lend(t *testing.T, address string) (bound string, child int) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "60")
	cmd.ExtraFiles = []*os.File{file}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	file.Close()
	l.Close()
	return l.Addr().String(), cmd.Process.Pid
}

// Only who is in the way is named: not who has the same port of another address.
func TestOtherAddressesAreNotInTheWay(t *testing.T) {
	env := testEnv(t)
	mine, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mine.Close()
	port := mine.Addr().(*net.TCPAddr).Port
	_, theirs := lend(t, fmt.Sprintf("127.0.0.1:%d", port))
	_, err = env.Listen(t.Context(), "tcp", fmt.Sprintf("localhost:%d", port), 0)
	if want := fmt.Sprintf("\"sleep\" (process %d) has it", theirs); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// A connection can be in the way, too, though it does not listen.
func TestConnectionInTheWay(t *testing.T) {
	env := testEnv(t)
	l, err := env.Listen(t.Context(), "tcp", "127.0.0.1:0", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := env.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	again, err := env.Listen(t.Context(), "tcp", c.LocalAddr().String(), 0)
	if err == nil {
		again.Close()
	}
	if want := fmt.Sprintf("(process %d) has it", os.Getpid()); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestAddressesOfTheTable(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the addresses below are written as the kernel of a little-endian machine does")
	}
	for text, want := range map[string]string{
		"0100007F":                         "127.0.0.1",
		"00000000000000000000000001000000": "::1",
		"0000000000000000FFFF00000100007F": "127.0.0.1",
		"00000000":                         "0.0.0.0",
		"000080FE00000000FF005450B6AF29FE": "fe80::5054:ff:fe29:afb6",
	} {
		if got, ok := address(text); !ok || got.String() != want {
			t.Errorf("%s is read as %v, %v", text, got, ok)
		}
	}
	for _, bad := range []string{"", "00", "0100007", "x100007F", strings.Repeat("0", 40)} {
		if got, ok := address(bad); ok {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
}

func TestFreePortHasNoOwner(t *testing.T) {
	found := sockets{}
	found.read("/proc/net/tcp", netip.AddrPort{})
	if len(found) > 0 {
		t.Errorf("port 0 is taken by %v", found)
	}
	if name, pid := owner(sockets{"socket:[0]": true}, true); pid != "" {
		t.Errorf("%s (%s) has it", name, pid)
	}
}
