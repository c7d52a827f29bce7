package resolve

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

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
