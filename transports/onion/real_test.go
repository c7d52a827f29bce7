package onion

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/internal/torlab"
	"kozo/kozotest"
	"kozo/transports/internal/onionname"
)

func TestConformance(t *testing.T) {
	w := lab(t)
	v := w.known(t)
	kozotest.TestTransport(t, kozotest.TransportTest{
		Type: Type(), Options: v, Dialer: w.outgoing(),
		Conns: 10, Bytes: 512 << 10, Patience: 60 * time.Second,
		Skip: map[string]string{"half-close": "a stream of Tor has no half"},
	})
}

// However fast somebody writes: Tor is not filled when nobody reads. Without
// pauses it takes more than 32 MiB in one of ten attempts, or of four when the
// machine has nothing else to do.
func TestWriterIsHeldUp(t *testing.T) {
	w := lab(t)
	tr := newTransport(t, w.known(t))
	l, err := tr.Listen(t.Context(), testEnv(t, "home"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	away, env := newTransport(t, w.outgoing()), testEnv(t, "away")
	const most = 32 << 20
	for range 32 {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		c, err := away.Dial(ctx, env, tr.Endpoints()[0])
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		n, piece := 0, make([]byte, 16<<10)
		for err == nil && n <= most {
			var k int
			_ = c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			k, err = c.Write(piece)
			n += k
		}
		if n > most {
			t.Errorf("%d bytes could be written, and nobody reads", n)
		}
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		_ = c.Close()
	}
}

// The node makes its service, makes it again when Tor comes back, and takes it
// away at the end.
func TestOwnService(t *testing.T) {
	w := lab(t)
	tr := newTransport(t, w.own(t, nil))
	dialler, env := newTransport(t, w.outgoing()), testEnv(t, "away")
	endpoint := tr.Endpoints()[0]
	l, ended := serve(t, tr, testEnv(t, "home"))
	if l.Addr().String() != endpoint || !strings.HasSuffix(l.Addr().Network(), "onion") {
		t.Errorf("it listens at %v", l.Addr())
	}
	reach(t, dialler, env, endpoint)

	w.home.Kill()
	select {
	case err := <-ended:
		if !errors.Is(err, errLost) {
			t.Errorf("when tor has died the listener says %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody notices that tor has died")
	}
	if _, err := tr.Listen(t.Context(), testEnv(t, "home")); err == nil || !strings.Contains(err.Error(), "tor is not running") {
		t.Errorf("without tor: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := w.home.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := w.home.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	l, ended = serve(t, tr, testEnv(t, "home"))
	reach(t, dialler, env, endpoint)

	_ = l.Close()
	if err := <-ended; errors.Is(err, errLost) {
		t.Error("a listener that was closed says that tor has ended")
	}
	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	env.Node = "newcomer" // or the tor there would still have a path to the service
	c, err := dialler.Dial(ctx, env, endpoint)
	if err == nil {
		_ = c.Close()
		t.Fatal("the service is still there")
	}
	if !strings.Contains(err.Error(), "vanished") && !strings.Contains(err.Error(), "no way to the service in time") {
		t.Errorf("a service that has gone: %v", err)
	}
}

// Only those who have a key in the file can even find the service.
func TestClientAuth(t *testing.T) {
	w := lab(t)
	out := w.outgoing()
	out["controlPort"], out["keyFile"] = w.away.Control(), kozo.Path(t.TempDir()+"/keys")
	announced, err := newTransport(t, out).Announce(&kozo.TransportEnv{})
	if err != nil {
		t.Fatal(err)
	}
	out["clientKey"] = announced["clientKey"]
	friend := newTransport(t, out)
	stranger := newTransport(t, w.outgoing())
	tr := newTransport(t, w.own(t, kozo.Values{"clientAuth": true}))
	serve(t, tr, testEnv(t, "home", friend, stranger))
	endpoint := tr.Endpoints()[0]

	// First the stranger, since a tor keeps a key that it was once given.
	var refused error
	for range 100 {
		if refused = echoes(stranger, testEnv(t, "stranger", tr), endpoint); refused == nil {
			t.Fatal("a stranger has found the service")
		}
		if strings.Contains(refused.Error(), "lets only some nodes find it") {
			break
		}
		time.Sleep(200 * time.Millisecond) // it may not be described yet
	}
	if !strings.Contains(refused.Error(), "needs a clientKey") {
		t.Errorf("a stranger is told %v", refused)
	}
	reach(t, friend, testEnv(t, "friend", tr), endpoint)

	// A key of which the service does not know.
	out["keyFile"] = kozo.Path(t.TempDir() + "/keys")
	if err := echoes(newTransport(t, out), testEnv(t, "friend", tr), endpoint); err == nil || !strings.Contains(err.Error(), "the file says another one") {
		t.Errorf("with a key that is not in the file: %v", err)
	}
}

// Everything that can be wrong with Tor is said in words.
func TestWhatIsWrongWithTor(t *testing.T) {
	w := lab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	dial := func(v kozo.Values, endpoint string) error {
		t.Helper()
		v["outgoingOnly"] = true
		c, err := newTransport(t, v).Dial(ctx, testEnv(t, "away"), endpoint)
		if err == nil {
			_ = c.Close()
		}
		return err
	}
	says := func(err error, want ...string) {
		t.Helper()
		for _, text := range want {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%v does not say %q", err, text)
			}
		}
	}
	nobody := "127.0.0.1:1"
	says(dial(kozo.Values{"socksProxy": nobody}, duck+":9001"), "tor does not answer at "+nobody, "connection refused", "start it")
	says(dial(kozo.Values{"socksProxy": w.away.Socks(), "controlPort": nobody}, duck+":9001"), "tor is not running")
	says(dial(kozo.Values{"socksProxy": w.away.Socks(), "controlPort": t.TempDir() + "/none"}, duck+":9001"), "tor is not running", "no such file")
	says(dial(kozo.Values{"socksProxy": w.away.Control()}, duck+":9001"), "is no SOCKS 5 proxy")
	says(dial(kozo.Values{"socksProxy": w.away.Socks(), "controlPort": w.away.Socks()}, duck+":9001"), "vanished", "is not tor's control protocol")
	says(dial(kozo.Values{"socksProxy": w.away.Socks()}, wrong+":9001"), "mistyped")
	says(dial(kozo.Values{"socksProxy": w.away.Socks()}, "clock.local:9001"), "no endpoint of an onion transport")

	// A service that there never was.
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	says(dial(kozo.Values{"socksProxy": w.away.Socks(), "controlPort": w.away.Control()}, onionname.Of(public)+":9001"), "the service has vanished")

	// A key that is not that of the address.
	v := w.own(t, nil)
	v["address"] = onionname.Of(public)
	_, err = newTransport(t, v).Listen(ctx, testEnv(t, "home"))
	says(err, "the key of this node is that of", "put the first into the file")
}

func TestTorThatIsStarting(t *testing.T) {
	t.Parallel()
	w := lab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	tor, err := w.net.Client(ctx, torlab.Client{Name: "starting", Lost: true})
	if err != nil {
		t.Fatal(err)
	}
	defer tor.Stop()
	v := kozo.Values{"outgoingOnly": true, "socksProxy": tor.Socks(), "controlPort": tor.Control()}
	_, err = newTransport(t, v).Dial(ctx, testEnv(t, "away"), duck+":9001")
	if err == nil || !strings.Contains(err.Error(), "tor is still starting: ") || !strings.Contains(err.Error(), " %") {
		t.Errorf("while it starts: %v", err)
	}
	t.Log(err)
	v = w.own(t, kozo.Values{"controlPort": tor.Control()})
	if _, err = newTransport(t, v).Listen(ctx, testEnv(t, "home")); err == nil || !strings.Contains(err.Error(), "tor is still starting: ") {
		t.Errorf("its service: %v", err)
	}
}

func TestWrongClock(t *testing.T) {
	t.Parallel()
	preload, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
	if len(preload) == 0 {
		t.Skip("not installed: faketime")
	}
	w := lab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	tor, err := w.net.Client(ctx, torlab.Client{Name: "late", Env: []string{"LD_PRELOAD=" + preload[0], "FAKETIME=-3d"}})
	if err != nil {
		t.Fatal(err)
	}
	defer tor.Stop()
	v := kozo.Values{"outgoingOnly": true, "socksProxy": tor.Socks(), "controlPort": tor.Control()}
	_, err = newTransport(t, v).Dial(ctx, testEnv(t, "away"), duck+":9001")
	if err == nil || !strings.Contains(err.Error(), "the clock of this machine is wrong") {
		t.Errorf("with a clock that is three days late: %v\n%s", err, tor.Log())
	}
	t.Log(err)
}
