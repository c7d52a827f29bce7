package torlab

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"
)

// The network is a real one: it gives an onion service a name and leads to it.
func TestNetwork(t *testing.T) {
	if missing := Missing(); len(missing) > 0 {
		t.Skip("not installed: ", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 120*time.Second)
	defer cancel()
	n, err := New(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go echo(l)
	c, err := n.Client(ctx, Client{Name: "client0", Lines: []string{"HiddenServiceDir " + n.dir + "/client0/hs", "HiddenServicePort 80 " + l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	name, err := os.ReadFile(filepath.Join(c.Dir(), "hs", "hostname"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := proxy.SOCKS5("tcp", c.Socks(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	// It may not be described yet, and what meets a service that has just come up
	// can still be lost.
	for {
		soon, cancel := context.WithTimeout(ctx, 60*time.Second)
		a, err := p.(proxy.ContextDialer).DialContext(soon, "tcp", strings.TrimSpace(string(name))+":80")
		cancel()
		if err == nil {
			err = talk(a)
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}

	c.Kill()
	if _, err := c.ask(ctx, "GETINFO version"); err == nil {
		t.Error("it still answers")
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Joined(ctx); err != nil {
		t.Fatal(err)
	}
}

func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}()
	}
}

func talk(c net.Conn) error {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.Write([]byte("tick")); err != nil {
		return err
	}
	text := make([]byte, 4)
	_, err := io.ReadFull(c, text)
	if err == nil && string(text) != "tick" {
		err = fmt.Errorf("it echoes %q", text)
	}
	return err
}
