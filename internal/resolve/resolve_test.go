package resolve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// avahi is a daemon that answers each line with what answer returns.
func avahi(t *testing.T, answer func(command, name string) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "avahi")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var command, name string
				if _, err := fmt.Fscanln(c, &command, &name); err != nil {
					return
				}
				if text := answer(command, name); text != "" {
					io.WriteString(c, text)
					return
				}
				io.Copy(io.Discard, c) // silent until the other side goes
			}()
		}
	}()
	return path
}

func TestAvahiIsAskedFirst(t *testing.T) {
	loopback, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skip("there is no interface 1")
	}
	r := lonely(book{"clock.local": ips("192.0.2.99"), "router.local": ips("192.0.2.1")})
	r.AvahiSocket = avahi(t, func(command, name string) string {
		switch {
		case name != "clock.local":
			return "-15 Timeout reached\n"
		case command == "RESOLVE-HOSTNAME-IPV4":
			time.Sleep(20 * time.Millisecond) // comes last, is tried first
			return "+ 2 0 clock.local 10.13.37.2\n"
		case command == "RESOLVE-HOSTNAME-IPV6":
			return "+ 1 1 clock.local fe80::1\n"
		}
		return "-3 Unknown command\n"
	})
	got, err := r.Lookup(t.Context(), "Clock.local")
	if want := ips("10.13.37.2", "fe80::1%"+loopback.Name); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	got, err = r.Lookup(t.Context(), "router.local")
	if err != nil || !slices.Equal(got, ips("192.0.2.1")) {
		t.Errorf("what Avahi does not know: %v, %v", got, err)
	}
}

func TestHalfAnAnswerOfAvahiIsEnough(t *testing.T) {
	r := lonely(nil)
	r.AvahiSocket = avahi(t, func(command, _ string) string {
		if command == "RESOLVE-HOSTNAME-IPV4" {
			return "+ 2 0 clock.local 10.13.37.2\n"
		}
		return ""
	})
	start := time.Now()
	got, err := r.Lookup(t.Context(), "clock.local")
	if err != nil || !slices.Equal(got, ips("10.13.37.2")) {
		t.Errorf("%v, %v", got, err)
	}
	if took := time.Since(start); took > avahiTime {
		t.Errorf("it took %v", took)
	}
}

func TestHostileAvahiDoesNoHarm(t *testing.T) {
	for what, text := range map[string]string{
		"silence":        "",
		"endless line":   strings.Repeat("x", 1<<20),
		"no address":     "+ 2 0 clock.local localhost\n",
		"too few words":  "+ 2 0\n",
		"too many words": "+ 2 0 clock.local 10.0.0.1 10.0.0.2\n",
		"unspecified":    "+ 2 0 clock.local 0.0.0.0\n",
		"binary":         "\x00\xff\n",
		"half a line":    "+ 2 0 clock.local 10.0.0.1",
	} {
		t.Run(what, func(t *testing.T) {
			r := lonely(nil)
			r.AvahiSocket = avahi(t, func(string, string) string { return text })
			start := time.Now()
			if got, err := r.Lookup(t.Context(), "clock.local"); err == nil {
				t.Errorf("%v", got)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// responder answers questions that are sent to a group, as a machine of the
// local network does.
func responder(t *testing.T, group string, answer func(question dnsmessage.Message) [][]byte) netip.AddrPort {
	t.Helper()
	return responderFrom(t, group, func(q dnsmessage.Message, _ net.Addr) [][]byte { return answer(q) })
}

func responderFrom(t *testing.T, group string, answer func(question dnsmessage.Message, from net.Addr) [][]byte) netip.AddrPort {
	t.Helper()
	addr := netip.MustParseAddr(group)
	for _, i := range multicastInterfaces() {
		network := "udp4"
		if addr.Is6() {
			network = "udp6"
		} else if address4(i) == nil {
			continue
		}
		// A free port for the group.
		free, err := net.ListenPacket(network, ":0")
		if err != nil {
			continue
		}
		port := free.LocalAddr().(*net.UDPAddr).Port
		free.Close()
		c, err := net.ListenMulticastUDP(network, &i, &net.UDPAddr{IP: addr.AsSlice(), Port: port, Zone: i.Name})
		if err != nil {
			t.Logf("%s: %v", i.Name, err)
			continue
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			packet := make([]byte, maxPacket)
			for {
				n, from, err := c.ReadFromUDP(packet)
				if err != nil {
					return
				}
				var q dnsmessage.Message
				if q.Unpack(packet[:n]) != nil {
					t.Error("the question cannot be read")
					continue
				}
				for _, a := range answer(q, from) {
					c.WriteTo(a, from)
				}
			}
		}()
		t.Cleanup(func() {
			c.Close()
			<-done
		})
		return netip.AddrPortFrom(addr, uint16(port))
	}
	t.Skipf("this machine has no interface that can multicast to %s", group)
	return netip.AddrPort{}
}

// reply makes an answer to a question.
func reply(q dnsmessage.Message, name string, addrs ...string) []byte {
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true}}
	for i, a := range ips(addrs...) {
		r := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
			Name: dnsmessage.MustNewName(name + "."), Class: dnsmessage.ClassINET | cacheFlush, TTL: 120,
		}, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}
		if a.Is4() {
			r.Body = &dnsmessage.AResource{A: a.As4()}
		}
		if i == 0 {
			m.Answers = append(m.Answers, r)
		} else {
			m.Additionals = append(m.Additionals, r)
		}
	}
	packet, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packet
}

func TestMachinesOfTheLocalNetworkAnswer(t *testing.T) {
	for _, group := range []string{"224.0.0.251", "ff02::fb"} {
		t.Run(group, func(t *testing.T) {
			asked := make(chan dnsmessage.Message, 10)
			at := responder(t, group, func(q dnsmessage.Message) [][]byte {
				asked <- q
				return [][]byte{
					{1, 2, 3},                            // garbage comes first
					reply(q, "scribe.local", "10.0.0.9"), // somebody else's name
					reply(q, "CLOCK.local", "10.13.37.2", "fe80::7", "2001:db8::7"),
				}
			})
			r := lonely(nil)
			r.Groups = []netip.AddrPort{at}
			start := time.Now()
			got, err := r.Lookup(t.Context(), "clock.local")
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > localTime {
				t.Errorf("it took %v", took)
			}
			if len(got) < 3 || got[0] != ips("10.13.37.2")[0] || got[1] != ips("2001:db8::7")[0] ||
				got[2].WithZone("") != ips("fe80::7")[0] || got[2].Zone() == "" {
				t.Errorf("%v", got)
			}
			q := <-asked
			if len(q.Questions) != 2 || q.Questions[0].Class != dnsmessage.ClassINET|unicastAnswer || q.Response {
				t.Errorf("the question was %+v", q)
			}
		})
	}
}

func TestLostQuestionIsRepeated(t *testing.T) {
	first := true
	at := responder(t, "224.0.0.251", func(q dnsmessage.Message) [][]byte {
		if first {
			first = false
			return nil
		}
		return [][]byte{reply(q, "clock.local", "10.13.37.2")}
	})
	r := lonely(nil)
	r.Groups = []netip.AddrPort{at}
	if got, err := r.Lookup(t.Context(), "clock.local"); err != nil || !slices.Equal(got, ips("10.13.37.2")) {
		t.Errorf("%v, %v", got, err)
	}
}

func TestHostileMachinesDoNoHarm(t *testing.T) {
	at := responder(t, "224.0.0.251", func(q dnsmessage.Message) [][]byte {
		question, err := ask(q.ID, "clock.local", 0)
		if err != nil {
			panic(err)
		}
		wrong := reply(dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID + 1}}, "clock.local", "10.0.0.1")
		return slices.Repeat([][]byte{question, bytes.Repeat([]byte{0xc0}, 8000), {}, wrong, reply(q, "clock.local", "0.0.0.0")}, 50)
	})
	r := lonely(book{"clock.local": ips("192.0.2.1")})
	r.Groups = []netip.AddrPort{at}
	start := time.Now()
	got, err := r.Lookup(t.Context(), "clock.local")
	if err == nil && slices.Contains(got, ips("10.0.0.1")[0]) {
		t.Error("an answer with the wrong number was believed")
	}
	if took := time.Since(start); took > localTime+500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

// Only who may use the port of the group answers for names: on a machine that is
// the responder, not any program of any user.
func TestAnswersFromOtherPortsAreIgnored(t *testing.T) {
	other, err := net.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	asked := make(chan net.Addr, 10)
	at := responderFrom(t, "224.0.0.251", func(q dnsmessage.Message, from net.Addr) [][]byte {
		other.WriteTo(reply(q, "clock.local", "10.0.0.1"), from)
		asked <- from
		return nil
	})
	r := lonely(book{"clock.local": ips("192.0.2.1")})
	r.Groups = []netip.AddrPort{at}
	if got, err := r.Lookup(t.Context(), "clock.local"); err != nil || !slices.Equal(got, ips("192.0.2.1")) {
		t.Errorf("%v, %v", got, err)
	}
	if len(asked) == 0 {
		t.Error("nobody was asked")
	}
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

func FuzzParseAnswer(f *testing.F) {
	q := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}}
	f.Add(reply(q, "clock.local", "10.13.37.2", "fe80::7"))
	f.Add(reply(q, "clock.local"))
	if question, err := ask(7, "clock.local", unicastAnswer); err == nil {
		f.Add(question)
	}
	f.Add([]byte{0, 7, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, packet []byte) {
		got := parseAnswer(packet, 7, "clock.local")
		if len(got) > maxAnswers {
			t.Errorf("%d addresses", len(got))
		}
		for _, a := range got {
			if !a.IsValid() {
				t.Error("an address is none")
			}
		}
	})
}

func FuzzParseAvahi(f *testing.F) {
	f.Add("+ 2 0 clock.local 10.13.37.2\n")
	f.Add("+ 999999999999999999999 1 clock.local fe80::1\n")
	f.Add("-15 Timeout reached\n")
	f.Fuzz(func(t *testing.T, line string) {
		if a, err := parseAvahi(line); err == nil && !a.IsValid() {
			t.Errorf("%q gives no address and no error", line)
		}
	})
}
