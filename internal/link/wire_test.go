package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/status"
	"kozo/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeConn is a connection of one stream, whose other end a test holds.
type fakeConn struct{ stream net.Conn }

func (c *fakeConn) Open(context.Context) (io.ReadWriteCloser, error) { return c.stream, nil }
func (c *fakeConn) Close(error)                                      { _ = c.stream.Close() }

// far is the other end of a stream: a test that speaks the protocol by hand.
type far struct {
	t      *testing.T
	conn   net.Conn
	reader *wire.Reader
}

func newFar(t *testing.T, conn net.Conn) *far {
	return &far{t, conn, wire.NewReader(conn, 1<<20)}
}

func (f *far) write(frames ...[]byte) {
	f.t.Helper()
	if _, err := f.conn.Write(slices.Concat(frames...)); err != nil {
		f.t.Fatal(err)
	}
}

// read returns the next frame that is not of a type to pass over.
func (f *far) read(pass ...wire.Type) (wire.Type, []byte) {
	f.t.Helper()
	for {
		typ, payload, err := f.reader.Next()
		if err != nil {
			f.t.Fatal(err)
		}
		if !slices.Contains(pass, typ) {
			return typ, payload
		}
	}
}

func (f *far) want(typ wire.Type, pass ...wire.Type) []byte {
	f.t.Helper()
	got, payload := f.read(pass...)
	if got != typ {
		f.t.Fatalf("got %v, want %v", got, typ)
	}
	return payload
}

func (f *far) hello() wire.Hello {
	f.t.Helper()
	h, err := wire.ParseHello(f.want(wire.TypeHello))
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}

func message(typ string) []byte {
	return wire.AppendMessage(nil, &kozo.Message{Kind: kozo.Event, Type: typ, From: kozo.RoleRef{Role: "timer1"}, Time: time.Now()})
}

// grease are frames that no version assigns, which everybody must skip.
var grease = wire.AppendFrame(wire.AppendFrame(nil, wire.FirstUnassigned, []byte("hop")), 0xff, nil)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// dialled runs a link whose every dial hands the other end to the test.
func dialled(t *testing.T, change func(*Config)) (*Link, <-chan *far) {
	fars := make(chan *far)
	cfg := Config{
		Peer: "b", Since: time.Now(), Heartbeat: 10 * time.Second, Retry: time.Minute,
		QueueLength: 10, QueueSize: 1 << 16, QueueAge: time.Minute,
		Boot: wire.Boot{1}, Program: "kozo test", MaxFrame: 1 << 20,
		Ride:       func() Conn { return nil },
		OnInterest: func([]kozo.Filter) {}, OnHello: func(*wire.Hello) {}, Log: quiet(),
	}
	cfg.Targets = []Target{{
		Transport: "tcp", Endpoint: "b:1", Timeout: 10 * time.Second,
		Dial: func(ctx context.Context, _ func()) (Conn, error) {
			near, other := memnet.Pipe()
			select {
			case fars <- newFar(t, other):
				return &fakeConn{near}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}}
	if change != nil {
		change(&cfg)
	}
	l := New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return l, fars
}

func snapshot(l *Link) status.Link {
	var s status.Link
	l.Fill(&s)
	return s
}

func TestLinkSkipsWhatItDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, nil)
		f := <-fars
		f.hello()
		f.write(grease, wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}), grease)
		l.Offer(message("x"), nil, time.Now())
		f.want(wire.TypeMessage, wire.TypePing)
		f.write(grease, wire.AppendAck(nil, wire.Ack{Seen: 1}), grease)
		synctest.Wait()
		if s := snapshot(l); s.State != stateUp || s.Out.Delivered != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestPeerCannotConfirmWhatWasNeverSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, nil)
		f := <-fars
		f.hello()
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}, KnownBoot: wire.Boot{1}, Seen: 1 << 60}))
		l.Offer(message("x"), nil, time.Now())
		f.want(wire.TypeMessage, wire.TypePing)
		f.write(wire.AppendAck(nil, wire.Ack{Seen: 1 << 62}))
		synctest.Wait()
		if s := snapshot(l); s.Out.Sent != 1 || s.Out.Delivered != 1 || !s.Out.Balanced() {
			t.Errorf("%+v", s.Out)
		}
	})
}

func TestClockThatIsFiftyYearsOffBreaksNoLink(t *testing.T) {
	for _, years := range []int{-50, 50} {
		t.Run(fmt.Sprint(years), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, fars := dialled(t, nil)
				f := <-fars
				f.hello()
				f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}))
				off := time.Duration(years) * 365 * 24 * time.Hour
				for range 5 { // the clock of the peer jumps between two pings
					p, err := wire.ParsePing(f.want(wire.TypePing))
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Millisecond)
					f.write(wire.AppendPong(nil, wire.Pong{ID: p.ID, Wall: time.Now().Add(off).UnixNano()}))
					synctest.Wait()
					s := snapshot(l)
					if s.State != stateUp || s.RoundTrip != 0.1 || s.Skew < off.Seconds()-1 || s.Skew > off.Seconds()+1 {
						t.Fatalf("%+v", s)
					}
					off = -off
				}
			})
		})
	}
}

func TestLateAnswerIsNotTakenForThatToALaterPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, nil)
		f := <-fars
		f.hello()
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}))
		first, _ := wire.ParsePing(f.want(wire.TypePing))
		f.want(wire.TypePing)
		f.write(wire.AppendPong(nil, wire.Pong{ID: first.ID, Wall: time.Now().UnixNano()}))
		synctest.Wait()
		if s := snapshot(l); s.RoundTrip != 0 {
			t.Errorf("round trip of %v s", s.RoundTrip)
		}
	})
}

func TestPingsComeAtEveryHeartbeatWhateverIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, fars := dialled(t, nil)
		f := <-fars
		f.hello()
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}))
		stop := make(chan struct{})
		var sending sync.WaitGroup
		sending.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					l.Offer(message("x"), nil, time.Now())
				}
			}
		})
		var last time.Time
		for range 10 {
			f.want(wire.TypePing, wire.TypeMessage)
			if now := time.Now(); !last.IsZero() && now.Sub(last) > 10*time.Second+20*time.Millisecond {
				t.Errorf("%v between two pings", now.Sub(last))
			}
			last = time.Now()
		}
		close(stop)
		sending.Wait()
	})
}

func TestTheReasonOfARefusalIsKept(t *testing.T) {
	for name, answer := range map[string]struct {
		frame []byte
		want  string
	}{
		"bye":     {wire.AppendBye(nil, "no room at the inn"), "the peer hung up: no room at the inn"},
		"version": {wire.AppendHello(nil, &wire.Hello{Version: 99, Boot: wire.Boot{2}}), "version 99 of the protocol"},
		"garbage": {wire.AppendFrame(nil, wire.TypeHello, []byte("nonsense")), "hello"},
		"early":   {message("x"), "before its hello"},
		"silence": {nil, "did not say hello in time"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, fars := dialled(t, nil)
				f := <-fars
				f.hello()
				f.write(answer.frame)
				if answer.frame == nil {
					time.Sleep(helloTimeout)
				}
				synctest.Wait()
				s := snapshot(l)
				if s.State == stateUp || !strings.Contains(s.Targets[0].Error, answer.want) {
					t.Errorf("%s, %q", s.State, s.Targets[0].Error)
				}
			})
		})
	}
}

func TestBackoffGrowsToItsCeilingAndNeverEnds(t *testing.T) {
	b := newBackoff(time.Minute)
	for want := firstPause; want < time.Minute; want *= 2 {
		if p := b.pause(); p < want/2 || p > want {
			t.Errorf("a pause of %v, not of %v to %v", p, want/2, want)
		}
	}
	shortest, longest := time.Hour, time.Duration(0)
	for range 100 {
		p := b.pause()
		shortest, longest = min(shortest, p), max(longest, p)
	}
	// All over the range, so that nodes do not meet in step.
	if shortest < 30*time.Second || shortest > 35*time.Second || longest < 55*time.Second || longest > time.Minute {
		t.Errorf("the last pauses were %v to %v", shortest, longest)
	}
	b.reset()
	if p := b.pause(); p > firstPause {
		t.Errorf("the first pause after a reset is %v", p)
	}
}

func TestFailedDialsBackOffAndAKickEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var dials []time.Time
		l, _ := dialled(t, func(cfg *Config) {
			cfg.Targets[0].Dial = func(_ context.Context, _ func()) (Conn, error) {
				mu.Lock()
				defer mu.Unlock()
				dials = append(dials, time.Now())
				return nil, errors.New("nobody there")
			}
		})
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(dials)
		}
		time.Sleep(time.Hour)
		n := count()
		if n < 60 || n > 130 {
			t.Errorf("%d dials in an hour", n)
		}
		s := snapshot(l)
		if s.NextAttempt == nil || s.NextAttempt.Before(time.Now()) || s.Targets[0].Error != "nobody there" || s.Targets[0].Tried == nil {
			t.Errorf("%+v", s)
		}
		l.Arrived(wire.Boot{2})
		synctest.Wait()
		if count() != n+1 {
			t.Error("a kick did not make it dial")
		}
	})
}
