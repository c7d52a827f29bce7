package onion

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"kozo"
)

const (
	duck  = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion"
	aKey  = "AAAQEAYEAUDAOCAJBIFQYDIOB4IBCEQTCQKRMFYYDENBWHA5DYPQ"
	wrong = "euckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion"
)

func newTransport(t testing.TB, v kozo.Values) *transport {
	t.Helper()
	tr, err := Type().New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tr.(*transport)
}

func TestWhichOptionsExcludeWhich(t *testing.T) {
	for _, row := range []struct {
		values kozo.Values
		option string // at fault
		want   string
	}{
		{kozo.Values{"address": duck}, "", ""},
		{kozo.Values{"address": strings.ToUpper(duck) + "."}, "", ""},
		{kozo.Values{"outgoingOnly": true}, "", ""},
		{kozo.Values{"address": duck, "incomingOnly": true}, "", ""},
		{kozo.Values{"controlPort": "9051"}, "", ""},
		{kozo.Values{"address": duck, "controlPort": "/run/tor/control", "clientAuth": true, "clientKey": aKey}, "", ""},
		{kozo.Values{"outgoingOnly": true, "transparent": true, "socksProxy": ""}, "", ""},
		{kozo.Values{}, "address", "let kozo onion-address make one, or outgoingOnly"},
		{kozo.Values{"incomingOnly": true}, "address", "needs one"},
		{kozo.Values{"address": duck, "incomingOnly": true, "outgoingOnly": true}, "outgoingOnly", "remove one of the two"},
		{kozo.Values{"outgoingOnly": true, "clientAuth": true, "controlPort": "9051"}, "clientAuth", "there is none"},
		{kozo.Values{"address": duck, "clientAuth": true}, "clientAuth", "needs controlPort"},
		{kozo.Values{"address": "clock.local"}, "address", "does not end in .onion"},
		{kozo.Values{"address": wrong}, "address", "mistyped"},
		{kozo.Values{"address": "gnreiuoyh5rrtkjhe4r5j5423t4egyr.onion"}, "address", "has 56 letters and digits before .onion, and this has 31"},
		{kozo.Values{"address": duck, "socksProxy": "tor"}, "socksProxy", "PORT of this machine"},
		{kozo.Values{"address": duck, "socksProxy": ""}, "socksProxy", "PORT of this machine"},
		{kozo.Values{"address": duck, "controlPort": "99999"}, "controlPort", "is no port"},
		{kozo.Values{"address": duck, "clientKey": aKey[1:]}, "clientKey", "is not a key"},
		{kozo.Values{"address": duck, "clientKey": "1" + aKey[1:]}, "clientKey", "is not a key"},
	} {
		_, err := Type().New(row.values)
		o, ok := errors.AsType[*kozo.OptionError](err)
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%v: %v", row.values, err)
		case row.want != "" && (!ok || o.Option != row.option || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%v: %v, want %s: …%q", row.values, err, row.option, row.want)
		}
	}
}

func TestEndpoints(t *testing.T) {
	for _, row := range []struct {
		values kozo.Values
		want   []string
		binds  []string
	}{
		{kozo.Values{"address": duck}, []string{duck + ":9002"}, []string{"tcp 127.0.0.1:9002"}},
		{kozo.Values{"address": strings.ToUpper(duck), "port": kozo.Port(7)}, []string{duck + ":7"}, []string{"tcp 127.0.0.1:7"}},
		{kozo.Values{"address": duck, "port": kozo.Port(7), "onionPort": kozo.Port(80)}, []string{duck + ":80"}, []string{"tcp 127.0.0.1:7"}},
		{kozo.Values{"address": duck, "outgoingOnly": true}, nil, nil},
		{kozo.Values{"controlPort": "9051"}, nil, nil},
	} {
		tr := newTransport(t, row.values)
		if got := tr.Endpoints(); !slices.Equal(got, row.want) || !slices.Equal(tr.Binds(), row.binds) {
			t.Errorf("%v: %v, binds %v", row.values, got, tr.Binds())
		}
	}
	tr := newTransport(t, kozo.Values{"address": duck})
	if kozo.PriorityOf(tr) >= kozo.Fair {
		t.Error("it is preferred to others")
	}
	if times := kozo.TimesOf(tr, ""); times.Dial < time.Minute || times.Handshake < 30*time.Second || times.Silence < 30*time.Second {
		t.Errorf("it has the time of a cable: %+v", times)
	}
}

func TestWhoCanConnect(t *testing.T) {
	plain := newTransport(t, kozo.Values{"address": duck})
	hidden := newTransport(t, kozo.Values{"address": duck, "controlPort": "9051", "clientAuth": true})
	keyed := newTransport(t, kozo.Values{"outgoingOnly": true, "controlPort": "9051", "clientKey": aKey})
	incoming := newTransport(t, kozo.Values{"address": duck, "incomingOnly": true})
	for _, row := range []struct {
		local, remote kozo.Transport
		want          bool
	}{
		{plain, plain, true}, {plain, hidden, false}, {keyed, hidden, true}, {incoming, plain, false}, {plain, incoming, true},
		{plain, struct{ kozo.Transport }{}, false},
	} {
		if got := row.local.(kozo.Connector).CanConnect(row.remote); got != row.want {
			t.Errorf("%+v to %+v: %v", row.local, row.remote, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	for want, v := range map[string]kozo.Values{
		"":                        {"address": duck},
		"nobody will dial it":     {"address": duck, "outgoingOnly": true},
		"kozo onion-address":      {"controlPort": "9051"},
		"has no clientKey itself": {"address": duck, "controlPort": "9051", "clientAuth": true},
		"ClientOnionAuthDir":      {"address": duck, "clientKey": aKey},
	} {
		w := newTransport(t, v).Warnings()
		if want == "" && len(w) > 0 || want != "" && (len(w) != 1 || !strings.Contains(w[0].Error(), want)) {
			t.Errorf("%v: %v", v, w)
		}
	}
}

func TestKeysAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onion.keys")
	v := kozo.Values{"controlPort": "9051", "keyFile": kozo.Path(path)}
	first, err := newTransport(t, v).Announce(&kozo.TransportEnv{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := newTransport(t, v).Announce(&kozo.TransportEnv{})
	if err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("%v, then %v, %v", first, again, err)
	}
	// What is announced is what the options take.
	v["address"], v["clientKey"] = first["address"], first["clientKey"]
	if w := newTransport(t, v).Warnings(); len(w) > 0 {
		t.Error(w)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file has the mode %v", info.Mode())
	}
	out := newTransport(t, kozo.Values{"controlPort": "9051", "outgoingOnly": true, "keyFile": kozo.Path(path)})
	if got, err := out.Announce(&kozo.TransportEnv{}); err != nil || len(got) != 1 || got["clientKey"] != first["clientKey"] {
		t.Errorf("of one that only dials: %v, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeysThatAreNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onion.keys")
	tr := newTransport(t, kozo.Values{"controlPort": "9051", "keyFile": kozo.Path(path)})
	for text, want := range map[string]string{
		"":                                       "does not hold what was stored there",
		"{}":                                     "is not that",
		`{"service":"AA=="}`:                     "is not that",
		strings.Repeat(" ", 2*maxKeyFile) + "{}": "does not hold",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Announce(&kozo.TransportEnv{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := tr.Announce(&kozo.TransportEnv{}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("a file for all: %v", err)
		}
	}
	if _, err := newTransport(t, kozo.Values{"controlPort": "9051"}).Announce(&kozo.TransportEnv{Storage: nowhere{}}); err == nil || !strings.Contains(err.Error(), "roleStorage") {
		t.Errorf("without a place: %v", err)
	}
	if _, err := newTransport(t, kozo.Values{"address": duck}).Announce(&kozo.TransportEnv{}); err == nil || !strings.Contains(err.Error(), "torrc") {
		t.Errorf("without a control port: %v", err)
	}
}

// Somebody else, such as root, has asked for the address first.
func TestKeysOfAnotherUser(t *testing.T) {
	_, err := newTransport(t, kozo.Values{"controlPort": "9051"}).Announce(&kozo.TransportEnv{Storage: foreign{}})
	if err == nil || !strings.Contains(err.Error(), "not for this user") || !strings.Contains(err.Error(), "chown") {
		t.Errorf("keys of another user: %v", err)
	}
}

type foreign struct{ nowhere }

func (foreign) Load(any) error { return fmt.Errorf("cannot load: %w", os.ErrPermission) }

type nowhere struct{}

func (nowhere) Load(any) error { return fmt.Errorf("%w", kozo.ErrNoStorage) }
func (nowhere) Save(any) error { return kozo.ErrNoStorage }

// Tor would let everybody in if nobody were named.
func TestHiddenFromAllIsHidden(t *testing.T) {
	tr := newTransport(t, kozo.Values{"address": duck, "controlPort": "9051", "clientAuth": true})
	keyed := newTransport(t, kozo.Values{"outgoingOnly": true, "clientKey": strings.ToLower(aKey)})
	env := &kozo.TransportEnv{Peers: []kozo.Remote{{Transport: tr}, {Transport: keyed}, {Transport: keyed}}}
	if got := tr.clients(env); !slices.Equal(got, []string{aKey}) {
		t.Errorf("the clients are %v", got)
	}
	if got := tr.clients(&kozo.TransportEnv{}); len(got) != 1 || got[0] == aKey {
		t.Errorf("without peers the clients are %v", got)
	}
	if got := newTransport(t, kozo.Values{"address": duck}).clients(env); got != nil {
		t.Errorf("of an open service the clients are %v", got)
	}
}

// Tor gives out two addresses for a name: one of IPv4, and a link-local one of
// IPv6, of which nobody knows the interface.
func TestAddressesOfATransparentProxy(t *testing.T) {
	link, routed, four := netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("127.192.0.1")
	for _, row := range []struct {
		addrs   []netip.Addr
		dialled []string
		want    string
	}{
		{[]netip.Addr{four, link}, []string{"127.192.0.1:9002"}, "does not lead to the service: refused 127.192.0.1:9002"},
		{[]netip.Addr{four, routed}, []string{"127.192.0.1:9002", "[fd00::1]:9002"}, "refused [fd00::1]:9002"},
		{[]netip.Addr{link}, nil, duck + " has no address that can be dialled"},
	} {
		var dialled []string
		env := &kozo.TransportEnv{
			Resolve: func(context.Context, string) ([]netip.Addr, error) { return row.addrs, nil },
			Dial: func(_ context.Context, _, address string) (net.Conn, error) {
				dialled = append(dialled, address)
				return nil, errors.New("refused " + address)
			},
		}
		tr := newTransport(t, kozo.Values{"outgoingOnly": true, "transparent": true})
		_, err := tr.Dial(t.Context(), env, duck+":9002")
		if err == nil || !strings.HasSuffix(err.Error(), row.want) || !slices.Equal(dialled, row.dialled) {
			t.Errorf("%v: dialled %v, %v", row.addrs, dialled, err)
		}
	}
}
