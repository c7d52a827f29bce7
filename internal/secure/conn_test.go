package secure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo"
	"kozo/internal/memnet"
)

func TestStreamsCarryBytesBothWays(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		const size = 5 << 20 // more than the window
		data := bytes.Repeat([]byte("tick tock "), size/10)
		want := sha256.Sum256(data)
		var ends sync.WaitGroup
		// Streams go both ways, whoever opened them and whoever dialled.
		for _, open := range [][2]*Conn{{a, b}, {b, a}} {
			x, y := streams(t, open[0], open[1])
			for _, way := range [][2]*Stream{{x, y}, {y, x}} {
				ends.Go(func() {
					for rest := data; len(rest) > 0; {
						n, err := way[0].Write(rest[:min(len(rest), 50_000)])
						if err != nil {
							t.Error(err)
							return
						}
						rest = rest[n:]
					}
				})
				ends.Go(func() {
					sum := sha256.New()
					if _, err := io.CopyN(sum, way[1], int64(len(data))); err != nil {
						t.Error(err)
					}
					if !bytes.Equal(sum.Sum(nil), want[:]) {
						t.Error("other bytes arrived than were sent")
					}
				})
			}
		}
		ends.Wait()
	})
}

func TestClosedStreamEndsAfterWhatWasWritten(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		for range 3 * maxStreams { // each close makes room for the next
			x, y := streams(t, a, b)
			if _, err := x.Write([]byte("farewell")); err != nil {
				t.Fatal(err)
			}
			if err := x.Close(); err != nil {
				t.Error(err)
			}
			if text, err := io.ReadAll(y); err != nil || string(text) != "farewell" {
				t.Errorf("read %q, %v", text, err)
			}
			if _, err := y.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("writing after the end: %v", err)
			}
			if err := y.Close(); err != nil {
				t.Error(err)
			}
			waitFor(t, func() bool { return b.inbound.Load() == 0 })
		}
		if a.Err() != nil || b.Err() != nil {
			t.Errorf("the connection ended: %v, %v", a.Err(), b.Err())
		}
	})
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen")
		}
	}
}

func TestCountersAgree(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		x, y := streams(t, a, b)
		before := a.Sent()
		if _, err := x.Write(make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(y, make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		if sent := a.Sent() - before; sent < 10_000 || sent > 10_500 {
			t.Errorf("10000 bytes took %d", sent)
		}
		waitFor(t, func() bool { return a.Sent() == b.Received() && b.Sent() == a.Received() })
		if a.RemoteAddr() == "" || a.RemoteAddr() == "unknown" {
			t.Errorf("the other end is at %q", a.RemoteAddr())
		}
	})
}

// intruder is a node of the system that does not behave.
func intruder(t *testing.T, net network, s *system) (ssh.Conn, *Conn) {
	t.Helper()
	a, b := net(t)
	out := serve(t, b, s.config("scribe"))
	c, chans, reqs, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{
		User: "clock", Auth: []ssh.AuthMethod{ssh.PublicKeys(s.keys["clock"].signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	go func() {
		for c := range chans {
			c.Reject(ssh.Prohibited, "")
		}
	}()
	o := <-out
	if o.err != nil {
		t.Fatal(o.err)
	}
	t.Cleanup(func() {
		c.Close()
		o.conn.Close(nil)
	})
	return c, o.conn
}

func TestOnlyStreamsCanBeOpened(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		c, conn := intruder(t, net, newSystem(t, "clock", "scribe"))
		for _, typ := range []string{"session", "direct-tcpip", "forwarded-tcpip", "x11", "auth-agent@openssh.com", "tun@openssh.com", "", "kozo@2"} {
			_, _, err := c.OpenChannel(typ, make([]byte, 100))
			refusal, ok := errors.AsType[*ssh.OpenChannelError](err)
			if !ok || refusal.Reason != ssh.UnknownChannelType {
				t.Errorf("%q: %v", typ, err)
			}
		}
		for _, typ := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "keepalive@openssh.com"} {
			if ok, _, err := c.SendRequest(typ, true, []byte("x")); ok || err != nil {
				t.Errorf("request %s: %v, %v", typ, ok, err)
			}
		}
		channel, reqs, err := c.OpenChannel(channelType, nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		for _, typ := range []string{"exec", "shell", "subsystem", "pty-req", "env"} {
			if ok, err := channel.SendRequest(typ, true, []byte("\x00\x00\x00\x02id")); ok || err != nil {
				t.Errorf("request %s: %v, %v", typ, ok, err)
			}
		}
		if conn.Err() != nil {
			t.Errorf("the connection ended: %v", conn.Err())
		}
	})
}

func TestPeerCannotOpenManyStreams(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		c, conn := intruder(t, net, newSystem(t, "clock", "scribe"))
		var opened []ssh.Channel
		for range 1000 {
			channel, reqs, err := c.OpenChannel(channelType, nil)
			if err == nil {
				go ssh.DiscardRequests(reqs)
				opened = append(opened, channel)
			} else if refusal, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refusal.Reason != ssh.ResourceShortage {
				t.Fatal(err)
			}
		}
		if len(opened) != maxStreams {
			t.Errorf("%d streams were let in", len(opened))
		}
		// One that is closed on one side only still counts: it can hold data.
		first, err := conn.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		opened[0].Close()
		waitFor(t, func() bool { return conn.inbound.Load() == maxStreams-1 })
		if _, err := io.ReadAll(first); err != nil {
			t.Error(err)
		}
		channel, reqs, err := c.OpenChannel(channelType, nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		channel.Close()
	})
}

func TestFloodOfRequestsIsSurvived(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		c, conn := intruder(t, net, newSystem(t, "clock", "scribe"))
		channel, reqs, err := c.OpenChannel(channelType, nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		for range 5000 {
			if _, _, err := c.SendRequest("x", false, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if _, err := channel.SendRequest("x", false, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := channel.Stderr().Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		stream, err := conn.Accept(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go channel.Write([]byte("still here"))
		if _, err := io.ReadFull(stream, make([]byte, 10)); err != nil {
			t.Error(err)
		}
	})
}

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

// beat does what a heartbeat does, until a connection ends.
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

// A message that takes minutes on a slow line is no reason to think that the
// other side is dead, in either direction.
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
		go beat(to, b, 10*time.Second)
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

// A peer that goes on sending but takes nothing must not hold writers for ever.
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
		go beat(to, a, 5*time.Second)
		b.raw.limit.Lock()
		b.raw.limit.idle = time.Hour // it would notice the silence
		b.raw.SetReadDeadline(time.Now().Add(time.Hour))
		b.raw.limit.Unlock()
		start := time.Now()
		_, err := from.Write(make([]byte, 1<<20))
		says(t, "writer", err, "nothing could be sent for 25s")
		if took := time.Since(start); took != 25*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestWhyItEnded(t *testing.T) {
	s := newSystem(t, "clock", "scribe")
	inMemory(t, func(t *testing.T, net network) {
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		mine := errors.New("replaced")
		a.Close(mine)
		a.Close(errors.New("too late"))
		if a.Err() != mine {
			t.Errorf("the reason is %v", a.Err())
		}
		<-b.Done()
		if b.Err() != ErrPeerClosed {
			t.Errorf("the other side says %v", b.Err())
		}
		if _, err := a.Open(t.Context()); err != mine {
			t.Errorf("opening a stream: %v", err)
		}
		if _, err := a.Accept(t.Context()); err != mine {
			t.Errorf("accepting a stream: %v", err)
		}

		a, b = connect(t, net, s.config("clock"), s.config("scribe"))
		a.Close(nil)
		if a.Err() != ErrClosed {
			t.Errorf("without a reason it is %v", a.Err())
		}
		<-b.Done()

		a, b = connect(t, net, s.config("clock"), s.config("scribe"))
		b.raw.Conn.(*memnet.Conn).Reset()
		<-a.Done()
		<-b.Done()
		if a.Err() != ErrReset || b.Err() != ErrReset {
			t.Errorf("after a reset: %v, %v", a.Err(), b.Err())
		}

		a, b = connect(t, net, s.config("clock"), s.config("scribe"))
		b.raw.Conn.Write(make([]byte, 100)) // not encrypted
		<-a.Done()
		says(t, "client", a.Err(), "broke the protocol", "message authentication failed")
	})
	t.Run("sockets", func(t *testing.T) {
		a, b := connect(t, sockets, s.config("clock"), s.config("scribe"))
		b.raw.Conn.(*net.TCPConn).SetLinger(0)
		b.Close(nil)
		within(t, "the end", a.Done())
		if a.Err() != ErrReset {
			t.Errorf("after a reset: %v", a.Err())
		}
	})
}

func TestCloseUnblocksEverything(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		x, _ := streams(t, a, b)
		y, _ := streams(t, a, b)
		var waiting sync.WaitGroup
		reason := errors.New("enough")
		for what, wait := range map[string]func() error{
			"read":   func() error { _, err := x.Read(make([]byte, 1)); return err },
			"write":  func() error { _, err := y.Write(make([]byte, 8<<20)); return err }, // the window is 2 MiB
			"accept": func() error { _, err := a.Accept(context.Background()); return err },
		} {
			waiting.Go(func() {
				if err := wait(); err != reason {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		waitFor(t, func() bool { return a.Sent() > 2<<20 })
		a.Close(reason)
		waiting.Wait()
		a.Wait()
		b.Wait()
	})
}

func TestOpenDoesNotWaitForSilentPeers(t *testing.T) {
	inMemory(t, func(t *testing.T, _ network) {
		s := newSystem(t, "clock", "scribe")
		var in *memnet.Conn
		a, b := connect(t, func(*testing.T) (net.Conn, net.Conn) {
			x, y := memnet.Pipe()
			in = y.(*memnet.Conn)
			return x, y
		}, s.config("clock"), s.config("scribe"))
		in.Freeze(true)
		for range maxOpens {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := a.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("opening a stream: %v", err)
			}
			cancel()
		}
		if _, err := a.Open(t.Context()); err != errCannotOpen {
			t.Errorf("after %d attempts: %v", maxOpens, err)
		}
		in.Freeze(false)
		synctest.Wait()
		// What came too late was closed.
		for range maxOpens {
			late, err := b.Accept(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := late.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("a stream that nobody has says %v", err)
			}
		}
		if _, err := a.Open(t.Context()); err != nil {
			t.Errorf("after the answers: %v", err)
		}
	})
}

func TestRefusedStreamIsSaid(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		s := newSystem(t, "clock", "scribe")
		a, b := connect(t, net, s.config("clock"), s.config("scribe"))
		for range maxStreams {
			streams(t, a, b)
		}
		_, err := a.Open(t.Context())
		says(t, "opener", err, "scribe refused the stream: too many")
	})
}

// Streams that are opened while the connection ends must leave nothing behind.
func TestOpenAtTheEnd(t *testing.T) {
	end := func(t *testing.T, net network, times int) {
		s := newSystem(t, "clock", "scribe")
		client, server := s.config("clock"), s.config("scribe")
		for i := range times {
			a, b := connect(t, net, client, server)
			var opening sync.WaitGroup
			for range maxOpens {
				opening.Go(func() { a.Open(t.Context()) })
			}
			if i%2 == 0 {
				b.Close(nil)
			} else {
				a.Close(nil)
			}
			opening.Wait()
			a.Close(nil)
			b.Close(nil)
			ended := make(chan struct{})
			go func() {
				a.Wait()
				b.Wait()
				close(ended)
			}()
			within(t, "the end of all goroutines", ended)
		}
	}
	inMemory(t, func(t *testing.T, net network) { end(t, net, 100) })
	t.Run("sockets", func(t *testing.T) { end(t, sockets, 10) })
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

// ReadSize is the most bytes of one read, however small it is.
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
			b.Wait()
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
