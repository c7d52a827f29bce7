// Package resolve turns names into addresses, also those that a program without
// the system's C library cannot usually resolve: names that end in .local, which
// the machines of a local network answer for themselves (multicast DNS, RFC
// 6762), and .onion names where the network is behind a transparent Tor proxy.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

const (
	localTime  = time.Second            // for Avahi and multicast together
	avahiTime  = 600 * time.Millisecond // of that, if Avahi is there
	serverTime = 5 * time.Second        // for name servers
	lingerTime = 150 * time.Millisecond // for more answers after the first
	maxAnswers = 16                     // addresses of a name
)

// Resolver looks names up. It remembers nothing: every call asks again. Its
// fields are set before it is used; it may be used by several goroutines.
type Resolver struct {
	// AvahiSocket is the socket of the Avahi daemon, which answers for .local
	// names on most Linux systems.
	AvahiSocket string

	// ResolvConf is the file that names the system's name servers.
	ResolvConf string

	// Groups are the addresses to which questions for .local names are sent on
	// every interface that can multicast.
	Groups []netip.AddrPort

	// DNS resolves all other names.
	DNS interface {
		LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	}
}

// New returns a resolver for this machine.
func New() *Resolver {
	return &Resolver{
		AvahiSocket: "/run/avahi-daemon/socket",
		ResolvConf:  "/etc/resolv.conf",
		Groups: []netip.AddrPort{
			netip.MustParseAddrPort("224.0.0.251:5353"),
			netip.MustParseAddrPort("[ff02::fb]:5353"),
		},
		DNS: net.DefaultResolver,
	}
}

// Lookup returns the addresses of a host, best first and each once. An address,
// with or without a zone, is its own answer. IPv4 comes before link-local IPv6;
// apart from that the order is the one of the answers. A .local name takes at
// most a second before name servers are asked, and these have 5 seconds. The
// error is one line that names the host.
func (r *Resolver) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("cannot resolve %.64q: %w", host, err)
	}
	var addrs []netip.Addr
	var err error
	switch {
	case strings.HasSuffix(name, ".local"):
		addrs, err = r.local(ctx, name)
	case strings.HasSuffix(name, ".onion"):
		addrs, err = r.onion(ctx, name)
	default:
		addrs, err = r.dns(ctx, name)
	}
	if ctx.Err() != nil && len(addrs) == 0 {
		return nil, fmt.Errorf("cannot resolve %s: %w", host, ctx.Err())
	}
	if addrs = order(addrs); len(addrs) == 0 {
		if err == nil {
			err = errors.New("it has no usable address")
		}
		return nil, fmt.Errorf("cannot resolve %s: %w", host, err)
	}
	return addrs, nil
}

// checkName refuses what no name server could be asked for.
func checkName(name string) error {
	if name == "" || len(name) > 253 {
		return errors.New("it is no host name")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("it is no host name")
		}
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\:@"'[]`, r) }) {
		return errors.New("it is no host name")
	}
	return nil
}

// order drops what cannot be dialled and what is there twice, and puts
// link-local IPv6 last: it often leads nowhere.
func order(addrs []netip.Addr) []netip.Addr {
	var first, last []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, a := range addrs {
		a = a.Unmap()
		if !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || seen[a] || len(seen) >= maxAnswers {
			continue
		}
		seen[a] = true
		if a.Is6() && a.IsLinkLocalUnicast() {
			last = append(last, a)
		} else {
			first = append(first, a)
		}
	}
	return append(first, last...)
}

// dns asks the system's name servers and its hosts file.
func (r *Resolver) dns(ctx context.Context, name string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, serverTime)
	defer cancel()
	addrs, err := r.DNS.LookupNetIP(ctx, "ip", name)
	if err == nil {
		return addrs, nil
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		switch {
		case e.IsNotFound:
			return nil, errors.New("no such host")
		case e.IsTimeout:
			return nil, errors.New("the name server did not answer in time")
		}
		return nil, fmt.Errorf("the name server failed: %s", e.Err)
	}
	return nil, err
}

// local asks the machines of the local network, and name servers if they are
// silent: some routers answer for .local.
func (r *Resolver) local(ctx context.Context, name string) ([]netip.Addr, error) {
	soon, cancel := context.WithTimeout(ctx, localTime)
	defer cancel()
	addrs, _ := r.avahi(soon, name)
	if len(addrs) == 0 {
		addrs = r.multicast(soon, name)
	}
	if len(addrs) > 0 || ctx.Err() != nil {
		return addrs, nil
	}
	addrs, err := r.dns(ctx, name)
	if err != nil {
		err = fmt.Errorf("no machine of the local network answers to this name, nor does a name server (%w)", err)
	}
	return addrs, err
}
