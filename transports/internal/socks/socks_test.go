package socks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kozo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testEnv() *kozo.TransportEnv {
	var d net.Dialer
	return &kozo.TransportEnv{
		Node: "clock", Dial: d.DialContext, Log: slog.New(slog.DiscardHandler),
		Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
}

// proxy runs a server for one connection, and returns where it is.
func proxy(t *testing.T, network, address string, serve func(net.Conn)) Proxy {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		serve(c)
	}()
	t.Cleanup(func() { l.Close(); <-done })
	p, err := Parse(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func take(c net.Conn, n int) string {
	b := make([]byte, n)
	k, _ := io.ReadFull(c, b)
	return string(b[:k])
}

func TestConnects(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	for _, place := range [][2]string{{"tcp", "127.0.0.1:0"}, {"unix", socket}} {
		got := make(chan string, 3)
		p := proxy(t, place[0], place[1], func(c net.Conn) {
			got <- take(c, 4)
			c.Write([]byte{5, 2})
			got <- take(c, 1+1+len("kozo clock")+1+len("scribe"))
			c.Write([]byte{1, 0})
			got <- take(c, 5+len("x.onion")+2)
			c.Write(append([]byte{5, 0, 0, 3, 3}, "abc\x00\x00hello"...))
			take(c, 1)
		})
		c, err := p.Dial(t.Context(), testEnv(), "scribe", "x.onion:9001")
		if err != nil {
			t.Fatal(err)
		}
		if text := take(c, 5); text != "hello" {
			t.Errorf("the stream begins with %q", text)
		}
		c.Close()
		for i, want := range []string{"\x05\x02\x00\x02", "\x01\x0akozo clock\x06scribe", "\x05\x01\x00\x03\x07x.onion\x23\x29"} {
			if have := <-got; have != want {
				t.Errorf("message %d is %q, want %q", i, have, want)
			}
		}
	}
}

func TestWhatGoesWrong(t *testing.T) {
	answer := func(reply string) func(net.Conn) {
		return func(c net.Conn) {
			take(c, 4)
			c.Write([]byte(reply))
			take(c, 1000)
		}
	}
	refuse := func(code byte) func(net.Conn) {
		return func(c net.Conn) {
			take(c, 4)
			c.Write([]byte{5, 0})
			take(c, 5+len("x.onion")+2)
			c.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
		}
	}
	for want, serve := range map[string]func(net.Conn){
		"is no SOCKS 5 proxy":      answer("HTTP/1.1 400"),
		"wants a password":         answer("\x05\xff"),
		"hung up":                  func(net.Conn) {},
		"the service has vanished": refuse(0xf0),
		"clientKey":                refuse(0xf4),
		"malformed":                refuse(0xf6),
		"nobody listens behind it": refuse(5),
		"code 0x77":                refuse(0x77),
	} {
		c, err := proxy(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
			c.SetDeadline(time.Now().Add(300 * time.Millisecond))
			serve(c)
		}).Dial(t.Context(), testEnv(), "", "x.onion:9001")
		if err == nil {
			c.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	// Nobody is there.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p, _ := Parse(l.Addr().String())
	_, err = p.Dial(t.Context(), testEnv(), "", "x.onion:1")
	if _, ok := errors.AsType[*Unreachable](err); !ok || !strings.Contains(err.Error(), "(connection refused); start it") {
		t.Errorf("without a proxy: %v", err)
	}
	p, _ = Parse(filepath.Join(t.TempDir(), "none"))
	if _, err = p.Dial(t.Context(), testEnv(), "", "x.onion:1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a socket: %v", err)
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := proxy(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		take(c, 4)
		cancel()
		take(c, 1)
	})
	if c, err := p.Dial(ctx, testEnv(), "", "x.onion:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", c, err)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]Proxy{
		"9050":               {"tcp", "127.0.0.1:9050"},
		"localhost:9150":     {"tcp", "localhost:9150"},
		"[::1]:9050":         {"tcp", "[::1]:9050"},
		"/run/tor/socks":     {"unix", "/run/tor/socks"},
		"unix:/run/tor/sock": {"unix", "/run/tor/sock"},
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "tor", "0", ":9050", "a:b:1", "host:", "host:65536", "unix:"} {
		if p, err := Parse(text); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
}

// A path that leads nowhere is given up, and another one asked for.
func TestEachTryHasAnotherPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var users []string
		var serving sync.WaitGroup
		env := testEnv()
		env.Dial = func(context.Context, string, string) (net.Conn, error) {
			a, b := net.Pipe()
			serving.Go(func() {
				defer b.Close()
				take(b, 4)
				b.Write([]byte{5, 2})
				take(b, 2+len("kozo clock"))
				users = append(users, take(b, 1+len("x.onion:1 0"))[1:])
				b.Write([]byte{1, 0})
				take(b, 1000)
			})
			return a, nil
		}
		tor := Tor{Proxy: Proxy{"tcp", "127.0.0.1:9050"}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*pathTime-time.Second)
		defer cancel()
		if _, err := tor.Dial(ctx, env, "x.onion:1"); !errors.Is(err, ErrNoPath) {
			t.Errorf("%v", err)
		}
		serving.Wait()
		if want := []string{"x.onion:1 0", "x.onion:1 1", "x.onion:1 2"}; !slices.Equal(users, want) {
			t.Errorf("it asked for %q", users)
		}
	})
}
