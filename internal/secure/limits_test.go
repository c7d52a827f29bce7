package secure

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
)

func TestSilenceEndsTheConnection(t *testing.T) {
	inMemory(t, func(t *testing.T, _ network) {
		s := newSystem(t, "clock", "scribe")
		var ends [2]*memnet.Conn
		a, b := connect(t, func(*testing.T) (net.Conn, net.Conn) {
			x, y := memnet.Pipe()
			ends = [2]*memnet.Conn{x.(*memnet.Conn), y.(*memnet.Conn)}
			return x, y
		}, s.config("clock"), s.config("scribe"))
		from, to := streams(t, a, b)
		synctest.Wait()
		start := time.Now()
		ends[1].BlackHole() // the client hears nothing any more
		alive := time.AfterFunc(20*time.Second, func() { from.Write([]byte("x")) })
		defer alive.Stop()
		if _, err := from.Read(make([]byte, 1)); err == nil {
			t.Error("something was read")
		}
		if took := time.Since(start); took != 25*time.Second {
			t.Errorf("the client noticed after %v", took)
		}
		says(t, "client", a.Err(), "nothing received for 25s")
		if _, err := from.Write([]byte("x")); err != a.Err() {
			t.Errorf("writing says %v", err)
		}
		if _, err := to.Read(make([]byte, 1)); err != nil {
			t.Error(err) // what had arrived before
		}
		if _, err := to.Read(make([]byte, 1)); err != b.Err() || !errors.Is(err, ErrPeerClosed) {
			t.Errorf("the server says %v, its reader %v", b.Err(), err)
		}
	})
}

func beat(s *Stream, c *Conn, every time.Duration) {
	for {
		s.Write([]byte("beat"))
		select {
		case <-c.Done():
			return
		case <-time.After(every):
		}
	}
}

func TestSlowLineIsAlive(t *testing.T) {
	inMemory(t, func(t *testing.T, _ network) {
		s := newSystem(t, "clock", "scribe")
		slow := memnet.Conditions{Bandwidth: 20_000, Latency: 300 * time.Millisecond}
		a, b := connect(t, func(*testing.T) (net.Conn, net.Conn) {
			x, y := memnet.Pipe()
			x.(*memnet.Conn).Shape(slow)
			y.(*memnet.Conn).Shape(slow)
			return x, y
		}, s.config("clock"), s.config("scribe"))
		from, to := streams(t, a, b)
		go beat(to, b.Conn, 10*time.Second)
		const size = 4 << 20
		go from.Write(make([]byte, size))
		start := time.Now()
		if _, err := io.CopyN(io.Discard, to, size); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 200*time.Second {
			t.Errorf("the line was not slow: %v", took)
		}
	})
}

func TestTrickleIsAlive(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		x, y := streams(t, a, b)
		for range 100 {
			time.Sleep(24 * time.Second)
			for _, way := range [][2]*Stream{{x, y}, {y, x}} {
				if _, err := way[0].Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				if _, err := way[1].Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	inMemory(t, func(t *testing.T, _ network) {
		s := newSystem(t, "clock", "scribe")
		var out *memnet.Conn
		a, b := connect(t, func(*testing.T) (net.Conn, net.Conn) {
			x, y := memnet.Pipe()
			out = x.(*memnet.Conn)
			return x, y
		}, s.config("clock"), s.config("scribe"))
		from, to := streams(t, a, b)
		out.Freeze(true) // nothing that a sends arrives, and then there is no room
		go beat(to, a.Conn, 5*time.Second)
		b.raw.idle.Store(int64(time.Hour)) // it would notice the silence
		start := time.Now()
		_, err := from.Write(make([]byte, 1<<20))
		says(t, "writer", err, "nothing could be sent for 25s")
		if took := time.Since(start); took != 25*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestIdleConnectionKeepsNoBuffer(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		x, y := streams(t, a, b)
		go x.Write(make([]byte, 1<<20))
		if _, err := io.CopyN(io.Discard, y, 1<<20); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if b.raw.want <= smallRead {
			t.Error("reads did not become larger under load")
		}
		for range 5 {
			if _, err := x.Write([]byte("beat")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if b.raw.want != smallRead || b.raw.buffer != nil {
			t.Errorf("an idle connection reads %d bytes at a time and keeps %d", b.raw.want, len(b.raw.buffer))
		}
		if a.raw.buffer != nil {
			t.Errorf("the other side keeps %d bytes", len(a.raw.buffer))
		}
	})
}

// TestIdleConnectionHasFewGoroutines counts them: each has a stack, and there are
// many connections. The ssh package has three, and one serves the connection.
func TestIdleConnectionHasFewGoroutines(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		before, conns := runtime.NumGoroutine(), 10
		for range conns {
			a, b := connect(t, net, s.config("clock"), s.config("scribe"))
			streams(t, a, b)
			streams(t, b, a)
		}
		synctest.Wait()
		if each := float64(runtime.NumGoroutine()-before) / float64(2*conns); each != 4 {
			t.Errorf("%v goroutines for each end of an idle connection with two streams", each)
		}
	})
}

func TestReadSizeIsKept(t *testing.T) {
	for _, size := range []int{512, 5000, 64 << 10} {
		inMemory(t, func(t *testing.T, _ network) {
			s := newSystem(t, "clock", "scribe")
			server := s.config("scribe")
			server.ReadSize = size
			spy := &readSpy{}
			a, b := connect(t, func(*testing.T) (net.Conn, net.Conn) {
				x, y := memnet.Pipe()
				spy.Conn = y
				return x, spy
			}, s.config("clock"), server)
			x, y := streams(t, a, b)
			go x.Write(make([]byte, 1<<20))
			if _, err := io.CopyN(io.Discard, y, 1<<20); err != nil {
				t.Fatal(err)
			}
			a.Close(nil)
			<-b.over
			if spy.most > size || spy.most < size*3/4 {
				t.Errorf("ReadSize is %d, and %d bytes were asked for at a time", size, spy.most)
			}
		})
	}
}

type readSpy struct {
	net.Conn
	most int
}

func (s *readSpy) Read(p []byte) (int, error) {
	s.most = max(s.most, len(p))
	return s.Conn.Read(p)
}

func TestPaddingIsNotRepeated(t *testing.T) {
	var p padding
	seen := map[string]bool{}
	for range 1000 {
		b := make([]byte, 16)
		if n, err := p.Read(b); n != 16 || err != nil {
			t.Fatal(n, err)
		}
		if seen[string(b)] {
			t.Fatal("the same bytes came twice")
		}
		seen[string(b)] = true
	}
	if bytes.Contains(p.buffer[p.left:], []byte{1}) || p.left == len(p.buffer) {
		t.Error("bytes that were handed out are kept")
	}
	if n, err := p.Read(make([]byte, 4096)); n != 4096 || err != nil {
		t.Error(n, err)
	}
}

func TestOneSideMayWaitLonger(t *testing.T) {
	inMemory(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		client := s.config("clock")
		client.IdleTimeout = func(peer kozo.NodeName) time.Duration {
			if peer != "scribe" {
				t.Errorf("asked about %s", peer)
			}
			return time.Minute
		}
		a, b := connect(t, net, client, s.config("scribe"))
		start := time.Now()
		<-a.Done()
		if took := time.Since(start); took != 25*time.Second || !strings.Contains(b.Err().Error(), "25s") || a.Err() != ErrPeerClosed {
			t.Errorf("after %v: %v, %v", took, a.Err(), b.Err())
		}
	})
}
