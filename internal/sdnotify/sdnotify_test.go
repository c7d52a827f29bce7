package sdnotify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

// manager listens as systemd does.
func manager(t *testing.T, address string) func() string {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestNotices(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no datagram sockets in the file system")
	}
	dir, err := os.MkdirTemp("", "sd") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	addresses := map[string]string{"path": filepath.Join(dir, "notify")}
	if runtime.GOOS == "linux" {
		addresses["abstract"] = fmt.Sprintf("@kozo-sdnotify-test-%d", os.Getpid())
	}
	for name, address := range addresses {
		t.Run(name, func(t *testing.T) {
			read := manager(t, address)
			n := FromEnv(env(map[string]string{"NOTIFY_SOCKET": address}), 1)
			for _, c := range []struct {
				send func() error
				want string
			}{
				{n.Ready, "READY=1"},
				{func() error { return n.Status("2 of 3 links up\nREADY=1") }, "STATUS=2 of 3 links up READY=1"},
				{n.Alive, "WATCHDOG=1"},
				{n.Stopping, "STOPPING=1"},
			} {
				if err := c.send(); err != nil {
					t.Fatal(err)
				}
				if got := read(); got != c.want {
					t.Errorf("sent %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want time.Duration
	}{
		{"none", map[string]string{"NOTIFY_SOCKET": "/x"}, 0},
		{"ours", map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "2500000", "WATCHDOG_PID": "7"}, 2500 * time.Millisecond},
		{"without a process", map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000"}, time.Second},
		{"of another process", map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "8"}, 0},
		{"nobody listens", map[string]string{"WATCHDOG_USEC": "1000000"}, 0},
		{"nonsense", map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-3"}, 0},
	} {
		if got := FromEnv(env(c.env), 7).Watchdog(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	if err := FromEnv(env(nil), 1).Ready(); err != nil {
		t.Errorf("without a socket: %v", err)
	}
	if err := new(Notifier).Ready(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
	err := FromEnv(env(map[string]string{"NOTIFY_SOCKET": "relative"}), 1).Ready()
	if err == nil || !strings.Contains(err.Error(), `"relative"`) {
		t.Errorf("a relative path: %v", err)
	}
	if err := FromEnv(env(map[string]string{"NOTIFY_SOCKET": "/nowhere/at/all"}), 1).Ready(); err == nil {
		t.Error("a socket that is not there gives no error")
	}
}
