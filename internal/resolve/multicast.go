package resolve

import (
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxInterfaces = 16
	maxPackets    = 64      // answers that are looked at, good or bad
	maxPacket     = 9 << 10 // bytes (RFC 6762, section 17)
	askAgain      = 300 * time.Millisecond
	unicastAnswer = 1 << 15 // bit of the class: send the answer to me alone
	cacheFlush    = 1 << 15 // the same bit in an answer
)

// multicast asks all machines of the local network, on every interface. It ends
// soon after the first answer, or with ctx.
func (r *Resolver) multicast(ctx context.Context, name string) []netip.Addr {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id := uint16(rand.Uint32())
	question, err := ask(id, name, unicastAnswer)
	if err != nil {
		return nil
	}
	answers := make(chan netip.Addr)
	var asking sync.WaitGroup
	for _, i := range multicastInterfaces() {
		for _, group := range r.Groups {
			asking.Go(func() { askGroup(ctx, i, group, id, name, question, answers) })
		}
	}
	go func() {
		asking.Wait()
		close(answers)
	}()
	var addrs []netip.Addr
	var late <-chan time.Time
	for {
		select {
		case a, ok := <-answers:
			if !ok {
				return addrs
			}
			if addrs = append(addrs, a); len(addrs) >= maxAnswers {
				return addrs
			}
			if late == nil {
				late = time.After(lingerTime)
			}
		case <-late:
			return addrs
		case <-ctx.Done():
			return addrs
		}
	}
}

func multicastInterfaces() []net.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var found []net.Interface
	for _, i := range all {
		if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && len(found) < maxInterfaces {
			found = append(found, i)
		}
	}
	return found
}

// askGroup sends the question to a group through an interface, twice since
// multicast packets get lost on Wi-Fi, and passes on the answers.
func askGroup(ctx context.Context, via net.Interface, group netip.AddrPort, id uint16, name string, question []byte, answers chan<- netip.Addr) {
	network, from, to := "udp4", &net.UDPAddr{}, net.UDPAddrFromAddrPort(group)
	if group.Addr().Is6() {
		network, to.Zone = "udp6", via.Name
	} else if from.IP = address4(via); from.IP == nil {
		return
	}
	// A socket with the address of the interface sends through it.
	c, err := net.ListenUDP(network, from)
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := c.WriteTo(question, to); err != nil {
		return
	}
	again := time.AfterFunc(askAgain, func() { c.WriteTo(question, to) })
	defer again.Stop()
	packet := make([]byte, maxPacket)
	for range maxPackets {
		n, sender, err := c.ReadFromUDPAddrPort(packet)
		if err != nil {
			return
		}
		if sender.Port() != group.Port() {
			continue // only those who answer for names may use that port
		}
		for _, a := range parseAnswer(packet[:n], id, name) {
			if a.Is6() && a.IsLinkLocalUnicast() {
				a = a.WithZone(via.Name)
			}
			select {
			case answers <- a:
			case <-ctx.Done():
				return
			}
		}
	}
}

// address4 returns the first IPv4 address of an interface.
func address4(i net.Interface) net.IP {
	addrs, err := i.Addrs()
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return n.IP.To4()
		}
	}
	return nil
}

// ask makes a question for both sorts of addresses of a name.
func ask(id uint16, name string, classBits dnsmessage.Class) ([]byte, error) {
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id}}
	for _, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		m.Questions = append(m.Questions, dnsmessage.Question{Name: n, Type: t, Class: dnsmessage.ClassINET | classBits})
	}
	return m.Pack()
}

// parseAnswer returns the addresses that an answer gives to a name, at most
// [maxAnswers]. Anything else in it, and what is damaged, is ignored.
func parseAnswer(packet []byte, id uint16, name string) []netip.Addr {
	var p dnsmessage.Parser
	h, err := p.Start(packet)
	// An answer to one machine repeats the number of the question, one to all
	// has none (RFC 6762, section 18.1).
	if err != nil || !h.Response || h.RCode != dnsmessage.RCodeSuccess || h.ID != id && h.ID != 0 {
		return nil
	}
	if p.SkipAllQuestions() != nil {
		return nil
	}
	addrs := addresses(name, nil, p.AnswerHeader, p.SkipAnswer, &p)
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return addrs
	}
	// The other sort of address often comes as an addition.
	return addresses(name, addrs, p.AdditionalHeader, p.SkipAdditional, &p)
}

// addresses adds the addresses of a name in one section of an answer.
func addresses(name string, addrs []netip.Addr, next func() (dnsmessage.ResourceHeader, error), skip func() error, p *dnsmessage.Parser) []netip.Addr {
	for len(addrs) < maxAnswers {
		h, err := next()
		if err != nil {
			return addrs
		}
		matches := h.Class&^cacheFlush == dnsmessage.ClassINET &&
			strings.EqualFold(strings.TrimSuffix(h.Name.String(), "."), name)
		switch {
		case matches && h.Type == dnsmessage.TypeA:
			a, err := p.AResource()
			if err != nil {
				return addrs
			}
			addrs = append(addrs, netip.AddrFrom4(a.A))
		case matches && h.Type == dnsmessage.TypeAAAA:
			a, err := p.AAAAResource()
			if err != nil {
				return addrs
			}
			addrs = append(addrs, netip.AddrFrom16(a.AAAA))
		default:
			if skip() != nil {
				return addrs
			}
		}
	}
	return addrs
}
