package tcp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kozo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newTransport(t testing.TB, v kozo.Values) *transport {
	t.Helper()
	tr, err := Type().New(v)
	if err != nil {
		t.Fatal(err)
	}
	return tr.(*transport)
}

// addresses makes the values of a transport with these addresses.
func addresses(list ...string) kozo.Values { return kozo.Values{"address": kozo.List(list)} }

func TestEndpointsOfAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"10.13.37.2":           "10.13.37.2:9001",
		"10.13.37.2:80":        "10.13.37.2:80",
		"clock.local":          "clock.local:9001",
		"clock.local:1234":     "clock.local:1234",
		"Clock.Example.":       "Clock.Example.:9001",
		"clock":                "clock:9001",
		"::1":                  "[::1]:9001",
		"[::1]":                "[::1]:9001",
		"[::1]:7":              "[::1]:7",
		"fe80::1%eth0":         "[fe80::1%eth0]:9001",
		"[fe80::1%eth0]:65535": "[fe80::1%eth0]:65535",
		"xn--kz-fkaa.example":  "xn--kz-fkaa.example:9001",
		"my_host.lan":          "my_host.lan:9001",
		"münze.local":          "münze.local:9001",
		"3com.example":         "3com.example:9001",
	} {
		tr := newTransport(t, addresses(address))
		if got := tr.Endpoints(); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v, want %s", address, got, want)
		}
		if w := tr.Warnings(); len(w) > 0 {
			t.Errorf("%s: %v", address, w)
		}
	}
	v := addresses("clock.local", "10.13.37.2", "clock.local:7", "clock.local:7", "10.13.37.2:7")
	v["port"] = kozo.Port(7)
	tr := newTransport(t, v)
	if got, want := tr.Endpoints(), []string{"clock.local:7", "10.13.37.2:7"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if kozo.PriorityOf(tr) != kozo.Best {
		t.Error("it is not the best")
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for address, want := range map[string]string{
		"clock.local 10.0.0.1":    "put commas between addresses",
		"http://clock":            "leave http:// away",
		"ssh://clock:22":          "leave ssh:// away",
		"clock/x":                 "there is a /",
		"clock:":                  "from 1 to 65535",
		"clock:0":                 "from 1 to 65535",
		"clock:65536":             "from 1 to 65535",
		"clock:ssh":               `not "ssh"`,
		"clock:-1":                "from 1 to 65535",
		":9001":                   "the host is empty",
		"":                        "the host is empty",
		".":                       "the host is empty",
		"[::1":                    "[IPV6]:PORT",
		"[clock]:1":               "only an IPv6 address is written in brackets",
		"[10.0.0.1]":              "only an IPv6 address is written in brackets",
		"[]:1":                    "only an IPv6 address",
		"::1::":                   "[IPV6]:PORT",
		"1:2:3":                   "[IPV6]:PORT",
		"10.0.0.256":              "is not an IPv4 address",
		"10.0.0":                  "is not an IPv4 address",
		"a..b":                    "between two dots",
		strings.Repeat("x", 64):   "between two dots",
		strings.Repeat("a.", 200): "at most 253",
		"clock@home":              "cannot contain '@'",
		"user:pw@host:1":          "[IPV6]:PORT",
		"clock;scribe":            "cannot contain ';'",
		"*.local":                 "cannot contain '*'",
		"clock\x00":               `cannot contain '\x00'`,
	} {
		_, err := Type().New(addresses("10.0.0.1", address))
		o, ok := errors.AsType[*kozo.OptionError](err)
		if !ok || o.Option != "address" || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v does not say %q", address, err, want)
		}
	}
	v := addresses("10.0.0.1")
	v["bindAddress"] = "10.0.0.1:9001"
	if _, err := Type().New(v); err == nil || !strings.HasPrefix(err.Error(), "bindAddress: ") {
		t.Errorf("a bind address with a port: %v", err)
	}
	if _, err := Type().New(kozo.Values{}); err == nil || !strings.Contains(err.Error(), "address: this option is required") {
		t.Errorf("without addresses: %v", err)
	}
}

func TestWhatIsBound(t *testing.T) {
	for bind, want := range map[string]string{"": "tcp :9001", "localhost": "tcp localhost:9001", "::1": "tcp [::1]:9001"} {
		v := addresses("clock.local")
		v["bindAddress"] = bind
		if got := newTransport(t, v).Binds(); !slices.Equal(got, []string{want}) {
			t.Errorf("%q binds %v, want %s", bind, got, want)
		}
	}
	only := newTransport(t, addresses())
	if only.Binds() != nil || len(only.Endpoints()) > 0 {
		t.Error("a transport without addresses binds something")
	}
}

const duck = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion"

func TestWarnings(t *testing.T) {
	for address, want := range map[string]string{
		duck:                                    "",
		"gnreiuoyh5rrtkjhe4r5j5423t4egyr.onion": "has 56 letters and digits before .onion, and this has 31",
		"0.0.0.0":                               "is not the address of a machine",
		"::":                                    "is not the address of a machine",
		"fe80::1":                               "as in fe80::1%eth0",
		"224.0.0.251":                           "is not the address of a machine",
		"onion":                                 "",
		"127.0.0.1":                             "",
	} {
		w := newTransport(t, addresses("10.0.0.1", address)).Warnings()
		if want == "" && len(w) > 0 || want != "" && (len(w) != 1 || w[0].Option != "address" || !strings.Contains(w[0].Error(), want)) {
			t.Errorf("%s: %v, want one that says %q", address, w, want)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, a := range []string{"10.0.0.1", "[::1]:7", "clock.local:1", "fe80::1%eth0", "http://x", "a b", "[", "]", ":", "x:1:2"} {
		f.Add(a)
	}
	f.Fuzz(func(t *testing.T, address string) {
		tr, err := Type().New(addresses(address))
		if err != nil {
			return
		}
		end := tr.Endpoints()[0]
		again, err := Type().New(addresses(end))
		if err != nil || again.Endpoints()[0] != end {
			t.Errorf("%q gives the endpoint %q, which is none: %v", address, end, err)
		}
	})
}
