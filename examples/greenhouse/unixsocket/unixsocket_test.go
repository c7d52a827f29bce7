package unixsocket

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kozo"
	"kozo/kozotest"
)

func TestConformance(t *testing.T) {
	kozotest.TestTransport(t, kozotest.TransportTest{
		Type:    Type(),
		Options: kozo.Values{"path": socket(t)},
		Dialer:  kozo.Values{"path": kozo.Path("")},
		Skip:    map[string]string{"silence": "the system answers for every path at once"},
	})
}

// socket returns a path that is short enough.
func socket(t *testing.T) kozo.Path {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "kozo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return kozo.Path(filepath.Join(dir, "s"))
}

func TestSocketThatWasLeftBehind(t *testing.T) {
	path := socket(t)
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: string(path), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false) // as if its node were killed
	left.Close()
	tr, err := Type().New(kozo.Values{"path": path})
	if err != nil {
		t.Fatal(err)
	}
	env := &kozo.TransportEnv{
		Dial: new(net.Dialer).DialContext,
		Listen: func(ctx context.Context, network, address string, _ int) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, network, address)
		},
	}
	l, err := tr.Listen(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := tr.Listen(t.Context(), env); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a socket that is in use: %v", err)
	}
}

func TestPathThatIsTooLong(t *testing.T) {
	_, err := Type().New(kozo.Values{"path": kozo.Path("/" + strings.Repeat("x", 200))})
	if err == nil || !strings.Contains(err.Error(), "path: the path of a socket has at most 103 bytes") {
		t.Errorf("a long path: %v", err)
	}
}
