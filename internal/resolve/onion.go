package resolve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxServers   = 3       // as in the system's own resolver
	maxConf      = 1 << 16 // bytes of resolv.conf
	onePerServer = 2 * time.Second
)

// onion asks the system's name servers for a .onion name. That is meaningful
// only where they are part of a transparent Tor proxy, which gives addresses out
// for them. Go's own resolver never asks for such names, as RFC 7686 wants, so
// that nobody learns of them by accident; here the operator has put the name
// in the addresses of a plain transport.
func (r *Resolver) onion(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	servers := nameServers(r.ResolvConf)
	for _, server := range servers {
		if addrs := askServer(ctx, server, name); len(addrs) > 0 {
			return addrs, nil
		}
	}
	asked := "there is no name server to ask"
	if len(servers) > 0 {
		asked = fmt.Sprintf("the name server %s does not know it", servers[0].Addr())
	}
	return nil, errors.New("it is the name of a Tor onion service, which needs socksProxy or a transparent Tor proxy, and " + asked)
}

// nameServers reads the first name servers from a file in the format of
// resolv.conf.
func nameServers(path string) []netip.AddrPort {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var servers []netip.AddrPort
	lines := bufio.NewScanner(io.LimitReader(f, maxConf))
	for lines.Scan() && len(servers) < maxServers {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(a, 53))
		} else if ap, err := netip.ParseAddrPort(fields[1]); err == nil {
			servers = append(servers, ap)
		}
	}
	return servers
}

// askServer asks one name server for both sorts of addresses, one after the
// other, since servers do not answer two questions at once.
func askServer(ctx context.Context, server netip.AddrPort, name string) []netip.Addr {
	ctx, cancel := context.WithTimeout(ctx, onePerServer)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", server.String())
	if err != nil {
		return nil
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	n, err := dnsmessage.NewName(name + ".")
	if err != nil {
		return nil
	}
	var addrs []netip.Addr
	packet := make([]byte, maxPacket)
	for _, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		id := uint16(1 + rand.IntN(1<<16-1))
		question, err := (&dnsmessage.Message{
			Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: n, Type: t, Class: dnsmessage.ClassINET}},
		}).Pack()
		if err != nil {
			return nil
		}
		if _, err := c.Write(question); err != nil {
			return addrs
		}
		size, err := c.Read(packet)
		if err != nil {
			return addrs
		}
		addrs = append(addrs, parseAnswer(packet[:size], id, name)...)
	}
	return addrs
}
