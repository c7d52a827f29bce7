package link

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/internal/memnet"
	"kozo/internal/status"
	"kozo/internal/wire"
)

// served runs the receiving half on a stream whose other end the test holds.
func served(t *testing.T, in *Inbound) (*far, <-chan error) { return servedOn(t, in, Line{}) }

// servedOn does it on a connection of which something is known.
func servedOn(t *testing.T, in *Inbound, line Line) (*far, <-chan error) {
	near, other := memnet.Pipe()
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	line.Conn = &fakeConn{near}
	go func() { done <- in.Serve(ctx, near, line) }()
	t.Cleanup(func() {
		cancel()
		in.Wait()
	})
	return newFar(t, other), done
}

type mailbox struct {
	mu    sync.Mutex
	got   []kozo.Message
	times int // Deliver was called
}

func newInbound(box *mailbox) *Inbound {
	return NewInbound(InboundConfig{
		Peer: "a", Since: time.Now(), Heartbeat: 10 * time.Second, Boot: wire.Boot{9}, MaxFrame: 4 << 10,
		Interest: func() []kozo.Filter { return []kozo.Filter{{Kind: kozo.Event}} },
		Deliver: func(messages ...kozo.Message) bool {
			box.mu.Lock()
			defer box.mu.Unlock()
			box.got = append(box.got, messages...)
			box.times++
			return messages[0].Type != "unwanted"
		},
		OnHello: func(*wire.Hello) {}, Log: quiet(),
	})
}

func inboundStatus(in *Inbound) status.Inbound {
	var s status.Inbound
	in.Fill(&s)
	return s
}

func TestReceiverCountsEveryFate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var box mailbox
		in := newInbound(&box)
		f, _ := served(t, in)
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}, Sent: 100}))
		if h := f.hello(); h.KnownBoot != (wire.Boot{}) || h.Seen != 0 || len(h.Interest) != 1 {
			t.Errorf("%+v", h)
		}
		large := kozo.Message{Kind: kozo.Event, Type: "large", Time: time.Now()}
		large.Body, _ = kozo.Pack(make([]byte, 8<<10))
		f.write(
			message("fine"), grease, message("unwanted"),
			wire.AppendFrame(nil, wire.TypeMessage, []byte("nonsense")),
			wire.AppendMessage(nil, &large), message("last"),
		)
		begun := time.Now()
		a, err := wire.ParseAck(f.want(wire.TypeAck))
		if err != nil || a.Seen != 105 || time.Since(begun) > ackDelay {
			t.Errorf("%+v, %v, after %v", a, err, time.Since(begun))
		}
		s := inboundStatus(in)
		if s.Accepted != 2 || s.Dropped["refused"] != 1 || s.Dropped["undecodable"] != 1 || s.Dropped["oversize"] != 1 || !s.Balanced() {
			t.Errorf("%+v", s)
		}
		if from := box.got[0].From; from != (kozo.RoleRef{Node: "a", Role: "timer1"}) {
			t.Errorf("from %v", from)
		}
	})
}

func TestMessagesOfOneSortAreDeliveredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var box mailbox
		f, _ := served(t, newInbound(&box))
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}}))
		f.hello()
		var frames []byte
		add := func(typ string, seq uint64) {
			m := kozo.Message{Kind: kozo.Event, Type: typ, From: kozo.RoleRef{Role: "timer1"}, Time: time.Now(), Seq: seq}
			m.Body, _ = kozo.Pack(seq)
			frames = wire.AppendMessage(frames, &m)
		}
		for seq := range uint64(10) {
			add("tick", seq)
		}
		frames[len(frames)-1] = 0xc1 // a body that is none, in the middle
		for seq := range uint64(10) {
			add("tick", 10+seq)
		}
		add("tock", 20)
		add("tick", 21)
		f.write(frames)
		for range 200 { // into the same memory of the reader
			synctest.Wait()
			f.write(bytes.Repeat(grease, 10))
		}
		a, err := wire.ParseAck(f.want(wire.TypeAck))
		if err != nil || a.Seen != 22 {
			t.Errorf("%+v, %v", a, err)
		}
		if box.times != 3 {
			t.Errorf("delivered in %d parts", box.times)
		}
		want := uint64(0)
		for _, m := range box.got {
			if want == 9 {
				want++
			}
			if v, _ := m.Body.Value(); m.Seq != want || v != int64(want) || (m.Type == "tock") != (want == 20) {
				t.Errorf("message %d came as %+v with %v", want, m, v)
			}
			want++
		}
		if len(box.got) != 21 {
			t.Errorf("%d messages came", len(box.got))
		}
	})
}

func TestMessageFromFiftyYearsAgoIsAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var box mailbox
		in := newInbound(&box)
		f, _ := served(t, in)
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}}))
		f.hello()
		for _, at := range []time.Time{time.Unix(0, 0), time.Now().AddDate(50, 0, 0)} {
			f.write(wire.AppendMessage(nil, &kozo.Message{Kind: kozo.Event, Type: "x", From: kozo.RoleRef{Role: "r"}, Time: at}))
		}
		f.want(wire.TypeAck)
		if len(box.got) != 2 || !box.got[0].Time.Equal(time.Unix(0, 0)) {
			t.Errorf("%+v", box.got)
		}
	})
}

func TestOldStreamDeliversNothingAfterANewHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var box mailbox
		in := newInbound(&box)
		hello := wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}})
		old, oldDone := served(t, in)
		old.write(hello)
		old.hello()
		old.write(message("one"), message("two"))
		old.want(wire.TypeAck)

		next, _ := served(t, in)
		next.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}, Stream: 1, Sent: 5}))
		if h := next.hello(); h.KnownBoot != (wire.Boot{1}) || h.Seen != 2 {
			t.Errorf("%+v", h)
		}
		_, _ = old.conn.Write(message("three")) // it was on its way
		synctest.Wait()
		if err := <-oldDone; err == nil {
			t.Error("the old stream is still served")
		}
		next.write(message("six"))
		a, _ := wire.ParseAck(next.want(wire.TypeAck))
		if a.Seen != 6 || len(box.got) != 3 || box.got[2].Type != "six" {
			t.Errorf("seen %d, got %d messages", a.Seen, len(box.got))
		}

		// After a restart the peer counts from one again.
		last, _ := served(t, in)
		last.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{2}}))
		if h := last.hello(); h.KnownBoot != (wire.Boot{1}) || h.Seen != 6 {
			t.Errorf("%+v", h)
		}
		last.write(message("new"))
		if a, _ := wire.ParseAck(last.want(wire.TypeAck)); a.Seen != 1 {
			t.Errorf("%+v", a)
		}
	})
}

func TestReceiverGivesASignOfLifeWithoutPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbound(&mailbox{})
		f, _ := served(t, in)
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}}))
		f.hello()
		begun := time.Now()
		f.want(wire.TypeAck)
		if took := time.Since(begun); took > 15*time.Second {
			t.Errorf("the first sign of life came after %v", took)
		}
	})
}

func TestInterestThatChangesIsToldAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbound(&mailbox{})
		f, _ := served(t, in)
		f.write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}}))
		f.hello()
		begun := time.Now()
		in.Refresh()
		filters, err := wire.ParseInterest(f.want(wire.TypeInterest))
		if err != nil || len(filters) != 1 || time.Since(begun) > 0 {
			t.Errorf("%v, %v, after %v", filters, err, time.Since(begun))
		}
	})
}

func TestStreamWithoutAHelloIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInbound(&mailbox{})
		_, done := served(t, in)
		begun := time.Now()
		if err := <-done; !errors.Is(err, errNoHello) || time.Since(begun) > helloTimeout {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
	})
}
