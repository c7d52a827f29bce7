package secure

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// network makes two ends of a connection.
type network func(t *testing.T) (net.Conn, net.Conn)

// everywhere runs a test in memory, where time is not real and no goroutine may
// be left, and over sockets.
func everywhere(t *testing.T, test func(*testing.T, network)) {
	t.Run("memory", func(t *testing.T) {
		inMemory(t, test)
	})
	t.Run("sockets", func(t *testing.T) {
		test(t, sockets)
	})
}

func inMemory(t *testing.T, test func(*testing.T, network)) {
	synctest.Test(t, func(t *testing.T) {
		test(t, func(*testing.T) (net.Conn, net.Conn) { return memnet.Pipe() })
		time.Sleep(time.Second) // lets everything that was closed notice it
	})
}

func sockets(t *testing.T) (net.Conn, net.Conn) { return socketPair(t) }

func testKey(t testing.TB, name string) *Key {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "keys", name))
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return k
}

func newTestKey(t testing.TB) *Key {
	t.Helper()
	k, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// system is what all nodes of a test know.
type system struct {
	names []kozo.NodeName
	keys  map[kozo.NodeName]*Key
}

func newSystem(t testing.TB, names ...kozo.NodeName) *system {
	s := &system{keys: map[kozo.NodeName]*Key{}}
	for _, n := range names {
		s.names = append(s.names, n)
		s.keys[n] = newTestKey(t)
	}
	return s
}

func (s *system) config(self kozo.NodeName) *Config {
	return &Config{
		Self: self,
		Key:  s.keys[self],
		Peer: func(n kozo.NodeName) (PublicKey, bool) {
			k, ok := s.keys[n]
			if !ok {
				return "", false
			}
			return k.Public(), true
		},
		NameOf: func(p PublicKey) (kozo.NodeName, bool) {
			for n, k := range s.keys {
				if k.Public() == p {
					return n, true
				}
			}
			return "", false
		},
		HandshakeTimeout: 10 * time.Second,
		IdleTimeout:      func(kozo.NodeName) time.Duration { return 25 * time.Second },
		ReadSize:         64 << 10,
	}
}

type outcome struct {
	conn *Conn
	err  error
}

// serve does the server's side of a handshake.
func serve(t testing.TB, conn net.Conn, cfg *Config) <-chan outcome {
	out := make(chan outcome, 1)
	go func() {
		c, err := Server(t.Context(), conn, cfg)
		out <- outcome{c, err}
	}()
	return out
}

// end is a connection that is served: the streams that come wait to be accepted.
type end struct {
	*Conn
	streams chan *Stream
	over    chan struct{}
	why     error // what Serve returned; valid after over is closed
}

func served(c *Conn) *end {
	e := &end{Conn: c, streams: make(chan *Stream, 100), over: make(chan struct{})}
	go func() {
		e.why = c.Serve(context.Background(), func(s *Stream) { e.streams <- s })
		close(e.over)
	}()
	return e
}

func (e *end) accept(t testing.TB) *Stream {
	t.Helper()
	select {
	case s := <-e.streams:
		return s
	case <-e.over:
		t.Fatal("the connection has ended:", e.Err())
	case <-t.Context().Done():
		t.Fatal("no stream came")
	}
	return nil
}

// connect makes a connection between two nodes.
func connect(t *testing.T, net network, client, server *Config) (*end, *end) {
	t.Helper()
	a, b := net(t)
	out := serve(t, b, server)
	c, err := Client(t.Context(), a, server.Self, client)
	if err != nil {
		t.Fatalf("client: %v (server: %v)", err, (<-out).err)
	}
	s := <-out
	if s.err != nil {
		t.Fatalf("server: %v", s.err)
	}
	t.Cleanup(func() {
		c.Close(nil)
		s.conn.Close(nil)
	})
	return served(c), served(s.conn)
}

// streams opens a stream and accepts it.
func streams(t *testing.T, from, to *end) (*Stream, *Stream) {
	t.Helper()
	a, err := from.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return a, to.accept(t)
}

func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not happen", what)
	}
}
