package node_test

import (
	"context"
	"net"
	"testing"
	"time"

	"kozo"
	"kozo/internal/secure"
	"kozo/internal/wire"
)

// A peer connects and loses power before its hello has arrived, which was held up on
// its way and comes when the next run of the peer is in touch already.
func TestAHelloOfAnEarlierRunDoesNoHarm(t *testing.T) {
	inMemory(t, func(t *testing.T, m *memory) {
		const settings = "heartbeat: 60\nconnectionRetry: 60"
		w := newWorld(t, m, settings)
		w.sys = w.parse(settings, []spec{{name: "a"}, {name: "b"}})
		w.start("a")
		raw, err := m.env("b", nil).Dial(t.Context(), "tcp", net.JoinHostPort(m.host("a").Addr().String(), "9001"))
		if err != nil {
			t.Fatal(err)
		}
		earlier, err := secure.Client(t.Context(), raw, "a", &secure.Config{
			Self: "b", Key: w.keys["b"],
			Peer: func(kozo.NodeName) (secure.PublicKey, bool) { return w.keys["a"].Public(), true },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer earlier.Close(nil)
		time.Sleep(time.Second)
		w.start("b")
		w.until("the next run to be in touch", func() bool { return w.up("b", "a") })
		since := w.link("a", "b").In.Since
		stream, err := earlier.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		defer context.AfterFunc(ctx, func() { earlier.Close(context.DeadlineExceeded) })()
		if _, err := stream.Write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Boot: wire.Boot{1}, Stream: 1000})); err != nil {
			t.Fatal(err)
		}
		if typ, _, err := wire.NewReader(stream, 1<<20).Next(); err == nil || ctx.Err() != nil {
			t.Errorf("it was answered with a frame of type %v, %v", typ, err)
		}
		time.Sleep(time.Second)
		if l := w.link("a", "b"); !l.In.Connected || !l.In.Since.Equal(*since) {
			t.Errorf("%+v", l)
		}
		if l := w.link("b", "a"); l.Connects != 1 || l.State != "up" {
			t.Errorf("%+v", l)
		}
	})
}
