package onion

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kozo"
	"kozo/internal/hostnet"
	"kozo/internal/resolve"
	"kozo/internal/torlab"
	"kozo/transports/tcp"
)

// A system that resolves and routes .onion names by itself, as a transparent
// proxy does. Its Tor listens on all addresses, and takes the one that was dialled
// for the service that it stands for: that needs no firewall, but root.
func TestTransparently(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can have a transparent proxy")
	}
	w := lab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	port, names := freePort(t), freePort(t)
	tor, err := w.net.Client(ctx, torlab.Client{Name: "router", Lines: []string{
		"AutomapHostsOnResolve 1", "VirtualAddrNetworkIPv4 127.192.0.0/10", fmt.Sprintf("DNSPort 127.0.0.1:%d", names),
		"TransProxyType TPROXY", fmt.Sprintf("TransPort 0.0.0.0:%d", port),
	}})
	if err != nil {
		t.Skip("this machine cannot have a transparent proxy: ", err)
	}
	defer tor.Stop()
	if err := tor.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, "nameserver 127.0.0.1:%d\n", names), 0o600); err != nil {
		t.Fatal(err)
	}
	r := resolve.New()
	r.ResolvConf = conf
	env := hostnet.Env("away", r, slog.New(slog.DiscardHandler))

	tr := newTransport(t, w.own(t, kozo.Values{"onionPort": port}))
	serve(t, tr, testEnv(t, "home"))
	reach(t, newTransport(t, kozo.Values{"outgoingOnly": true, "transparent": true}), env, tr.Endpoints()[0])
	reach(t, plain(t, nil), env, tr.Endpoints()[0])
}

// The tcp transport reaches onion services as well, through Tor's proxy.
func TestPlainTransportThroughProxy(t *testing.T) {
	w := lab(t)
	tr := newTransport(t, w.own(t, nil))
	serve(t, tr, testEnv(t, "home"))
	reach(t, plain(t, kozo.Values{"socksProxy": w.away.Socks()}), testEnv(t, "away"), tr.Endpoints()[0])
}

// plain is a tcp transport of a node that only dials.
func plain(t *testing.T, options kozo.Values) kozo.Transport {
	t.Helper()
	v := kozo.Values{"address": kozo.List{}}
	maps.Copy(v, options)
	tr, err := tcp.Type().New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}
