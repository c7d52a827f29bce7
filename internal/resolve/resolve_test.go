package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is a name server that is a map.
type book map[string][]netip.Addr

func (b book) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if addrs, ok := b[host]; ok {
		return addrs, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

type silence struct{}

func (silence) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	<-ctx.Done()
	return nil, &net.DNSError{Err: ctx.Err().Error(), Name: host, IsTimeout: true}
}

func ips(texts ...string) []netip.Addr {
	var addrs []netip.Addr
	for _, t := range texts {
		addrs = append(addrs, netip.MustParseAddr(t))
	}
	return addrs
}

// lonely is a resolver that has only the name server it is given.
func lonely(dns book) *Resolver { return &Resolver{DNS: dns} }

func TestAddressesAreTheirOwnAnswer(t *testing.T) {
	for host, want := range map[string]string{
		"10.13.37.2":       "10.13.37.2",
		"::1":              "::1",
		"fe80::1%eth0":     "fe80::1%eth0",
		"::ffff:10.0.0.1":  "10.0.0.1",
		"2001:DB8::1":      "2001:db8::1",
		"255.255.255.255":  "255.255.255.255",
		"fe80::1:2:3:4%12": "fe80::1:2:3:4%12",
	} {
		got, err := (&Resolver{}).Lookup(t.Context(), host)
		if err != nil || !slices.Equal(got, ips(want)) {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, host := range []string{"", ".", "..", "a..b", "a b", "a/b", "x:1", "[::1]", "a\x00b", "1.2.3.4%", strings.Repeat("x", 64) + ".local", strings.Repeat("a.", 200) + "b", "http://x", "\n"} {
		_, err := lonely(nil).Lookup(t.Context(), host)
		if err == nil || !strings.HasPrefix(err.Error(), "cannot resolve") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v", host, err)
		}
	}
}

func TestNameServersAreAskedEveryTime(t *testing.T) {
	dns := book{"scribe.example": ips("fe80::1%lo", "192.0.2.1", "2001:db8::1", "192.0.2.1", "::ffff:192.0.2.2", "0.0.0.0", "ff02::1")}
	r := lonely(dns)
	got, err := r.Lookup(t.Context(), "Scribe.Example.")
	if want := ips("192.0.2.1", "2001:db8::1", "192.0.2.2", "fe80::1%lo"); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	dns["scribe.example"] = ips("192.0.2.9")
	if got, err = r.Lookup(t.Context(), "scribe.example"); err != nil || !slices.Equal(got, ips("192.0.2.9")) {
		t.Errorf("after the name moved: %v, %v", got, err)
	}
	dns["scribe.example"] = ips("0.0.0.0")
	if _, err = r.Lookup(t.Context(), "scribe.example"); err == nil || !strings.Contains(err.Error(), "no usable address") {
		t.Errorf("with no usable address: %v", err)
	}
	many := slices.Repeat(ips("192.0.2.1"), 10)
	for i := range 100 {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	dns["scribe.example"] = many
	if got, _ = r.Lookup(t.Context(), "scribe.example"); len(got) != maxAnswers {
		t.Errorf("%d addresses are too many", len(got))
	}
}

func TestErrorsAreOneLineForPeople(t *testing.T) {
	for host, want := range map[string]string{
		"nowhere.example": "cannot resolve nowhere.example: no such host",
		"clock.local":     "cannot resolve clock.local: no machine of the local network answers to this name, nor does a name server (no such host)",
		"xyz.onion":       "cannot resolve xyz.onion: it is the name of a Tor onion service, which needs socksProxy or a transparent Tor proxy, and there is no name server to ask",
	} {
		if _, err := lonely(nil).Lookup(t.Context(), host); err == nil || err.Error() != want {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestLookupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Resolver{DNS: silence{}}
		start := time.Now()
		if _, err := r.Lookup(t.Context(), "slow.example"); err == nil || !strings.Contains(err.Error(), "in time") {
			t.Error(err)
		}
		if took := time.Since(start); took != serverTime {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := r.Lookup(ctx, "slow.example"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestOnionNamesGoToTheNameServer(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		packet := make([]byte, 1024)
		for {
			n, from, err := c.ReadFrom(packet)
			if err != nil {
				return
			}
			var q dnsmessage.Message
			if err := q.Unpack(packet[:n]); err != nil || len(q.Questions) != 1 || !q.RecursionDesired {
				t.Errorf("the question was %+v, %v", q, err)
				continue
			}
			if q.Questions[0].Type == dnsmessage.TypeA && q.Questions[0].Name.String() == "gnreiuoyh5.onion." {
				c.WriteTo(reply(q, "gnreiuoyh5.onion", "10.192.0.7"), from)
				continue
			}
			c.WriteTo(reply(q, "other.onion"), from)
		}
	}()
	defer func() {
		c.Close()
		<-done
	}()
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	text := fmt.Sprintf("# comment\nsearch lan\nnameserver\nnameserver nonsense\nnameserver %s\n", c.LocalAddr())
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := lonely(nil)
	r.ResolvConf = conf
	got, err := r.Lookup(t.Context(), "gnreiuoyh5.onion")
	if err != nil || !slices.Equal(got, ips("10.192.0.7")) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err = r.Lookup(t.Context(), "unknown.onion"); err == nil || !strings.HasSuffix(err.Error(), "and the name server 127.0.0.1 does not know it") {
		t.Error(err)
	}
}

func TestNameServersAreFew(t *testing.T) {
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte(strings.Repeat("nameserver 192.0.2.1\n", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := nameServers(conf); len(got) != maxServers || got[0].String() != "192.0.2.1:53" {
		t.Errorf("%v", got)
	}
	if got := nameServers(conf + "x"); got != nil {
		t.Errorf("without a file: %v", got)
	}
}
