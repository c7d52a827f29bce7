package onion

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/hostnet"
	"kozo/internal/resolve"
	"kozo/internal/torlab"
)

// world is the Tor network that the tests of this package share.
type world struct {
	once       sync.Once
	err        error
	dir        string
	net        *torlab.Network
	home, away *torlab.Tor // of the node that is dialled, and of those that dial
	port       kozo.Port   // to which the service in the torrc of home leads
}

var shared world

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.net != nil {
		shared.net.Close()
		_ = os.RemoveAll(shared.dir)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// lab returns the network, and makes it for the first test that asks.
func lab(t *testing.T) *world {
	t.Helper()
	if missing := torlab.Missing(); len(missing) > 0 {
		t.Skip("not installed: ", strings.Join(missing, ", "))
	}
	shared.once.Do(func() { shared.err = shared.build() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return &shared
}

func (w *world) build() error {
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	var err error
	if w.dir, err = os.MkdirTemp("", "kozo-tor-"); err != nil {
		return err
	}
	if w.net, err = torlab.New(ctx, w.dir); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.port = kozo.Port(l.Addr().(*net.TCPAddr).Port)
	_ = l.Close()
	w.home, err = w.net.Client(ctx, torlab.Client{Name: "home", Lines: []string{
		"HiddenServiceDir " + filepath.Join(w.dir, "home", "service"), fmt.Sprintf("HiddenServicePort 9001 127.0.0.1:%d", w.port),
	}})
	if err != nil {
		return err
	}
	if w.away, err = w.net.Client(ctx, torlab.Client{Name: "away"}); err != nil {
		return err
	}
	if err := w.home.Joined(ctx); err != nil {
		return err
	}
	return w.away.Joined(ctx)
}

// torrcAddress is the name of the service that the torrc of home describes.
func (w *world) torrcAddress(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.home.Dir(), "service", "hostname"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func testEnv(t *testing.T, name kozo.NodeName, peers ...kozo.Transport) *kozo.TransportEnv {
	env := hostnet.Env(name, resolve.New(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	for _, p := range peers {
		env.Peers = append(env.Peers, kozo.Remote{Transport: p})
	}
	return env
}

// freePort is a port that is free now.
func freePort(t *testing.T) kozo.Port {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return kozo.Port(l.Addr().(*net.TCPAddr).Port)
}

// own returns the options of a node that makes its own service with the tor of
// home, its keys being in a new file.
func (w *world) own(t *testing.T, more kozo.Values) kozo.Values {
	t.Helper()
	v := kozo.Values{
		"controlPort": w.home.Control(), "socksProxy": w.home.Socks(), "port": freePort(t),
		"keyFile": kozo.Path(filepath.Join(t.TempDir(), "keys")),
	}
	for k, value := range more {
		v[k] = value
	}
	announced, err := newTransport(t, v).Announce(&kozo.TransportEnv{})
	if err != nil {
		t.Fatal(err)
	}
	for k, value := range announced {
		v[k] = value
	}
	return v
}

// known returns the options of a node with the service in the torrc of home, when
// the network knows of it.
func (w *world) known(t *testing.T) kozo.Values {
	t.Helper()
	v := kozo.Values{"address": w.torrcAddress(t), "port": w.port, "onionPort": kozo.Port(9001), "socksProxy": w.home.Socks()}
	tr := newTransport(t, v)
	l, ended := serve(t, tr, testEnv(t, "home"))
	reach(t, newTransport(t, w.outgoing()), testEnv(t, "away"), tr.Endpoints()[0])
	_ = l.Close()
	<-ended
	return v
}

// outgoing returns the options of a node that only dials, through the tor of
// away.
func (w *world) outgoing() kozo.Values {
	return kozo.Values{"outgoingOnly": true, "socksProxy": w.away.Socks()}
}

// serve listens and echoes until the test ends or the listener fails, whose
// error it returns.
func serve(t *testing.T, tr *transport, env *kozo.TransportEnv) (net.Listener, <-chan error) {
	t.Helper()
	l, err := tr.Listen(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	var conns sync.WaitGroup
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				conns.Wait()
				ended <- err
				return
			}
			conns.Go(func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			})
		}
	}()
	t.Cleanup(func() { l.Close() })
	return l, ended
}

// reach dials until there is an echo, as a link would.
func reach(t *testing.T, tr kozo.Transport, env *kozo.TransportEnv, endpoint string) {
	t.Helper()
	begun := time.Now()
	for {
		err := echoes(tr, env, endpoint)
		if err == nil {
			t.Logf("reached %s after %v", endpoint, time.Since(begun).Round(time.Millisecond))
			return
		}
		if time.Since(begun) > 120*time.Second {
			t.Fatalf("%s was not reached: %v", endpoint, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func echoes(tr kozo.Transport, env *kozo.TransportEnv, endpoint string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	c, err := tr.Dial(ctx, env, endpoint)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write([]byte("tick")); err != nil {
		return err
	}
	text := make([]byte, 4)
	if _, err := io.ReadFull(c, text); err != nil {
		return err
	}
	if string(text) != "tick" {
		return fmt.Errorf("the echo is %q", text)
	}
	return nil
}
