package keys

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
)

func TestBothEndsProveThemselves(t *testing.T) {
	dir := t.TempDir()
	if err := Make(dir); err != nil {
		t.Fatal(err)
	}
	server, err := TLS(dir, Server)
	if err != nil {
		t.Fatal(err)
	}
	client, err := TLS(dir, Client)
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, server, client); err != nil {
		t.Error(err)
	}
	client.Certificates = nil
	if err := handshake(t, server, client); err == nil {
		t.Error("a client without a certificate is let in")
	}
}

// handshake returns what the server says of it.
func handshake(t *testing.T, server, client *tls.Config) (err error) {
	l, lerr := net.Listen("tcp", "127.0.0.1:0")
	if lerr != nil {
		t.Fatal(lerr)
	}
	defer l.Close()
	var done sync.WaitGroup
	defer done.Wait()
	done.Go(func() {
		if c, err := tls.Dial("tcp", l.Addr().String(), client); err == nil {
			c.Close()
		}
	})
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return tls.Server(conn, server).Handshake()
}
