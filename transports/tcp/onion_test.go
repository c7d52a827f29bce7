package tcp

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kozo"
)

// A .onion name goes to the proxy, any other one does not.
func TestOnionThroughProxy(t *testing.T) {
	asked, dialled := make(chan string, 1), make(chan string, 1)
	env := &kozo.TransportEnv{
		Node: "clock",
		Resolve: func(_ context.Context, host string) ([]netip.Addr, error) {
			asked <- host
			return []netip.Addr{netip.MustParseAddr("10.0.0.9")}, nil
		},
		Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			dialled <- address
			a, b := net.Pipe()
			go func() { // a proxy that knows no such service
				defer b.Close()
				b.Read(make([]byte, 4))
				b.Write([]byte{5, 0})
				b.Read(make([]byte, 512))
				b.Write([]byte{5, 0xf0, 0, 1, 0, 0, 0, 0, 0, 0})
			}()
			return a, nil
		},
	}
	v := addresses(duck, "clock.example")
	v["socksProxy"] = "127.0.0.1:9050"
	tr := newTransport(t, v)
	_, err := tr.Dial(t.Context(), env, duck+":9001")
	if at := <-dialled; at != "127.0.0.1:9050" || err == nil || !strings.Contains(err.Error(), "the service has vanished") {
		t.Errorf("dialled %s: %v", at, err)
	}
	if _, err := tr.Dial(t.Context(), env, "e"+duck[1:]+":9001"); err == nil || !strings.Contains(err.Error(), "mistyped") {
		t.Errorf("a mistyped name: %v", err)
	}
	c, err := tr.Dial(t.Context(), env, "clock.example:9001")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if host, at := <-asked, <-dialled; host != "clock.example" || at != "10.0.0.9:9001" {
		t.Errorf("a plain name: resolved %s, dialled %s", host, at)
	}
	// Without a proxy the system is asked.
	c, err = newTransport(t, addresses(duck)).Dial(t.Context(), env, duck+":9001")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if host, at := <-asked, <-dialled; host != duck || at != "10.0.0.9:9001" {
		t.Errorf("through the system: resolved %s, dialled %s", host, at)
	}
	v["socksProxy"] = "somewhere:else:9"
	if _, err := Type().New(v); err == nil || !strings.HasPrefix(err.Error(), "socksProxy: ") {
		t.Errorf("a proxy that is none: %v", err)
	}
}

func TestOnionHasMoreTime(t *testing.T) {
	tr := newTransport(t, addresses(duck, "10.0.0.1"))
	if got := kozo.TimesOf(tr, "10.0.0.1:9001"); got != (kozo.Times{}) {
		t.Errorf("an address has %+v", got)
	}
	if got := kozo.TimesOf(tr, duck+":9001"); got.Dial < time.Minute || got.Handshake < 30*time.Second || got.Silence == 0 {
		t.Errorf("an onion service has %+v", got)
	}
}
