package secure

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
		for _, open := range [][2]*end{{a, b}, {b, a}} {
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
		if <-a.over; a.why != mine {
			t.Errorf("serving it: %v", a.why)
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
			"read":  func() error { _, err := x.Read(make([]byte, 1)); return err },
			"write": func() error { _, err := y.Write(make([]byte, 8<<20)); return err }, // the window is 2 MiB
			"serve": func() error { <-a.over; return a.why },
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
		<-b.over
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
			if _, err := b.accept(t).Read(make([]byte, 1)); err != io.EOF {
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
				<-a.over
				<-b.over
				close(ended)
			}()
			within(t, "the end of all goroutines", ended)
		}
	}
	inMemory(t, func(t *testing.T, net network) { end(t, net, 100) })
	t.Run("sockets", func(t *testing.T) { end(t, sockets, 10) })
}

// ReadSize is the most bytes of one read, however small it is.
